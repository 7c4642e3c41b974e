//! Statements as lines.

use super::MAX_WIDTH;
use super::pieces::{Group, Piece, Statement};
use super::tokens::{Comment, Token};

const INDENT: usize = 4;

/// The text of statements.
pub fn lay_out(statements: &[Statement<'_>]) -> String {
    let mut out = Out::default();
    out.statements(statements);
    if !out.text.is_empty() {
        out.text.push('\n');
    }
    out.text
}

/// The text so far, and what decides whether a blank follows.
#[derive(Default)]
struct Out<'a> {
    text: String,
    /// Of the lines that a statement starts, in levels.
    depth: usize,
    /// The last token; empty at the start of a line.
    last: &'a str,
    /// Whether it is a sign.
    sign: bool,
    /// Whether a comment follows it.
    commented: bool,
}

impl<'a> Out<'a> {
    fn column(&self) -> usize {
        let line = self.text.rfind('\n').map_or(0, |at| at + 1);
        self.text[line..].chars().count()
    }

    /// Starts a line at a level, behind an empty one if `blank`.
    fn line(&mut self, depth: usize, blank: bool) {
        if !self.text.is_empty() {
            self.text.push_str(if blank { "\n\n" } else { "\n" });
        }
        self.text.extend(std::iter::repeat_n(' ', depth * INDENT));
        (self.last, self.sign, self.commented) = ("", false, false);
    }

    /// A token without its comments.
    fn word(&mut self, text: &'a str) {
        if text.is_empty() {
            return;
        }
        if self.blank_before(text) {
            self.text.push(' ');
        }
        self.text.push_str(text);
        self.sign = matches!(text, "-" | "+" | "!") && !ends_value(self.last);
        self.last = text;
        self.commented = false;
    }

    fn blank_before(&self, next: &str) -> bool {
        let last = self.last;
        match next {
            _ if last.is_empty() && !self.commented => false,
            "," | ";" | ":" | ")" | "]" => false,
            _ if self.commented => true,
            _ if self.sign || matches!(last, "(" | "[" | "." | ".." | "::") => false,
            "." | ".." | "::" => false,
            "(" => !(ends_value(last) || last == "}"),
            _ => true,
        }
    }

    /// A comment in the text, over several lines if need be. Where each further line starts with a
    /// star, the stars are put below each other.
    fn comment(&mut self, text: &str, depth: usize) {
        let mut lines = text.lines();
        self.text.push_str(lines.next().unwrap_or_default());
        let stars = lines.clone().all(|line| line.trim_start().starts_with('*'));
        for line in lines {
            self.text.push('\n');
            if stars {
                self.text.extend(std::iter::repeat_n(' ', depth * INDENT + 1));
            }
            self.text.push_str(if stars { line.trim() } else { line.trim_end() });
        }
    }

    /// Comments within a statement: those that end a line go on one level deeper.
    fn comments(&mut self, comments: &[Comment<'_>]) {
        for comment in comments {
            if self.blank_before("/*") {
                self.text.push(' ');
            }
            self.comment(comment.text, self.depth);
            self.commented = true;
            if comment.ends_line() {
                self.line(self.depth + 1, false);
            }
        }
    }

    fn token(&mut self, token: &Token<'a>) {
        self.comments(&token.before);
        self.word(token.text);
    }

    /// The comments at the end of the line before `next`; what they are not is left.
    fn trailing<'c>(
        &mut self,
        comments: &'c [Comment<'a>],
        newlines: usize,
        closing: bool,
    ) -> &'c [Comment<'a>] {
        let count = comments.iter().take_while(|comment| comment.newlines == 0).count();
        let (here, rest) = comments.split_at(count);
        let ends = here.last().is_some_and(|last| last.text.starts_with("//"));
        let newlines = rest.first().map_or(newlines, |next| next.newlines);
        if self.text.is_empty() || !(ends || closing || newlines > 0) {
            return comments;
        }
        for comment in here {
            self.text.push(' ');
            self.comment(comment.text, self.depth);
        }
        rest
    }

    /// Comments at the start of a line, and then what they stand before: on the same line if it
    /// was. `blanks` keeps empty lines.
    fn leading(&mut self, comments: &[Comment<'_>], newlines: usize, blanks: bool) {
        for (i, comment) in comments.iter().enumerate() {
            self.comment(comment.text, self.depth);
            let newlines = comments.get(i + 1).map_or(newlines, |next| next.newlines);
            if newlines > 0 || comment.text.starts_with("//") {
                self.line(self.depth, blanks && newlines > 1);
            } else {
                self.text.push(' ');
            }
        }
    }

    fn statements(&mut self, statements: &[Statement<'a>]) {
        for (i, statement) in statements.iter().enumerate() {
            let previous = i.checked_sub(1).map(|before| &statements[before]);
            let apart = self.depth == 0
                && !statement.pieces.is_empty()
                && previous.is_some_and(|previous| has_block(previous) || has_block(statement));
            self.statement(statement, previous.is_none(), apart);
        }
    }

    /// `first` is the first one of its block, `apart` has an empty line before it.
    fn statement(&mut self, statement: &Statement<'a>, first: bool, apart: bool) {
        let end = statement.pieces.is_empty();
        // What comes first, and then the rest.
        let start = statement.docs.first();
        let (before, newlines) = start
            .map_or((&statement.before, statement.newlines), |doc| (&doc.before, doc.newlines));
        let rest = self.trailing(before, newlines, end);
        let gap = rest.first().map_or(newlines, |next| next.newlines);
        if end && rest.is_empty() {
            return;
        }
        self.line(self.depth, !first && (apart || gap > 1));
        if end {
            for (i, comment) in rest.iter().enumerate() {
                if i > 0 {
                    self.line(self.depth, comment.newlines > 1);
                }
                self.comment(comment.text, self.depth);
            }
            return;
        }
        self.leading(rest, newlines.max(usize::from(start.is_some())), true);
        for (i, doc) in statement.docs.iter().enumerate() {
            if i > 0 {
                self.leading(&doc.before, doc.newlines.max(1), false);
            }
            self.comment(doc.text, self.depth);
            self.line(self.depth, false);
        }
        if start.is_some() {
            self.leading(&statement.before, statement.newlines, false);
        }
        self.pieces(&statement.pieces);
    }

    /// The pieces of a statement, between and with its blocks.
    fn pieces(&mut self, pieces: &[Piece<'a>]) {
        let mut from = 0;
        for (i, piece) in pieces.iter().enumerate() {
            if let Piece::Block(open, statements) = piece {
                self.run(&pieces[from..i], " {".len());
                self.block(open, statements);
                from = i + 1;
            }
        }
        self.run(&pieces[from..], 0);
    }

    fn block(&mut self, open: &Token<'a>, statements: &[Statement<'a>]) {
        self.token(open);
        let [inner @ .., end] = statements else { return };
        if inner.is_empty() && end.before.is_empty() {
            self.word("}");
            // `{}` needs no blank.
            self.text.truncate(self.text.len() - 2);
            self.text.push('}');
            return;
        }
        if let ([only], true) = (inner, end.before.is_empty())
            && self.one_line(only)
        {
            return;
        }
        self.depth += 1;
        self.statements(statements);
        self.depth -= 1;
        self.line(self.depth, false);
        self.word("}");
    }

    /// `{ Dense(3); }` where it fits, inside a model.
    fn one_line(&mut self, only: &Statement<'a>) -> bool {
        let simple = self.depth > 0
            && only.docs.is_empty()
            && only.before.is_empty()
            && !has_block(only)
            && !only.pieces.iter().any(Piece::has_line_comment);
        if !simple
            || self.column() + self.flat_width(&only.pieces) + " ".len() + " }".len() > MAX_WIDTH
        {
            return false;
        }
        self.flat(&only.pieces);
        self.word("}");
        true
    }

    /// Pieces without blocks; `tail` characters follow on the last line. The longest list of
    /// arguments is broken if the line is too long, and all lists if that is not enough.
    fn run(&mut self, pieces: &[Piece<'a>], tail: usize) {
        let forced = pieces.iter().any(Piece::has_line_comment);
        let column = self.column();
        let flat = self.flat_width(pieces);
        if !forced && column + flat + tail <= MAX_WIDTH {
            return self.flat(pieces);
        }
        let widths: Vec<usize> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Group(group) if !group.is_empty() => {
                    self.flat_width(std::slice::from_ref(piece))
                }
                _ => 0,
            })
            .collect();
        let most = widths.iter().copied().max().unwrap_or(0);
        let longest = widths.iter().position(|width| *width == most).unwrap_or(0);
        let before: usize = self.flat_width(&pieces[..longest]);
        let after = flat.saturating_sub(before + most);
        let left = self.depth * INDENT;
        let one = column + before < MAX_WIDTH && left + 1 + after + tail <= MAX_WIDTH;
        for (i, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Group(group) => {
                    let needed =
                        if forced { left + widths[i] > MAX_WIDTH } else { !one || i == longest };
                    if group.forced || (needed && !group.is_empty()) {
                        self.broken(group);
                    } else {
                        self.group(group);
                    }
                }
                Piece::Token(token) => self.token(token),
                Piece::Block(open, statements) => self.block(open, statements),
            }
        }
    }

    /// On one line.
    fn flat(&mut self, pieces: &[Piece<'a>]) {
        for piece in pieces {
            match piece {
                Piece::Token(token) => self.token(token),
                Piece::Group(group) => self.group(group),
                Piece::Block(open, statements) => self.block(open, statements),
            }
        }
    }

    fn flat_width(&mut self, pieces: &[Piece<'a>]) -> usize {
        let (start, last, sign, commented) =
            (self.text.len(), self.last, self.sign, self.commented);
        self.flat(pieces);
        let width = self.text[start..].chars().count();
        self.text.truncate(start);
        (self.last, self.sign, self.commented) = (last, sign, commented);
        width
    }

    fn group(&mut self, group: &Group<'a>) {
        self.comments(&group.open.before);
        let call = self.is_call(group);
        self.word(group.open.text);
        for (i, item) in group.items.iter().enumerate() {
            if i > 0 {
                self.word(",");
            }
            self.comments(&item.before);
            self.flat(&item.pieces);
        }
        // `(3,)` is a tuple, `(3)` is not.
        if !call && group.open.text == "(" && group.items.len() == 1 && group.comma {
            self.word(",");
        }
        self.token(&group.close);
    }

    /// Each item on a line of its own.
    fn broken(&mut self, group: &Group<'a>) {
        self.comments(&group.open.before);
        let more = self.is_call(group) || group.open.text == "[" || group.items.len() > 1;
        self.word(group.open.text);
        self.depth += 1;
        for (i, item) in group.items.iter().enumerate() {
            let rest = self.trailing(&item.before, item.newlines, false);
            self.line(self.depth, false);
            self.leading(rest, item.newlines, false);
            self.run(&item.pieces, ",".len());
            if more || group.comma || i + 1 < group.items.len() {
                self.word(",");
            }
        }
        let rest = self.trailing(&group.close.before, group.close.newlines, true);
        for comment in rest {
            self.line(self.depth, false);
            self.comment(comment.text, self.depth);
        }
        self.depth -= 1;
        self.line(self.depth, false);
        self.word(group.close.text);
    }

    /// Whether a list is of a call; its comma at the end means nothing. Asked before it is written.
    fn is_call(&self, group: &Group<'_>) -> bool {
        group.open.text == "(" && ends_value(self.last)
    }
}

impl Group<'_> {
    fn is_empty(&self) -> bool {
        self.items.is_empty() && self.close.before.is_empty()
    }
}

fn has_block(statement: &Statement<'_>) -> bool {
    statement.pieces.iter().any(|piece| matches!(piece, Piece::Block(..)))
}

/// Whether a sign after this is an operator, and a bracket the list of a call.
fn ends_value(token: &str) -> bool {
    const WORDS: [&str; 6] = ["assert", "branches", "const", "repeat", "residual", "use"];
    let value = |c: char| c.is_alphanumeric() || matches!(c, '_' | '"' | ')' | ']');
    token.starts_with(value) && !WORDS.contains(&token)
}
