//! Mistakes in a text, and what is probably not meant: what was found, where, and the way out.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::ast::Span;
use crate::source::Sources;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is emitted.
    Error,
    /// It works, but is probably not meant.
    Warning,
}

/// One mistake or warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence that stands alone.
    pub message: String,
    /// Where: a byte range of the text; empty for "here something is missing".
    pub span: Span,
    /// A short remark beside the underlined text; may be empty.
    pub label: String,
    /// Other places that matter, each with its remark.
    pub secondary: Vec<(Span, String)>,
    /// What led there.
    pub notes: Vec<String>,
    /// Ways out.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// A mistake at `span`.
    #[must_use]
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            span,
            label: String::new(),
            secondary: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A warning at `span`.
    #[must_use]
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::new(span, message) }
    }

    /// Whether it is a mistake, not a warning.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// With all places `base` further on.
    #[must_use]
    pub(crate) fn moved(mut self, base: usize) -> Self {
        let moved = |span: &Span| span.start + base..span.end + base;
        self.span = moved(&self.span);
        for (span, _) in &mut self.secondary {
            *span = moved(span);
        }
        self
    }

    /// Sets the remark beside the underlined text.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Points to another place.
    #[must_use]
    pub fn secondary(mut self, span: Span, label: impl Into<String>) -> Self {
        self.secondary.push((span, label.into()));
        self
    }

    /// Adds what led there.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds a way out if there is one.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help.extend(help);
        self
    }

    /// The message with its notes and helps below it, for where no source can be shown.
    #[must_use]
    pub fn plain(&self) -> String {
        let mut out = self.message.clone();
        for note in &self.notes {
            let _ = write!(out, "\nnote: {note}");
        }
        for help in &self.help {
            let _ = write!(out, "\nhelp: {help}");
        }
        out
    }
}

/// Prints diagnostics as rustc does: path, line, column, the text with the place underlined.
///
/// `path` is shown as given; `color` asks for ANSI colours. Ends with a newline if there is any
/// diagnostic at all.
#[must_use]
pub fn render(path: &str, text: &str, diagnostics: &[Diagnostic], color: bool) -> String {
    Sources::new(path, text).render(diagnostics, color)
}

impl Sources {
    /// Prints diagnostics as [`render`] does, each with the texts that it points into.
    #[must_use]
    pub fn render(&self, diagnostics: &[Diagnostic], color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for (i, diagnostic) in diagnostics.iter().enumerate() {
            if i > 0 {
                out.push('\n');
            }
            out.push_str(&renderer.render(&[self.group(diagnostic)]));
            out.push('\n');
        }
        out
    }

    fn group<'a>(&'a self, diagnostic: &'a Diagnostic) -> annotate_snippets::Group<'a> {
        let (file, span) = self.locate(&diagnostic.span);
        let primary = AnnotationKind::Primary.span(span);
        let primary =
            if diagnostic.label.is_empty() { primary } else { primary.label(&diagnostic.label) };
        // One snippet a file, the primary's first.
        let mut snippets = vec![(file, vec![primary])];
        for (span, label) in &diagnostic.secondary {
            let (file, span) = self.locate(span);
            let annotation = AnnotationKind::Context.span(span).label(label.as_str());
            match snippets.iter_mut().find(|(other, _)| std::ptr::eq(*other, file)) {
                Some((_, annotations)) => annotations.push(annotation),
                None => snippets.push((file, vec![annotation])),
            }
        }
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        level
            .primary_title(&diagnostic.message)
            .elements(snippets.into_iter().map(|(file, annotations)| {
                Snippet::source(&file.text).path(&file.path).annotations(annotations)
            }))
            .elements(diagnostic.notes.iter().map(|note| Level::NOTE.message(note)))
            .elements(diagnostic.help.iter().map(|help| Level::HELP.message(help)))
    }
}

/// `text` in backticks, cut to what fits a message.
#[must_use]
pub fn quote(text: impl std::fmt::Display) -> String {
    const LONGEST: usize = 40;
    let text = text.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

/// `a`, `b` or `c`, for a list of phrases.
#[must_use]
pub fn join(phrases: &[String], last: &str) -> String {
    match phrases {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., end] => format!("{} {last} {end}", most.join(", ")),
    }
}

/// 1,234,567
#[must_use]
pub fn thousands(number: u128) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The candidate that `name` is most likely a misspelling of.
#[must_use]
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    // Among more than these nobody finds what is meant, and it would take long.
    const MOST: usize = 1_000;
    if name.len() > LONGEST {
        return None;
    }
    let off = |candidate: &str| candidate.len().abs_diff(name.len());
    let allowed = |candidate: &str| (name.len().max(candidate.len()) / 3).max(1);
    let begins = |candidate: &str| {
        let head = candidate.get(..name.len());
        name.len() >= SHORTEST_HEAD && head.is_some_and(|head| head.eq_ignore_ascii_case(name))
    };
    let near = |candidate: &&str| off(candidate) <= allowed(candidate) || begins(candidate);
    let near: Vec<&str> = candidates.into_iter().filter(near).take(MOST + 1).collect();
    if near.len() > MOST {
        return None;
    }
    let lower = name.to_lowercase();
    // Candidates come in any order: what is equally near is ordered by itself.
    near.iter()
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), *candidate))
        .filter(|&(near, candidate)| {
            near <= allowed(candidate) && near < name.len().min(candidate.len())
        })
        .min_by_key(|&(near, candidate)| {
            (near, off(candidate), distance(name, candidate), candidate)
        })
        .map(|(_, candidate)| candidate)
        .or_else(|| {
            let longer = near.iter().copied().filter(|candidate| begins(candidate));
            longer.min_by_key(|candidate| (candidate.len(), *candidate))
        })
}

/// The fewest characters that can stand for the name that they begin.
const SHORTEST_HEAD: usize = 3;

/// "did you mean `x`?" if one of the candidates is near.
#[must_use]
pub fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    closest(name, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut current = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = previous[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            current[j] = replaced.min(previous[j] + 1).min(current[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                current[j] = current[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut previous, current);
    }
    previous[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closest_finds_misspellings_and_nothing_far() {
        let names = ["Conv2D", "MaxPooling2D", "Dense", "Dropout"];
        assert_eq!(closest("MaxPoling2D", names), Some("MaxPooling2D"));
        assert_eq!(closest("conv2d", names), Some("Conv2D"));
        assert_eq!(closest("Desne", names), Some("Dense"));
        assert_eq!(closest("Attention", names), None);
        assert_eq!(closest("drop", names), Some("Dropout"));
        assert_eq!(closest("Ma", names), None);
        assert_eq!(closest(&"x".repeat(100_000), names), None);
    }

    /// Names come out of hash maps: their order says nothing.
    #[test]
    fn closest_is_the_same_in_any_order() {
        let names = ["relu", "relu6", "relu8", "selu"];
        for turn in 0..names.len() {
            let mut names = names;
            names.rotate_left(turn);
            assert_eq!(closest("relu7", names), Some("relu6"));
            assert_eq!(closest("elu", names), Some("relu"));
        }
    }

    #[test]
    fn too_many_names_are_not_compared() {
        let names: Vec<String> = (0..1_001).map(|i| format!("name_{i:05}")).collect();
        let names = || names.iter().map(String::as_str);
        assert_eq!(closest("nama_00007", names()), None);
        assert_eq!(closest("nama_00007", names().take(1_000)), Some("name_00007"));
    }

    #[test]
    fn thousands_groups_from_the_right() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(thousands(u128::from(u64::MAX)), "18,446,744,073,709,551,615");
    }

    #[test]
    fn ranges_outside_the_text_do_not_panic() {
        let wrong = Diagnostic::new(90..95, "wrong");
        assert!(render("a.cnn", "é", &[wrong], false).contains("a.cnn:1:2"));
    }
}
