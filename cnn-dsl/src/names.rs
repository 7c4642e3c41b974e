//! Names: Keras's automatic ones, and the rules for given ones.

use std::collections::{HashMap, HashSet};

/// `MaxPooling2D` → `max_pooling2d`, by the rules of Keras's `to_snake_case`: an underscore before
/// a capital that starts a word, and between a small letter and a capital.
#[must_use]
pub fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut words = String::new();
    let mut i = 0;
    while i < chars.len() {
        words.push(chars[i]);
        // (.)([A-Z][a-z]+) → \1_\2, without overlap.
        let starts_word = i + 2 < chars.len()
            && chars[i + 1].is_ascii_uppercase()
            && chars[i + 2].is_ascii_lowercase();
        i += 1;
        if starts_word {
            words.push('_');
            words.push(chars[i]);
            i += 1;
            while i < chars.len() && chars[i].is_ascii_lowercase() {
                words.push(chars[i]);
                i += 1;
            }
        }
    }
    // ([a-z])([A-Z]) → \1_\2
    let mut out = String::new();
    let mut small_before = false;
    for c in words.chars() {
        if small_before && c.is_ascii_uppercase() {
            out.push('_');
        }
        small_before = c.is_ascii_lowercase();
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Hands out names that are unique in a model: Keras's automatic ones (`conv2d`, `conv2d_1`, …), past
/// those that were given, and those of layers in blocks.
#[derive(Debug)]
pub struct AutoNames {
    taken: HashSet<String>,
    next: HashMap<String, usize>,
    instances: HashMap<String, usize>,
}

impl AutoNames {
    /// With the names that the text gives.
    pub fn new<'a>(given: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            taken: given.into_iter().map(str::to_owned).collect(),
            next: HashMap::new(),
            instances: HashMap::new(),
        }
    }

    /// The next name of a class.
    pub fn next(&mut self, class: &str) -> String {
        let base = snake_case(class);
        let next = self.next.entry(class.to_owned()).or_default();
        loop {
            let name = if *next == 0 { base.clone() } else { format!("{base}_{next}") };
            *next += 1;
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }

    /// `name`, or if that is taken, `name` with a number.
    pub fn unique(&mut self, name: String) -> String {
        if self.taken.insert(name.clone()) {
            return name;
        }
        let next = self.next.entry(name.clone()).or_insert(2);
        loop {
            let numbered = format!("{name}_{next}");
            *next += 1;
            if self.taken.insert(numbered.clone()) {
                return numbered;
            }
        }
    }

    /// `base` with the number of this instance, from 1.
    pub fn instance(&mut self, base: &str) -> String {
        let number = self.instances.entry(base.to_owned()).or_default();
        *number += 1;
        format!("{base}_{number}")
    }
}

/// Names of layers are at most this long, so that names in nested blocks stay short.
const MAX_NAME: usize = 64;

/// Words that mean something where the name of a layer may stand.
const RESERVED: [&str; 3] = ["branches", "input", "residual"];

/// Why a name cannot be a layer's.
#[must_use]
pub fn layer_name_problem(name: &str) -> Option<String> {
    if is_keyword(name) {
        return Some(format!("`{name}` is a Rust keyword"));
    }
    if RESERVED.contains(&name) {
        return Some(format!("`{name}` is a word of the language"));
    }
    if name.len() > MAX_NAME {
        return Some(format!("names of layers have at most {MAX_NAME} characters"));
    }
    let snake = name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('_')
        && !name.contains("__")
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    (!snake).then(|| "layer names are snake case: `conv1`, `first_block`".to_owned())
}

/// Why a name cannot be a model's.
#[must_use]
pub fn model_name_problem(name: &str) -> Option<String> {
    if is_keyword(name) || name == "Self" {
        return Some(format!("`{name}` is a Rust keyword"));
    }
    (!crate::scan::is_type_name(name))
        .then(|| "model names are camel case: `MnistCnn`, `LeNet5`".to_owned())
}

/// Why a name cannot be a block's.
#[must_use]
pub fn block_name_problem(name: &str) -> Option<String> {
    if name.len() > MAX_NAME {
        return Some(format!("names of blocks have at most {MAX_NAME} characters"));
    }
    (!crate::scan::is_type_name(name))
        .then(|| "block names are camel case: `Residual`, `ConvBnRelu`".to_owned())
}

/// Why a name cannot be a constant's or a parameter's.
#[must_use]
pub fn value_name_problem(name: &str) -> Option<String> {
    if is_keyword(name) {
        return Some(format!("`{name}` is a Rust keyword"));
    }
    matches!(name, "None" | "input").then(|| format!("`{name}` is a word of the language"))
}

fn is_keyword(name: &str) -> bool {
    const KEYWORDS: &[&str] = &[
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
        "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
        "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
        "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type",
        "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
    ];
    KEYWORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snake_case_is_keras() {
        let pairs = [
            ("Conv2D", "conv2d"),
            ("MaxPooling2D", "max_pooling2d"),
            ("ReLU", "re_lu"),
            ("LeakyReLU", "leaky_re_lu"),
            ("Conv2DTranspose", "conv2d_transpose"),
            ("BatchNormalization", "batch_normalization"),
            ("MnistCnn", "mnist_cnn"),
            ("MNISTCnn", "mnist_cnn"),
            ("Cifar10Cnn", "cifar10_cnn"),
            ("VGG16", "vgg16"),
        ];
        for (class, name) in pairs {
            assert_eq!(snake_case(class), name);
        }
    }

    #[test]
    fn automatic_names_pass_given_ones() {
        let mut names = AutoNames::new(["conv2d_1", "dense"]);
        assert_eq!(names.next("Conv2D"), "conv2d");
        assert_eq!(names.next("Conv2D"), "conv2d_2");
        assert_eq!(names.next("Dense"), "dense_1");
    }

    #[test]
    fn names_that_rust_would_refuse_or_warn_about() {
        for name in ["type", "gen", "Conv1", "conv__1", "conv_", "_conv", "_"] {
            assert!(layer_name_problem(name).is_some(), "{name}");
        }
        for name in ["Self", "mnist", "Mnist_Cnn", "_A"] {
            assert!(model_name_problem(name).is_some(), "{name}");
        }
        assert_eq!(layer_name_problem("conv1_a"), None);
        assert_eq!(model_name_problem("LeNet5"), None);
    }
}
