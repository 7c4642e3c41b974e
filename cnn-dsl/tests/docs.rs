//! What the documents say: every example compiles or fails as it says it does, and every layer has
//! a page with its signature.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cnn_dsl::format::format;
use cnn_dsl::{Checked, layer};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The documents, by their path from the root.
fn documents() -> Vec<(String, String)> {
    let mut paths = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for folder in ["docs", "docs/layers"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
                paths.push(format!("{folder}/{name}"));
            }
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(root().join(&path)).unwrap();
            (path, text)
        })
        .collect()
}

/// A block of code in a document.
struct Fence {
    /// What stands behind the marks.
    info: String,
    text: String,
    line: usize,
}

fn fences(document: &str) -> Vec<Fence> {
    let mut fences = Vec::new();
    let mut open: Option<Fence> = None;
    for (number, line) in document.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => fences.extend(open.take()),
            (Some(info), None) => {
                let line = number + 1;
                open = Some(Fence { info: info.to_owned(), text: String::new(), line });
            }
            (None, Some(fence)) => {
                fence.text.push_str(line);
                fence.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence without end");
    fences
}

/// `use` in an example starts at `docs`.
fn check(fence: &Fence) -> Checked {
    cnn_dsl::check("net.cnn", &fence.text, &root().join("docs"))
}

/// Shapes in comments behind the layers, as in `Flatten; // 3136`.
fn shapes(text: &str) -> Vec<&str> {
    let comments = text.lines().filter_map(|line| line.split_once("; // "));
    comments
        .map(|(_, comment)| comment)
        .filter(|comment| comment.split('x').all(|size| size.parse::<u64>().is_ok()))
        .collect()
}

fn check_example(place: &str, fence: &Fence, next: Option<&Fence>) {
    let checked = check(fence);
    let said = checked.render(false);
    match fence.info.as_str() {
        "cnn" => {
            assert!(checked.diagnostics.is_empty(), "{place}:\n{said}");
            assert_eq!(format(&fence.text).as_ref(), Ok(&fence.text), "{place}: not formatted");
            let documented = shapes(&fence.text);
            let layers = checked.models.iter().flat_map(|model| &model.layers);
            let found: Vec<String> = layers.map(|layer| layer.output.to_string()).collect();
            assert!(documented.is_empty() || documented == found, "{place}: {found:?}");
        }
        "cnn,error" => assert!(checked.failed(), "{place}: no error"),
        "cnn,warning" => {
            assert!(!checked.failed() && !checked.diagnostics.is_empty(), "{place}: {said}");
        }
        other => panic!("{place}: unknown kind of example `{other}`"),
    }
    if let Some(shown) = next.filter(|next| next.info == "text" && fence.info != "cnn") {
        assert_eq!(said.trim_end(), shown.text.trim_end(), "{place}: it says\n{said}");
    }
}

#[test]
fn examples_do_what_they_say() {
    let mut count = 0;
    for (path, document) in documents() {
        let fences = fences(&document);
        for (i, fence) in fences.iter().enumerate() {
            if fence.info.starts_with("cnn") {
                check_example(&format!("{path}:{}", fence.line), fence, fences.get(i + 1));
                count += 1;
            }
        }
    }
    assert!(count > layer::ALL.len(), "{count} examples");
}

/// The names of the parameters in `Class(filters, kernel_size, strides = (1, 1))`.
fn parameters<'a>(signature: &'a str, class: &str) -> Option<Vec<&'a str>> {
    let list = signature.trim().strip_prefix(class)?;
    let list = list.strip_prefix('(').and_then(|list| list.strip_suffix(')')).unwrap_or(list);
    let mut depth = 0;
    let mut names = Vec::new();
    let mut start = 0;
    for (at, c) in list.char_indices().chain([(list.len(), ',')]) {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                names.extend(list[start..at].split('=').next().map(str::trim));
                start = at + 1;
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    Some(names)
}

#[test]
fn every_layer_has_a_page() {
    let index = fs::read_to_string(root().join("docs/layers/README.md")).unwrap();
    let mut expected = BTreeSet::from(["README.md".to_owned()]);
    for layer in layer::ALL {
        let class = layer.signature.name;
        let file = format!("{class}.md");
        let page = fs::read_to_string(root().join("docs/layers").join(&file))
            .unwrap_or_else(|error| panic!("docs/layers/{file}: {error}"));
        assert!(page.starts_with(&format!("# {class}\n")), "{file}: another title");
        assert!(index.contains(&format!("[{class}]({file})")), "{file} is not in the index");

        let fences = fences(&page);
        let signature = fences.first().map_or("", |fence| fence.text.as_str());
        let params = layer.signature.params.iter().filter(|param| param.is_supported());
        let params: Vec<&str> = params.map(|param| param.name).collect();
        assert_eq!(parameters(signature, class).as_ref(), Some(&params), "{file}: its signature");
        for param in params {
            assert!(page.contains(&format!("\n| `{param}` |")), "{file}: no row for `{param}`");
        }
        for alias in layer.aliases {
            assert!(page.contains(&format!("`{alias}`")), "{file}: nothing of `{alias}`");
        }
        let uses = |fence: &Fence| fence.info == "cnn" && fence.text.contains(class);
        assert!(fences.iter().any(uses), "{file}: no example");
        expected.insert(file);
    }
    let entries = fs::read_dir(root().join("docs/layers")).unwrap();
    let pages: BTreeSet<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(pages, expected, "pages of layers that are no more");
}

/// What names stand for is listed in full: the compiler, asked for a name that there is not, tells
/// those that there are.
#[test]
fn every_name_is_documented() {
    const UNKNOWN: &str = "zzzzzz";
    let page = fs::read_to_string(root().join("docs/language.md")).unwrap();
    let probes = [
        ("Activation(zzzzzz);", 15),
        ("Dense(3, kernel_initializer = zzzzzz);", 12),
        ("Dense(3, kernel_regularizer = zzzzzz);", 3),
        ("Dense(3, softmax); compile(loss = zzzzzz);", 2),
        ("Dense(3, softmax); compile(zzzzzz, loss = categorical_crossentropy);", 1),
        ("Dense(3, softmax); compile(loss = categorical_crossentropy, metrics = [zzzzzz]);", 1),
        ("branches zzzzzz { { ReLU; } { Dense(4); } }", 6),
    ];
    for (probe, least) in probes {
        let mistakes = cnn_dsl::compile(&format!("model M {{ input(4); {probe} }}")).unwrap_err();
        // Behind "must be" in the message, or in the help.
        let rule = mistakes[0].message.split("must be").nth(1).unwrap_or_default().to_owned();
        let texts: Vec<&String> = [&rule].into_iter().chain(&mistakes[0].help).collect();
        let quoted = texts.iter().flat_map(|text| text.split('`').skip(1).step_by(2));
        let names: BTreeSet<&str> = quoted.filter(|name| *name != UNKNOWN).collect();
        assert!(names.len() >= least, "{probe}: {names:?}");
        for name in names {
            let listed = [format!("`{name}`"), format!("`{name}(")];
            assert!(listed.iter().any(|form| page.contains(form)), "{probe}: `{name}`");
        }
    }
}

#[test]
fn files_of_the_documents_are_right() {
    let path = root().join("docs/blocks.cnn");
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(format(&text).as_ref(), Ok(&text));
    let checked = cnn_dsl::check("blocks.cnn", &text, &root().join("docs"));
    assert!(!checked.failed(), "{}", checked.render(false));
}

/// Links between documents lead somewhere, headings included.
#[test]
fn links_lead_somewhere() {
    let anchors = |text: &str| -> BTreeSet<String> {
        let headings = text.lines().filter(|line| line.starts_with('#'));
        headings
            .map(|line| {
                let title = line.trim_start_matches('#').trim().to_lowercase();
                let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
                kept.collect::<String>().replace(' ', "-")
            })
            .collect()
    };
    for (path, document) in documents() {
        let folder = root().join(&path).parent().unwrap().to_owned();
        for link in document.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.contains(char::is_whitespace) {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { root().join(&path) } else { folder.join(file) };
            assert!(target.exists(), "{path}: no `{link}`");
            if !anchor.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                assert!(anchors(&text).contains(anchor), "{path}: no heading `{link}`");
            }
        }
    }
}
