//! Tokens to text and back: the parser reads text, and errors must come out at tokens.

use std::ops::Range;

use proc_macro2::{Delimiter, Group, Spacing, Span, TokenStream, TokenTree};

/// Tokens written out as text, with the place of each in it.
#[derive(Debug, Default)]
pub struct Flat {
    /// What the parser reads.
    pub text: String,
    /// In the order of the text.
    places: Vec<(Range<usize>, Span)>,
    /// Whether the last token and the next must touch, as in `==`.
    joint: bool,
}

impl Flat {
    /// Writes out tokens, however deep they nest.
    #[must_use]
    pub fn new(tokens: TokenStream) -> Self {
        let mut flat = Self::default();
        let mut levels = vec![Level::new(tokens, None)];
        while let Some(level) = levels.last_mut() {
            if let Some((doc, span)) = level.take_doc() {
                flat.doc(&doc, span);
                continue;
            }
            if level.skip_inner_doc() {
                continue;
            }
            match level.tokens.next() {
                Some(TokenTree::Group(group)) => {
                    let [open, close] = delimiters(group.delimiter());
                    flat.push(open, group.span_open(), Spacing::Alone);
                    let close = (close, group.span_close());
                    levels.push(Level::new(group.stream(), Some(close)));
                }
                Some(TokenTree::Punct(punct)) => {
                    let mut buffer = [0; 4];
                    let text = punct.as_char().encode_utf8(&mut buffer);
                    flat.push(text, punct.span(), punct.spacing());
                }
                Some(TokenTree::Ident(ident)) => {
                    flat.push(&ident.to_string(), ident.span(), Spacing::Alone);
                }
                Some(TokenTree::Literal(literal)) => {
                    flat.push(&literal.to_string(), literal.span(), Spacing::Alone);
                }
                None => {
                    if let Some((close, span)) = levels.pop().and_then(|level| level.close) {
                        flat.push(close, span, Spacing::Alone);
                    }
                }
            }
        }
        flat
    }

    fn push(&mut self, text: &str, span: Span, spacing: Spacing) {
        if text.is_empty() {
            return;
        }
        if !self.joint && !self.text.is_empty() {
            self.text.push(' ');
        }
        self.joint = spacing == Spacing::Joint;
        let start = self.text.len();
        self.text.push_str(text);
        self.places.push((start..self.text.len(), span));
    }

    /// A doc comment in the notation it came from: only blocks hold line breaks.
    fn doc(&mut self, doc: &str, span: Span) {
        // Not to be taken for the plain comments `////` and `/***`.
        let blank = if doc.starts_with(['/', '*']) { " " } else { "" };
        let comment = if !doc.contains('\n') {
            format!("///{blank}{doc}")
        } else if doc.contains("*/") || doc.contains("/*") {
            format!("/// {}", doc.replace('\n', "\n/// "))
        } else {
            format!("/**{blank}{doc}*/")
        };
        self.joint = false;
        self.push(&comment, span, Spacing::Alone);
        self.text.push('\n');
    }

    /// The first and the last token that a range of the text touches; for an empty range the
    /// token before it. `None` if there are no tokens at all.
    #[must_use]
    pub fn tokens(&self, range: &Range<usize>) -> Option<[usize; 2]> {
        let last = self.places.len().checked_sub(1)?;
        let first_from = |at: usize| self.places.partition_point(|(place, _)| place.end <= at);
        if range.is_empty() {
            // The token that holds this point or ends at it.
            let token = self.places.partition_point(|(place, _)| place.start < range.start);
            let token = token.saturating_sub(1);
            return Some([token, token]);
        }
        let first = first_from(range.start).min(last);
        let end = self.places.partition_point(|(place, _)| place.start < range.end);
        Some([first, end.saturating_sub(1).max(first)])
    }

    /// A token as it stands in the text.
    #[cfg(test)]
    pub fn token_text(&self, token: usize) -> &str {
        &self.text[self.places[token].0.clone()]
    }

    /// The spans of those tokens, the macro's own if there are none.
    #[must_use]
    pub fn spans(&self, range: &Range<usize>) -> [Span; 2] {
        self.tokens(range)
            .map_or([Span::call_site(); 2], |tokens| tokens.map(|token| self.places[token].1))
    }
}

/// The rest of a group.
struct Level {
    tokens: std::vec::IntoIter<TokenTree>,
    close: Option<(&'static str, Span)>,
}

impl Level {
    fn new(tokens: TokenStream, close: Option<(&'static str, Span)>) -> Self {
        Self { tokens: tokens.into_iter().collect::<Vec<_>>().into_iter(), close }
    }

    /// `#[doc = "…"]`, which is what `/// …` is by now.
    fn take_doc(&mut self) -> Option<(String, Span)> {
        let [TokenTree::Punct(hash), TokenTree::Group(group), ..] = self.tokens.as_slice() else {
            return None;
        };
        let doc = if hash.as_char() == '#' { doc_text(group)? } else { return None };
        let span = group.span();
        self.tokens.nth(1);
        Some((doc, span))
    }

    /// `#![doc = "…"]`, which is what `//! …` is by now: a plain comment.
    fn skip_inner_doc(&mut self) -> bool {
        let [TokenTree::Punct(hash), TokenTree::Punct(bang), TokenTree::Group(group), ..] =
            self.tokens.as_slice()
        else {
            return false;
        };
        let skip = hash.as_char() == '#' && bang.as_char() == '!' && doc_text(group).is_some();
        if skip {
            self.tokens.nth(2);
        }
        skip
    }
}

/// The text of `[doc = "…"]`.
fn doc_text(group: &Group) -> Option<String> {
    if group.delimiter() != Delimiter::Bracket {
        return None;
    }
    let mut tokens = group.stream().into_iter();
    let [doc, equals, text] = [tokens.next()?, tokens.next()?, tokens.next()?];
    match (doc, equals, text, tokens.next()) {
        (TokenTree::Ident(doc), TokenTree::Punct(equals), TokenTree::Literal(text), None)
            if doc == "doc" && equals.as_char() == '=' =>
        {
            string(&text)
        }
        _ => None,
    }
}

/// The value of a string literal.
#[must_use]
pub fn string(literal: &proc_macro2::Literal) -> Option<String> {
    match syn::Lit::new(literal.clone()) {
        syn::Lit::Str(text) => Some(text.value()),
        _ => None,
    }
}

const fn delimiters(delimiter: Delimiter) -> [&'static str; 2] {
    match delimiter {
        Delimiter::Parenthesis => ["(", ")"],
        Delimiter::Brace => ["{", "}"],
        Delimiter::Bracket => ["[", "]"],
        // Invisible, around what a macro_rules fragment matched.
        Delimiter::None => ["", ""],
    }
}
