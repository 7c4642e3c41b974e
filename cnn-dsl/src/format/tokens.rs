//! Tokens with the comments before them.

use crate::scan::{self, TokenKind};

/// A token, and what stands between it and the one before.
#[derive(Debug, Default)]
pub struct Token<'a> {
    /// As written; empty at the end of the text.
    pub text: &'a str,
    /// A doc comment.
    pub doc: bool,
    /// Comments that document nothing.
    pub before: Vec<Comment<'a>>,
    /// Line ends since the last comment or token.
    pub newlines: usize,
}

/// A comment that documents nothing.
#[derive(Debug)]
pub struct Comment<'a> {
    /// With its marks, without blanks at the end.
    pub text: &'a str,
    /// Line ends since the last comment or token.
    pub newlines: usize,
}

impl Comment<'_> {
    /// Whether what follows cannot be on the same line, or should not.
    pub fn ends_line(&self) -> bool {
        self.text.starts_with("//") || self.text.contains('\n')
    }
}

/// Operators of two characters; the scanner gives most of them as two tokens.
const PAIRS: [&str; 9] = ["==", "<=", ">=", "!=", "&&", "||", "->", "..", "::"];

/// The tokens of a text that parses; the last one is empty and holds the comments at the end.
pub fn read(text: &str) -> Vec<Token<'_>> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut end = 0;
    for token in scan::tokens(text, 0) {
        // The rest of a number or operator that is longer than the scanner's token.
        if token.span.start < end {
            continue;
        }
        let mut next = Token { doc: token.kind == TokenKind::Doc, ..Token::default() };
        gap(&text[end..token.span.start], &mut next);
        end = longest(text, token.span.start, token.span.end);
        next.text = text[token.span.start..end].trim_end();
        tokens.push(next);
    }
    let mut last = Token::default();
    gap(&text[end..], &mut last);
    tokens.push(last);
    move_comments(&mut tokens);
    tokens
}

/// Where the token really ends that the scanner ends at `end`.
fn longest(text: &str, start: usize, end: usize) -> usize {
    if PAIRS.iter().any(|pair| text[start..].starts_with(pair)) {
        return start + 2;
    }
    if !text[start..].starts_with(|c: char| c.is_ascii_digit()) {
        return end;
    }
    let digits = |from: usize| {
        let is_digit = |c: char| c.is_ascii_digit() || c == '_';
        let rest = text[from..].find(|c| !is_digit(c));
        rest.map_or(text.len(), |length| from + length)
    };
    let mut at = digits(start);
    // Not the first of two dots.
    if text[at..].starts_with('.') && !text[at..].starts_with("..") {
        at = digits(at + 1);
    }
    if let Some(exponent) = text[at..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        if exponent[sign..].starts_with(|c: char| c.is_ascii_digit()) {
            at = digits(at + 1 + sign);
        }
    }
    at.max(end)
}

/// Reads what stands between two tokens: blanks and comments.
fn gap<'a>(gap: &'a str, token: &mut Token<'a>) {
    let mut rest = gap;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            scan::block_comment(rest).1
        } else {
            token.newlines += usize::from(first == '\n');
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let text = rest[..length].trim_end();
        token.before.push(Comment { text, newlines: std::mem::take(&mut token.newlines) });
        rest = &rest[length..];
    }
}

/// Moves comments that end a line behind a `;`, `,` or `{` that follows them, so that it does not
/// have to stand on a line of its own.
fn move_comments(tokens: &mut [Token<'_>]) {
    for i in 0..tokens.len().saturating_sub(1) {
        let token = &mut tokens[i];
        let moves =
            matches!(token.text, ";" | "," | "{") && token.before.iter().any(Comment::ends_line);
        // A bare block starts a statement, whose comments are before it.
        if !moves || (token.text == "{" && i > 0 && starts_statement(tokens[i - 1].text)) {
            continue;
        }
        let mut moved = std::mem::take(&mut tokens[i].before);
        let ends_line = moved.last().is_some_and(Comment::ends_line);
        for (n, comment) in moved.iter_mut().enumerate() {
            comment.newlines = if n > 0 { comment.newlines.min(1) } else { 0 };
        }
        let next = &mut tokens[i + 1];
        let follows =
            next.before.first_mut().map_or(&mut next.newlines, |first| &mut first.newlines);
        if ends_line {
            *follows = (*follows).max(1);
        }
        moved.append(&mut next.before);
        next.before = moved;
    }
}

fn starts_statement(previous: &str) -> bool {
    matches!(previous, "{" | "}" | ";")
}
