//! Tokens as statements, blocks and lists of arguments.

use std::collections::VecDeque;

use super::tokens::{Comment, Token};

/// A statement, a model, or the end of a block.
#[derive(Debug, Default)]
pub struct Statement<'a> {
    /// Doc comments before it.
    pub docs: Vec<Token<'a>>,
    /// Empty only at the end of a block, where `before` holds the last comments.
    pub pieces: Vec<Piece<'a>>,
    /// Comments before its first token.
    pub before: Vec<Comment<'a>>,
    /// Line ends before its first token.
    pub newlines: usize,
}

/// A part of a statement.
#[derive(Debug)]
pub enum Piece<'a> {
    /// A token; its comments are of the piece.
    Token(Token<'a>),
    /// `( … )` or `[ … ]`
    Group(Group<'a>),
    /// `{ … }`: the brackets, and the statements with the end of the block.
    Block(Token<'a>, Vec<Statement<'a>>),
}

/// A list in brackets.
#[derive(Debug)]
pub struct Group<'a> {
    /// The opening bracket.
    pub open: Token<'a>,
    /// What stands between the commas.
    pub items: Vec<Item<'a>>,
    /// Whether a comma stands before the closing bracket.
    pub comma: bool,
    /// The closing bracket.
    pub close: Token<'a>,
    /// Whether a comment in it ends a line.
    pub forced: bool,
}

/// One of a list.
#[derive(Debug)]
pub struct Item<'a> {
    /// Comments before its first token.
    pub before: Vec<Comment<'a>>,
    /// Line ends before its first token.
    pub newlines: usize,
    /// At least one.
    pub pieces: Vec<Piece<'a>>,
}

impl<'a> Piece<'a> {
    /// The token that it starts with.
    pub fn first(&self) -> &Token<'a> {
        match self {
            Self::Token(token) | Self::Block(token, _) => token,
            Self::Group(group) => &group.open,
        }
    }

    fn first_mut(&mut self) -> &mut Token<'a> {
        match self {
            Self::Token(token) | Self::Block(token, _) => token,
            Self::Group(group) => &mut group.open,
        }
    }

    /// Whether a comment in or before it ends a line.
    pub fn has_line_comment(&self) -> bool {
        let inside = matches!(self, Self::Group(group) if group.forced);
        inside || self.first().before.iter().any(Comment::ends_line)
    }
}

type Tokens<'a> = VecDeque<Token<'a>>;

/// The statements of a whole text.
pub fn statements(tokens: Vec<Token<'_>>) -> Vec<Statement<'_>> {
    block(&mut tokens.into())
}

/// Statements up to a `}`, which is taken, or the end of the text.
fn block<'a>(tokens: &mut Tokens<'a>) -> Vec<Statement<'a>> {
    let mut statements = Vec::new();
    while let Some(next) = tokens.front() {
        if matches!(next.text, "}" | "") {
            let end = tokens.pop_front().unwrap_or_default();
            statements.push(Statement {
                before: end.before,
                newlines: end.newlines,
                ..Statement::default()
            });
            break;
        }
        statements.push(statement(tokens));
    }
    statements
}

fn statement<'a>(tokens: &mut Tokens<'a>) -> Statement<'a> {
    let mut statement = Statement::default();
    while tokens.front().is_some_and(|token| token.doc) {
        statement.docs.extend(tokens.pop_front());
    }
    let is_part = |token: &Token<'_>| !matches!(token.text, "}" | "") && !token.doc;
    while tokens.front().is_some_and(is_part) {
        let Some(token) = tokens.pop_front() else { break };
        let semicolon = token.text == ";";
        let braces = token.text == "{";
        statement.pieces.push(piece(token, tokens));
        if semicolon || (braces && !goes_on(tokens)) {
            break;
        }
    }
    (statement.before, statement.newlines) = take_before(&mut statement.pieces);
    statement
}

/// Takes what stands before the first token.
fn take_before<'a>(pieces: &mut [Piece<'a>]) -> (Vec<Comment<'a>>, usize) {
    let Some(first) = pieces.first_mut() else { return (Vec::new(), 0) };
    let first = first.first_mut();
    (std::mem::take(&mut first.before), first.newlines)
}

/// Whether a statement goes on after a `}`: `residual { … } shortcut { … }`.
fn goes_on(tokens: &mut Tokens<'_>) -> bool {
    let Some(next) = tokens.front() else { return false };
    match next.text {
        ";" | "(" => true,
        "shortcut" => tokens.get(1).is_some_and(|after| after.text == "{"),
        _ => false,
    }
}

fn piece<'a>(token: Token<'a>, tokens: &mut Tokens<'a>) -> Piece<'a> {
    match token.text {
        "{" => Piece::Block(token, block(tokens)),
        "(" => Piece::Group(group(token, ")", tokens)),
        "[" => Piece::Group(group(token, "]", tokens)),
        _ => Piece::Token(token),
    }
}

fn group<'a>(open: Token<'a>, closing: &str, tokens: &mut Tokens<'a>) -> Group<'a> {
    let mut items = Vec::new();
    let mut item = Vec::new();
    let mut comma = false;
    let mut forced = false;
    let mut close = Token::default();
    while let Some(mut token) = tokens.pop_front() {
        forced |= token.before.iter().any(Comment::ends_line);
        if token.text == closing || token.text.is_empty() {
            close = token;
            break;
        }
        if token.text == "," {
            // The item ends with the comments before its comma.
            let before = std::mem::take(&mut token.before);
            if !before.is_empty() {
                item.push(Piece::Token(Token { before, ..Token::default() }));
            }
            items.push(finished(std::mem::take(&mut item)));
            comma = true;
            continue;
        }
        comma = false;
        let piece = piece(token, tokens);
        forced |= piece.has_line_comment() || matches!(piece, Piece::Block(..));
        item.push(piece);
    }
    if !item.is_empty() {
        items.push(finished(item));
    }
    Group { open, items, comma, close, forced }
}

fn finished(mut pieces: Vec<Piece<'_>>) -> Item<'_> {
    let (before, newlines) = take_before(&mut pieces);
    Item { before, newlines, pieces }
}
