//! A text as it was written: names unresolved, every part with its byte range.

use std::fmt;
use std::ops::Range;

/// A byte range: of the text, or, where `use` brought in others, of all texts laid end to end (see
/// [`Sources`](crate::source::Sources)).
pub type Span = Range<usize>;

/// A name and where it stands.
#[derive(Clone, Debug)]
pub struct Ident {
    /// The name.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// All of one text.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// `use "…";`
    pub uses: Vec<Use>,
    /// `const …;`
    pub constants: Vec<Constant>,
    /// `block … { … }`
    pub blocks: Vec<Block>,
    /// `model … { … }`
    pub models: Vec<Model>,
}

/// `use "path";`
#[derive(Clone, Debug)]
pub struct Use {
    /// The text between the quotes.
    pub path: String,
    /// Where it stands, with its quotes.
    pub span: Span,
}

/// `const name = value;`
#[derive(Clone, Debug)]
pub struct Constant {
    /// What it is called.
    pub name: Ident,
    /// What it stands for.
    pub value: Expr,
}

/// `block Name(params) { item* }`
#[derive(Clone, Debug)]
pub struct Block {
    /// What it is called.
    pub name: Ident,
    /// Its parameters in order.
    pub params: Vec<Param>,
    /// Its statements.
    pub body: Body,
}

/// `name` or `name = default`.
#[derive(Clone, Debug)]
pub struct Param {
    /// What it is called.
    pub name: Ident,
    /// What it is where no argument is given.
    pub default: Option<Expr>,
}

/// `model Name { item* }`
#[derive(Clone, Debug)]
pub struct Model {
    /// Doc comment lines without the `///`.
    pub docs: Vec<String>,
    /// The type's name.
    pub name: Ident,
    /// Its statements.
    pub body: Body,
}

/// `{ item* }`
#[derive(Clone, Debug)]
pub struct Body {
    /// What stands between the braces.
    pub items: Vec<Item>,
    /// The braces with all between them.
    pub span: Span,
}

/// What may stand between braces.
#[derive(Clone, Debug)]
pub enum Item {
    /// `const N = 3;`
    Constant(Constant),
    /// `assert params <= 250_000;`
    Assert(Assert),
    /// A branch.
    Body(Body),
    /// A layer or anything else.
    Statement(Statement),
}

/// `assert metric <= limit`
#[derive(Clone, Debug)]
pub struct Assert {
    /// What is measured.
    pub metric: Ident,
    /// How it compares.
    pub comparison: Comparison,
    /// With what.
    pub limit: Expr,
    /// From the metric to the limit.
    pub span: Span,
}

/// `<=` and its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `==`
    Equal,
    /// `>=`
    AtLeast,
    /// `>`
    Greater,
}

/// A statement: `input(…);`, a layer, `repeat 3 { … }`.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Doc comment lines without the `///`.
    pub docs: Vec<String>,
    /// `conv1:`
    pub label: Option<Ident>,
    /// The rest of it.
    pub form: Form,
}

/// The forms of a statement.
#[derive(Clone, Debug)]
pub enum Form {
    /// `Conv2D(32, 1)(stem);`
    Layer {
        /// What is called with which arguments.
        call: Call,
        /// What the second brackets hold.
        operands: Option<Vec<Expr>>,
    },
    /// `repeat 3 { … }`
    Clause(Clause),
}

impl Statement {
    /// The word that says what it is.
    #[must_use]
    pub fn name(&self) -> &Ident {
        match &self.form {
            Form::Layer { call, .. } => &call.name,
            Form::Clause(clause) => &clause.name,
        }
    }
}

/// `name value { item* } shortcut { item* }`
#[derive(Clone, Debug)]
pub struct Clause {
    /// `repeat`, `residual`, `branches`
    pub name: Ident,
    /// What stands before the brace.
    pub value: Option<Expr>,
    /// The braces.
    pub body: Body,
    /// `shortcut` and its braces.
    pub shortcut: Option<(Span, Body)>,
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
    /// `filters * 2 / 3`, signs of one rank from the left; gone when layers see their arguments,
    /// as is the next.
    Arithmetic {
        /// What stands between the signs, one more than there are signs.
        terms: Vec<Expr>,
        /// The signs and where they stand.
        signs: Vec<(Sign, Span)>,
    },
    /// `-filters`
    Negated {
        /// Where the sign stands.
        at: Span,
        /// What is behind it.
        value: Box<Expr>,
    },
}

impl Expr {
    /// The name that a bare name or a string gives.
    #[must_use]
    pub fn as_name(&self) -> Option<&str> {
        match &self.kind {
            ExprKind::Str(text) => Some(text),
            ExprKind::Call(call) if call.args.is_empty() => Some(&call.name.text),
            _ => None,
        }
    }
}

/// A sign of arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Times,
    /// `/`
    Over,
    /// `%`
    Modulo,
}

impl Sign {
    /// As it is written, with blanks around.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Plus => " + ",
            Self::Minus => " - ",
            Self::Times => " * ",
            Self::Over => " / ",
            Self::Modulo => " % ",
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
            ExprKind::Arithmetic { terms, signs } => {
                let signs = std::iter::once("").chain(signs.iter().map(|(sign, _)| sign.text()));
                for (sign, term) in signs.zip(terms) {
                    write!(f, "{sign}{term}")?;
                }
                Ok(())
            }
            ExprKind::Negated { value, .. } => write!(f, "-{value}"),
        }
    }
}

impl Comparison {
    /// As it is written.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Equal => "==",
            Self::AtLeast => ">=",
            Self::Greater => ">",
        }
    }

    /// Whether it holds.
    #[must_use]
    pub const fn holds(self, left: u64, right: u64) -> bool {
        match self {
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::Equal => left == right,
            Self::AtLeast => left >= right,
            Self::Greater => left > right,
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
