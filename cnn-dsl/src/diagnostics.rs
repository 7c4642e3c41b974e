//! Mistakes in a text: what was found, where, and the way out.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::ast::Span;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in one sentence that stands alone.
    pub message: String,
    /// Where: a byte range of the text; empty for "here something is missing".
    pub span: Span,
    /// A short remark beside the underlined text; may be empty.
    pub label: String,
    /// Other places that matter, each with its remark.
    pub secondary: Vec<(Span, String)>,
    /// Ways out.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// A mistake at `span`.
    #[must_use]
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            span,
            label: String::new(),
            secondary: Vec::new(),
            help: Vec::new(),
        }
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

    /// The message with its helps below it, for where no source can be shown.
    #[must_use]
    pub fn plain(&self) -> String {
        let mut out = self.message.clone();
        for help in &self.help {
            let _ = write!(out, "\nhelp: {help}");
        }
        out
    }
}

/// Prints mistakes as rustc does: path, line, column, the text with the place underlined.
///
/// `path` is shown as given; `color` asks for ANSI colours. Ends with a newline if there is any
/// mistake at all.
#[must_use]
pub fn render(path: &str, text: &str, diagnostics: &[Diagnostic], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for (i, diagnostic) in diagnostics.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        out.push_str(&renderer.render(&[group(path, text, diagnostic)]));
        out.push('\n');
    }
    out
}

fn group<'a>(
    path: &'a str,
    text: &'a str,
    diagnostic: &'a Diagnostic,
) -> annotate_snippets::Group<'a> {
    let primary = AnnotationKind::Primary.span(clamp(&diagnostic.span, text));
    let primary =
        if diagnostic.label.is_empty() { primary } else { primary.label(&diagnostic.label) };
    let snippet = Snippet::source(text).path(path).annotation(primary).annotations(
        diagnostic.secondary.iter().map(|(span, label)| {
            AnnotationKind::Context.span(clamp(span, text)).label(label.as_str())
        }),
    );
    Level::ERROR
        .primary_title(&diagnostic.message)
        .element(snippet)
        .elements(diagnostic.help.iter().map(|help| Level::HELP.message(help)))
}

/// A range inside the text, on character boundaries.
fn clamp(span: &Span, text: &str) -> Span {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(span.start);
    start..floor(span.end).max(start)
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
    if name.len() > LONGEST {
        return None;
    }
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|&(distance, candidate)| distance <= (name.len().max(candidate.len()) / 3).max(1))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

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
        assert_eq!(closest(&"x".repeat(100_000), names), None);
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
