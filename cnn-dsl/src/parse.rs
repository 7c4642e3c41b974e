//! Text to AST.

use pest::Parser as _;
use pest::error::{ErrorVariant, InputLocation};
use pest::iterators::Pair;

use crate::ast::{
    Arg, Assert, Block, Body, Call, Clause, Comparison, Constant, Expr, ExprKind, File, Form,
    Ident, Item, Model, Param, Sign, Span, Statement, Use,
};
use crate::diagnostics::{Diagnostic, join, quote};
use crate::scan::{self, TokenKind};

/// What pest's generator makes of `grammar.pest`, made ahead: the generator and what it depends on would
/// be a tenth of the build of everyone who uses this crate. `tests/grammar.rs` keeps it up to date.
#[allow(dead_code, missing_docs, unused_qualifications, clippy::pedantic, reason = "generated")]
mod grammar {
    pub(super) struct Grammar;

    include!("grammar.rs");
}
use grammar::{Grammar, Rule};

/// Reads a text that starts at `base` in the space of all texts.
///
/// # Errors
///
/// The first syntax error, in words.
pub fn parse(text: &str, base: usize) -> Result<File, Diagnostic> {
    let pairs = scan::check(text).and_then(|()| {
        Grammar::parse(Rule::file, text).map_err(|error| syntax_error(text, &error))
    });
    let mut file = File::default();
    let reader = Reader { base };
    for top in pairs.map_err(|error| error.moved(base))?.flat_map(Pair::into_inner) {
        if top.as_rule() == Rule::top {
            reader.top(top, &mut file);
        }
    }
    Ok(file)
}

/// Turns pairs into the AST.
#[derive(Clone, Copy)]
struct Reader {
    base: usize,
}

impl Reader {
    fn top(self, pair: Pair<'_, Rule>, file: &mut File) {
        let mut comments = Vec::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::doc_line | Rule::doc_block => docs(part.as_str(), &mut comments),
                Rule::use_file => file.uses.extend(self.use_file(part)),
                Rule::constant => file.constants.extend(self.constant(part)),
                Rule::block => file.blocks.extend(self.block(part)),
                Rule::model => {
                    file.models.extend(self.model(part, std::mem::take(&mut comments)));
                }
                _ => {}
            }
        }
    }

    fn use_file(self, pair: Pair<'_, Rule>) -> Option<Use> {
        let path = pair.into_inner().find(|part| part.as_rule() == Rule::string)?;
        Some(Use { path: unquoted(path.as_str()), span: self.span(&path) })
    }

    fn constant(self, pair: Pair<'_, Rule>) -> Option<Constant> {
        let mut name = None;
        let mut value = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::constant_name => name = Some(self.ident(&part)),
                Rule::value => value = self.expr(part),
                _ => {}
            }
        }
        Some(Constant { name: name?, value: value? })
    }

    fn block(self, pair: Pair<'_, Rule>) -> Option<Block> {
        let mut name = None;
        let mut params = Vec::new();
        let mut body = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::block_name => name = Some(self.ident(&part)),
                Rule::params => {
                    let parts = part.into_inner().filter(|part| part.as_rule() == Rule::param);
                    params = parts.filter_map(|part| self.param(part)).collect();
                }
                Rule::body => body = Some(self.body(part)),
                _ => {}
            }
        }
        Some(Block { name: name?, params, body: body? })
    }

    fn param(self, pair: Pair<'_, Rule>) -> Option<Param> {
        let mut name = None;
        let mut default = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => name = Some(self.ident(&part)),
                Rule::value => default = self.expr(part),
                _ => {}
            }
        }
        Some(Param { name: name?, default })
    }

    fn model(self, pair: Pair<'_, Rule>, docs: Vec<String>) -> Option<Model> {
        let mut name = None;
        let mut body = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::model_name => name = Some(self.ident(&part)),
                Rule::body => body = Some(self.body(part)),
                _ => {}
            }
        }
        Some(Model { docs, name: name?, body: body? })
    }

    fn body(self, pair: Pair<'_, Rule>) -> Body {
        let span = self.span(&pair);
        let items = pair.into_inner().filter(|part| part.as_rule() == Rule::item);
        Body { items: items.filter_map(|part| self.item(part)).collect(), span }
    }

    fn item(self, pair: Pair<'_, Rule>) -> Option<Item> {
        let mut comments = Vec::new();
        let mut item = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::doc_line | Rule::doc_block => docs(part.as_str(), &mut comments),
                Rule::constant => item = self.constant(part).map(Item::Constant),
                Rule::assertion => item = self.assertion(part).map(Item::Assert),
                Rule::body => item = Some(Item::Body(self.body(part))),
                Rule::statement => {
                    let docs = std::mem::take(&mut comments);
                    item = self.statement(part, docs).map(Item::Statement);
                }
                _ => {}
            }
        }
        item
    }

    fn assertion(self, pair: Pair<'_, Rule>) -> Option<Assert> {
        let mut metric = None;
        let mut comparison = Comparison::Equal;
        let mut limit = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => metric = Some(self.ident(&part)),
                Rule::comparison => {
                    comparison = match part.as_str() {
                        "<" => Comparison::Less,
                        "<=" => Comparison::AtMost,
                        ">=" => Comparison::AtLeast,
                        ">" => Comparison::Greater,
                        _ => Comparison::Equal,
                    }
                }
                Rule::value => limit = self.expr(part),
                _ => {}
            }
        }
        let (metric, limit) = (metric?, limit?);
        let span = metric.span.start..limit.span.end;
        Some(Assert { metric, comparison, limit, span })
    }

    fn statement(self, pair: Pair<'_, Rule>, docs: Vec<String>) -> Option<Statement> {
        let mut label = None;
        let mut form = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::label => label = part.into_inner().next().map(|name| self.ident(&name)),
                Rule::layer => form = self.layer(part),
                Rule::clause => form = self.clause(part).map(Form::Clause),
                _ => {}
            }
        }
        Some(Statement { docs, label, form: form? })
    }

    fn layer(self, pair: Pair<'_, Rule>) -> Option<Form> {
        let mut call = None;
        let mut operands = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::call => call = self.call(part),
                Rule::operands => operands = Some(self.values(part).0),
                _ => {}
            }
        }
        Some(Form::Layer { call: call?, operands })
    }

    fn clause(self, pair: Pair<'_, Rule>) -> Option<Clause> {
        let mut name = None;
        let mut value = None;
        let mut body = None;
        let mut shortcut = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::clause_name => name = Some(self.ident(&part)),
                Rule::value => value = self.expr(part),
                Rule::body => body = Some(self.body(part)),
                Rule::shortcut => {
                    let mut parts = part.into_inner();
                    let keyword = parts.next().map(|keyword| self.span(&keyword));
                    shortcut = keyword.zip(parts.next().map(|body| self.body(body)));
                }
                _ => {}
            }
        }
        Some(Clause { name: name?, value, body: body?, shortcut })
    }

    fn call(self, pair: Pair<'_, Rule>) -> Option<Call> {
        let mut name = None;
        let mut args = Vec::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => name = Some(self.ident(&part)),
                Rule::args => {
                    let parts = part.into_inner().filter(|part| part.as_rule() == Rule::arg);
                    args = parts.filter_map(|part| self.arg(part)).collect();
                }
                _ => {}
            }
        }
        Some(Call { name: name?, args })
    }

    fn arg(self, pair: Pair<'_, Rule>) -> Option<Arg> {
        let mut name = None;
        let mut value = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::arg_name => name = part.into_inner().next().map(|name| self.ident(&name)),
                Rule::value => value = self.expr(part),
                _ => {}
            }
        }
        Some(Arg { name, value: value? })
    }

    /// A value, a product or a term: what stands between signs of one rank, from the left.
    fn expr(self, pair: Pair<'_, Rule>) -> Option<Expr> {
        if !matches!(pair.as_rule(), Rule::value | Rule::product) {
            return self.term(pair);
        }
        let span = self.span(&pair);
        let mut terms = Vec::new();
        let mut signs = Vec::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::sum_sign | Rule::product_sign => signs.push((sign(&part), self.span(&part))),
                _ => terms.push(self.expr(part)?),
            }
        }
        if signs.is_empty() {
            return terms.pop();
        }
        Some(Expr { kind: ExprKind::Arithmetic { terms, signs }, span })
    }

    fn term(self, pair: Pair<'_, Rule>) -> Option<Expr> {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::number => {
                ExprKind::Number(pair.as_str().split_whitespace().collect::<Vec<_>>().concat())
            }
            Rule::string => ExprKind::Str(unquoted(pair.as_str())),
            Rule::call => ExprKind::Call(self.call(pair)?),
            Rule::list => ExprKind::List(self.values(pair).0),
            Rule::negated => {
                let mut parts = pair.into_inner();
                let at = self.span(&parts.next()?);
                ExprKind::Negated { at, value: Box::new(self.term(parts.next()?)?) }
            }
            _ => match self.values(pair) {
                // `(3)` is 3 in brackets, `(3,)` a tuple of one.
                (mut items, false) if items.len() == 1 => {
                    return items.pop().map(|item| Expr { span, ..item });
                }
                (items, _) => ExprKind::Tuple(items),
            },
        };
        Some(Expr { kind, span })
    }

    /// The values of a list or tuple, and whether a comma stands among them.
    fn values(self, pair: Pair<'_, Rule>) -> (Vec<Expr>, bool) {
        let mut commas = false;
        let mut items = Vec::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::comma => commas = true,
                Rule::value => items.extend(self.expr(part)),
                _ => {}
            }
        }
        (items, commas)
    }

    fn ident(self, pair: &Pair<'_, Rule>) -> Ident {
        Ident { text: pair.as_str().to_owned(), span: self.span(pair) }
    }

    fn span(self, pair: &Pair<'_, Rule>) -> Span {
        let span = pair.as_span();
        self.base + span.start()..self.base + span.end()
    }
}

fn sign(pair: &Pair<'_, Rule>) -> Sign {
    match pair.as_str() {
        "+" => Sign::Plus,
        "-" => Sign::Minus,
        "*" => Sign::Times,
        "/" => Sign::Over,
        _ => Sign::Modulo,
    }
}

fn unquoted(string: &str) -> String {
    string.trim_matches('"').to_owned()
}

/// The lines of a doc comment, as rustc would put them into `#[doc = "…"]`.
fn docs(comment: &str, lines: &mut Vec<String>) {
    let block = || comment.strip_prefix("/**")?.strip_suffix("*/");
    let body = comment.strip_prefix("///").or_else(block).unwrap_or(comment);
    let last = body.lines().count().saturating_sub(1);
    for (i, line) in body.lines().enumerate() {
        let mut line = line.trim_end();
        if i > 0 {
            line = line.trim_start();
            line = line.strip_prefix('*').unwrap_or(line);
        }
        // The marks of a block often have their lines to themselves.
        let edge = last > 0 && (i == 0 || i == last);
        if !(edge && line.is_empty()) {
            lines.push(line.to_owned());
        }
    }
    if body.is_empty() {
        lines.push(String::new());
    }
}

fn syntax_error(text: &str, error: &pest::error::Error<Rule>) -> Diagnostic {
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let expected: &[Rule] = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives,
        ErrorVariant::CustomError { .. } => &[],
    };
    if let Some(token) = scan::tokens(text, 0).find(|token| token.span.end > at)
        && token.kind == TokenKind::Word
        && token.span.start < at
    {
        let message = format!("{} is not a name", quote(&text[token.span.clone()]));
        return Diagnostic::new(token.span, message)
            .label("not a name")
            .help("names are made of the letters A to Z and a to z, digits and `_`");
    }
    let (found, span) = scan::found(text, at);
    if found == "a doc comment" {
        return Diagnostic::new(span, "a doc comment cannot stand here")
            .label("documents nothing")
            .help("doc comments stand before a model or before a layer; `//` comments anywhere");
    }
    if expected.contains(&Rule::semicolon) {
        let end = last_end(text, at);
        let name = statement_name(text, end);
        let message = format!("expected `;` after {name}, found {found}");
        let diagnostic = Diagnostic::new(end..end, message).label("a `;` is missing here");
        if found == "`{`" {
            return diagnostic.help("braces stand behind `repeat`, `residual` and `branches` only");
        }
        if found == "`=`" {
            return diagnostic
                .help(format!("a layer is named with a colon, as in {}", labelled(text, end)));
        }
        return diagnostic;
    }
    let mut phrases: Vec<String> = Vec::new();
    for phrase in expected.iter().filter_map(|rule| phrase(*rule)) {
        if !phrases.iter().any(|seen| seen == phrase) {
            phrases.push(phrase.to_owned());
        }
    }
    // What includes the others is enough.
    let values = ["a string", "a name", "a number", "`(`", "`[`"];
    for (whole, parts) in
        [("a value", &values[..]), ("an argument", &["a value"]), ("a layer", &["`const`", "`{`"])]
    {
        if phrases.iter().any(|phrase| phrase == whole) {
            phrases.retain(|phrase| !parts.contains(&phrase.as_str()));
        }
    }
    let message = if phrases.is_empty() {
        format!("unexpected {found}")
    } else {
        format!("expected {}, found {found}", join(&phrases, "or"))
    };
    let diagnostic = Diagnostic::new(span, message).label("not expected here");
    if found == "`'`" {
        return diagnostic.help("names need no quotes: `relu`; double quotes are allowed");
    }
    if expected.contains(&Rule::model_keyword) || expected.contains(&Rule::top) {
        return diagnostic.help("a model is written `model Name { input(…); … }`");
    }
    if phrases == ["`{`"] {
        return diagnostic.help("the names of layers begin with a capital");
    }
    diagnostic
}

/// What a reader calls what the grammar calls `rule`; `None` for what need not be mentioned.
fn phrase(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::top | Rule::file | Rule::model | Rule::model_keyword | Rule::visibility => "a model",
        Rule::block | Rule::block_keyword => "a block",
        Rule::constant | Rule::const_keyword => "`const`",
        Rule::use_file | Rule::use_keyword => "`use`",
        Rule::EOI => "the end of the text",
        Rule::model_name => "the model's name",
        Rule::block_name => "the block's name",
        Rule::constant_name => "the constant's name",
        Rule::item | Rule::statement | Rule::layer | Rule::call | Rule::label => "a layer",
        Rule::name => "a name",
        Rule::arg => "an argument",
        Rule::param => "a parameter",
        Rule::value | Rule::product | Rule::term | Rule::number | Rule::list | Rule::tuple => {
            "a value"
        }
        Rule::string => "a string",
        Rule::comparison => "`<=`, `<`, `>=`, `>` or `==`",
        Rule::unsigned => "a number",
        Rule::args | Rule::operands | Rule::params | Rule::open_paren => "`(`",
        Rule::close_paren => "`)`",
        Rule::open_bracket => "`[`",
        Rule::close_bracket => "`]`",
        Rule::body | Rule::open_brace => "`{`",
        Rule::close_brace => "`}`",
        Rule::comma => "`,`",
        Rule::equals => "`=`",
        Rule::semicolon => "`;`",
        Rule::colon => "`:`",
        _ => return None,
    })
}

/// Where the last token before `at` ends.
fn last_end(text: &str, at: usize) -> usize {
    scan::tokens(text, 0)
        .map(|token| token.span.end)
        .take_while(|end| *end <= at)
        .last()
        .unwrap_or(at)
}

/// The name that opened the statement which ends at `end`, quoted.
fn statement_name(text: &str, end: usize) -> String {
    let mut depth = 0_usize;
    let mut name = None;
    for token in scan::tokens(&text[..end], 0) {
        let word = &text[token.span];
        match word {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            ";" | "{" | "}" | ":" if depth == 0 => name = None,
            _ if depth == 0 && name.is_none() => name = Some(word),
            _ => {}
        }
    }
    name.map_or_else(|| "this".to_owned(), quote)
}

/// `x: Dense(…);` for the name `x` that ends at `end`.
fn labelled(text: &str, end: usize) -> String {
    let last = scan::tokens(&text[..end], 0).last();
    let last = last.filter(|token| token.kind == TokenKind::Word);
    let name = last.map_or("name", |token| &text[token.span]);
    format!("`{name}: Dense(10);`")
}
