//! Text to AST.

use pest::Parser as _;
use pest::error::{ErrorVariant, InputLocation};
use pest::iterators::Pair;

use crate::ast::{Arg, Call, Expr, ExprKind, Ident, Item, Model, Span};
use crate::diagnostics::{Diagnostic, join, quote};
use crate::scan::{self, TokenKind};

#[allow(missing_docs, reason = "the derive documents nothing")]
mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "grammar.pest"]
    pub(super) struct Grammar;
}
use grammar::{Grammar, Rule};

/// Reads the models of a text.
///
/// # Errors
///
/// The first syntax error, in words.
pub fn parse(text: &str) -> Result<Vec<Model>, Diagnostic> {
    scan::check(text)?;
    let mut pairs = Grammar::parse(Rule::file, text).map_err(|error| syntax_error(text, &error))?;
    let file = pairs.next().into_iter().flat_map(Pair::into_inner);
    Ok(file.filter(|pair| pair.as_rule() == Rule::model).map(model).collect())
}

fn model(pair: Pair<'_, Rule>) -> Model {
    let mut model = Model {
        docs: Vec::new(),
        name: Ident { text: String::new(), span: span(&pair) },
        items: Vec::new(),
    };
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::doc_line | Rule::doc_block => docs(part.as_str(), &mut model.docs),
            Rule::model_name => model.name = ident(&part),
            Rule::block => model.items = items(part),
            _ => {}
        }
    }
    model
}

fn items(block: Pair<'_, Rule>) -> Vec<Item> {
    block.into_inner().filter(|part| part.as_rule() == Rule::item).map(item).collect()
}

fn item(pair: Pair<'_, Rule>) -> Item {
    let mut item = Item {
        docs: Vec::new(),
        label: None,
        call: Call { name: Ident { text: String::new(), span: span(&pair) }, args: Vec::new() },
        block: None,
    };
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::doc_line | Rule::doc_block => docs(part.as_str(), &mut item.docs),
            Rule::label => item.label = part.into_inner().next().as_ref().map(ident),
            Rule::call => item.call = call(part),
            Rule::block => {
                let span = span(&part);
                item.block = Some((items(part), span));
            }
            _ => {}
        }
    }
    item
}

fn call(pair: Pair<'_, Rule>) -> Call {
    let mut call =
        Call { name: Ident { text: String::new(), span: span(&pair) }, args: Vec::new() };
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::name => call.name = ident(&part),
            Rule::args => {
                let args = part.into_inner().filter(|part| part.as_rule() == Rule::arg);
                call.args = args.filter_map(arg).collect();
            }
            _ => {}
        }
    }
    call
}

fn arg(pair: Pair<'_, Rule>) -> Option<Arg> {
    let mut name = None;
    let mut value = None;
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::arg_name => name = part.into_inner().next().as_ref().map(ident),
            Rule::value => value = expr(part),
            _ => {}
        }
    }
    Some(Arg { name, value: value? })
}

fn expr(pair: Pair<'_, Rule>) -> Option<Expr> {
    let inner = pair.into_inner().next()?;
    let span = span(&inner);
    let kind = match inner.as_rule() {
        Rule::number => {
            ExprKind::Number(inner.as_str().split_whitespace().collect::<Vec<_>>().concat())
        }
        Rule::string => ExprKind::Str(inner.as_str().trim_matches('"').to_owned()),
        Rule::call => ExprKind::Call(call(inner)),
        Rule::list => ExprKind::List(values(inner).0),
        _ => match values(inner) {
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
fn values(pair: Pair<'_, Rule>) -> (Vec<Expr>, bool) {
    let mut commas = false;
    let mut items = Vec::new();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::comma => commas = true,
            Rule::value => items.extend(expr(part)),
            _ => {}
        }
    }
    (items, commas)
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

fn ident(pair: &Pair<'_, Rule>) -> Ident {
    Ident { text: pair.as_str().to_owned(), span: span(pair) }
}

fn span(pair: &Pair<'_, Rule>) -> Span {
    let span = pair.as_span();
    span.start()..span.end()
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
        return Diagnostic::new(end..end, format!("expected `;` after {name}, found {found}"))
            .label("a `;` is missing here");
    }
    let mut phrases: Vec<String> = Vec::new();
    for phrase in expected.iter().filter_map(|rule| phrase(*rule)) {
        if !phrases.iter().any(|seen| seen == phrase) {
            phrases.push(phrase.to_owned());
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
    if expected.contains(&Rule::model) || expected.contains(&Rule::model_keyword) {
        return diagnostic.help("a model is written `model Name { input(…); … }`");
    }
    diagnostic
}

/// What a reader calls what the grammar calls `rule`; `None` for what need not be mentioned.
fn phrase(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::model | Rule::model_keyword | Rule::visibility | Rule::file => "a model",
        Rule::EOI => "the end of the text",
        Rule::model_name => "the model's name",
        Rule::item | Rule::call | Rule::label => "a layer",
        Rule::name => "a name",
        Rule::arg => "an argument",
        Rule::value | Rule::number | Rule::list | Rule::tuple | Rule::string => "a value",
        Rule::unsigned => "a number",
        Rule::args | Rule::open_paren => "`(`",
        Rule::close_paren => "`)`",
        Rule::open_bracket => "`[`",
        Rule::close_bracket => "`]`",
        Rule::block | Rule::open_brace => "`{`",
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
