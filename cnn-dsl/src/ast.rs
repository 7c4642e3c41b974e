//! A text as it was written: names unresolved, every part with its byte range.

use std::fmt;
use std::ops::Range;

/// A byte range of the text.
pub type Span = Range<usize>;

/// A name and where it stands.
#[derive(Clone, Debug)]
pub struct Ident {
    /// The name.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// `model Name { item* }`
#[derive(Clone, Debug)]
pub struct Model {
    /// Doc comment lines without the `///`.
    pub docs: Vec<String>,
    /// The type's name.
    pub name: Ident,
    /// Its statements.
    pub items: Vec<Item>,
}

/// A statement: `input(…);`, a layer, `compile(…);`, `fit(…);`.
#[derive(Clone, Debug)]
pub struct Item {
    /// Doc comment lines without the `///`.
    pub docs: Vec<String>,
    /// `conv1:`
    pub label: Option<Ident>,
    /// The rest of it.
    pub call: Call,
    /// Statements in braces, and the range of the braces with all between them.
    pub block: Option<(Vec<Item>, Span)>,
}

/// `name(args)` or just `name`.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is called.
    pub name: Ident,
    /// With what.
    pub args: Vec<Arg>,
}

/// `value` or `name = value`.
#[derive(Clone, Debug)]
pub struct Arg {
    /// The part before `=`.
    pub name: Option<Ident>,
    /// The value.
    pub value: Expr,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Expr {
    /// The value.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// The forms of a value.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// As written, sign and underscores included, blanks removed.
    Number(String),
    /// The text between the quotes; means the same as the bare name.
    Str(String),
    /// `(a, b)`
    Tuple(Vec<Expr>),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `relu`, `RMSprop(rho = 0.9)`
    Call(Call),
}

impl Expr {
    /// The name that a bare name or a string gives.
    #[must_use]
    pub fn as_name(&self) -> Option<&str> {
        match &self.kind {
            ExprKind::Str(text) => Some(text),
            ExprKind::Call(call) if call.args.is_empty() => Some(&call.name.text),
            ExprKind::Call(_) | ExprKind::Number(_) | ExprKind::Tuple(_) | ExprKind::List(_) => {
                None
            }
        }
    }
}

/// In a normal form, so that an error reads the same whatever the spacing was.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(text) => f.write_str(text),
            ExprKind::Str(text) => write!(f, "\"{text}\""),
            ExprKind::Tuple(items) => {
                f.write_str("(")?;
                comma_separated(f, items)?;
                f.write_str(if items.len() == 1 { ",)" } else { ")" })
            }
            ExprKind::List(items) => {
                f.write_str("[")?;
                comma_separated(f, items)?;
                f.write_str("]")
            }
            ExprKind::Call(call) if call.args.is_empty() => f.write_str(&call.name.text),
            ExprKind::Call(call) => {
                write!(f, "{}(", call.name.text)?;
                comma_separated(f, &call.args)?;
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{} = ", name.text)?;
        }
        self.value.fmt(f)
    }
}

fn comma_separated<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
    }
    Ok(())
}
