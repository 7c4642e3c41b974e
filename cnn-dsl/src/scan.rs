//! A scan for words, brackets and comments, linear and without recursion. It runs before the
//! parser, whose stack grows with the nesting, and helps to word its errors.

use crate::ast::Span;
use crate::diagnostics::{Diagnostic, quote};

/// Deepest nesting of brackets or of block comments.
pub const MAX_DEPTH: usize = 64;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A name, a keyword or a number.
    Word,
    /// A string with its quotes.
    Str,
    /// `/// …` or `/** … */`
    Doc,
    /// Any other character, or `==`, `<=`, `>=`.
    Punct,
    /// A string or block comment without its end.
    Unterminated,
    /// Block comments nested beyond [`MAX_DEPTH`].
    DeepComment,
}

/// A token and where it stands.
#[derive(Clone, Debug)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it stands.
    pub span: Span,
}

/// The tokens of `text` from `at` on, comments and white space left out.
pub fn tokens(text: &str, mut at: usize) -> impl Iterator<Item = Token> {
    std::iter::from_fn(move || {
        loop {
            let start = at;
            let rest = &text[start..];
            let first = rest.chars().next()?;
            let (kind, length) = if first.is_whitespace() || first == '\u{FEFF}' {
                (None, first.len_utf8())
            } else if rest.starts_with("//") {
                let doc = rest.starts_with("///") && !rest.starts_with("////");
                (doc.then_some(TokenKind::Doc), rest.find('\n').unwrap_or(rest.len()))
            } else if rest.starts_with("/*") {
                block_comment(rest)
            } else if first == '"' {
                string(rest)
            } else if first.is_alphanumeric() || first == '_' {
                let word = |c: char| c.is_alphanumeric() || c == '_';
                (Some(TokenKind::Word), rest.find(|c| !word(c)).unwrap_or(rest.len()))
            } else {
                let two = ["==", "<=", ">="].iter().any(|sign| rest.starts_with(sign));
                let length = if two { 2 } else { first.len_utf8() };
                (Some(TokenKind::Punct), length)
            };
            at = start + length;
            if let Some(kind) = kind {
                return Some(Token { kind, span: start..at });
            }
        }
    })
}

/// What kind of token the block comment at the start of `rest` is, and its length.
pub(crate) fn block_comment(rest: &str) -> (Option<TokenKind>, usize) {
    let doc = rest.starts_with("/**") && !rest.starts_with("/***") && !rest.starts_with("/**/");
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => {
                depth += 1;
                at += 2;
                if depth > MAX_DEPTH {
                    return (Some(TokenKind::DeepComment), at);
                }
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return (doc.then_some(TokenKind::Doc), at);
                }
            }
            _ => at += 1,
        }
    }
    (Some(TokenKind::Unterminated), rest.len())
}

fn string(rest: &str) -> (Option<TokenKind>, usize) {
    let mut escaped = false;
    for (i, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return (Some(TokenKind::Str), i + 1),
            _ => {}
        }
    }
    (Some(TokenKind::Unterminated), rest.len())
}

/// Checks that brackets match, that none nest deeper than [`MAX_DEPTH`], and that strings and
/// comments end.
///
/// # Errors
///
/// The first violation.
pub fn check(text: &str) -> Result<(), Diagnostic> {
    let mut open: Vec<(char, Span)> = Vec::new();
    for Token { kind, span } in tokens(text, 0) {
        match kind {
            TokenKind::Unterminated => {
                let (what, end) = if text[span.start..].starts_with('"') {
                    ("string", "\"")
                } else {
                    ("comment", "*/")
                };
                let width = if what == "string" { 1 } else { 2 };
                return Err(Diagnostic::new(
                    span.start..span.start + width,
                    format!("this {what} never ends"),
                )
                .label(format!("no closing `{end}` follows")));
            }
            TokenKind::DeepComment => {
                let at = span.end - 2..span.end;
                return Err(too_deep(at, "comments"));
            }
            TokenKind::Punct => bracket(text, span, &mut open)?,
            TokenKind::Word | TokenKind::Str | TokenKind::Doc => {}
        }
    }
    match open.pop() {
        None => Ok(()),
        Some((bracket, span)) => {
            Err(Diagnostic::new(span, format!("this `{bracket}` is never closed"))
                .label(format!("no closing `{}` follows", closing(bracket))))
        }
    }
}

fn bracket(text: &str, span: Span, open: &mut Vec<(char, Span)>) -> Result<(), Diagnostic> {
    match &text[span.clone()] {
        "(" | "[" | "{" if open.len() == MAX_DEPTH => Err(too_deep(span, "brackets")),
        found @ ("(" | "[" | "{") => {
            open.extend(found.chars().map(|bracket| (bracket, span.clone())));
            Ok(())
        }
        found @ (")" | "]" | "}") => match open.pop() {
            None => Err(Diagnostic::new(span, format!("this `{found}` closes nothing"))
                .label("no bracket is open here")),
            Some((bracket, at)) if !found.starts_with(closing(bracket)) => {
                let wanted = closing(bracket);
                Err(Diagnostic::new(at, format!("this `{bracket}` is not closed by `{wanted}`"))
                    .label(format!("wants a `{wanted}`"))
                    .secondary(span, format!("`{found}` comes first")))
            }
            Some(_) => Ok(()),
        },
        _ => Ok(()),
    }
}

fn too_deep(span: Span, what: &str) -> Diagnostic {
    Diagnostic::new(span, format!("{what} are nested deeper than {MAX_DEPTH} levels"))
        .label(format!("level {}", MAX_DEPTH + 1))
}

const fn closing(bracket: char) -> char {
    match bracket {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

/// The next token at or after `at`, quoted for a message.
#[must_use]
pub fn found(text: &str, at: usize) -> (String, Span) {
    match tokens(text, at).next() {
        None => ("the end of the text".to_owned(), text.len()..text.len()),
        Some(Token { kind: TokenKind::Doc, span }) => ("a doc comment".to_owned(), span),
        Some(Token { span, .. }) => (quote(&text[span.clone()]), span),
    }
}

/// The names of the models a text declares, found without parsing it, so that a text with a
/// syntax error still tells which types it was to define.
#[must_use]
pub fn model_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut after_model = false;
    for token in tokens(text, 0) {
        let word = &text[token.span];
        match word {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ if depth == 0 && after_model && is_type_name(word) => names.push(word.to_owned()),
            _ => {}
        }
        after_model = word == "model";
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether it is `CamelCase` and no keyword.
#[must_use]
pub fn is_type_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().all(|c| c.is_ascii_alphanumeric())
        && word != "Self"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_comments_and_strings_do_not_count() {
        for text in ["/* ( /* [ */ */", "// (\n", "\"(\\\"[\"", "/// (\n", "/** ( */", "([{}])"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn depth_is_limited_without_recursion() {
        let deep = |n: usize| "(".repeat(n) + &")".repeat(n);
        assert_eq!(check(&deep(MAX_DEPTH)), Ok(()));
        assert_eq!(check(&deep(MAX_DEPTH + 1)).unwrap_err().span, 64..65);
        assert_eq!(check(&"(".repeat(100_000)).unwrap_err().span, 64..65);
        assert_eq!(check(&"/*".repeat(100_000)).unwrap_err().span, 128..130);
    }

    #[test]
    fn the_bracket_at_fault_is_named() {
        assert_eq!(check("a(b]").unwrap_err().message, "this `(` is not closed by `)`");
        assert_eq!(check("a(b").unwrap_err().message, "this `(` is never closed");
        assert_eq!(check("a)").unwrap_err().message, "this `)` closes nothing");
        assert_eq!(check("\"abc").unwrap_err().message, "this string never ends");
        assert_eq!(check("/* abc").unwrap_err().message, "this comment never ends");
    }

    #[test]
    fn model_names_survive_broken_models() {
        let text = "model A { ((( } /* model B */ \"model C\" model D { Dense(model E) } model f";
        assert_eq!(model_names(text), ["A"]);
        assert_eq!(model_names("pub model A { x(; ) } model D {"), ["A", "D"]);
    }
}
