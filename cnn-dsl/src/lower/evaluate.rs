//! Constants and arithmetic: arguments as layers see them.

use std::cell::RefCell;
use std::collections::HashSet;

use crate::ast::{Arg, Call, Expr, ExprKind, Ident, Sign, Span};
use crate::diagnostics::{Diagnostic, did_you_mean, quote};

/// Deepest nesting of a value, with those of the constants in it.
const MAX_DEPTH: usize = 64;

/// The value of a constant or a parameter.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    /// `None` where a mistake in it has been reported.
    pub value: Option<Expr>,
    /// Where it is declared.
    pub span: Span,
    /// How deep it nests and how many parts it has.
    measure: [usize; 2],
}

impl Constant {
    pub(super) fn new(value: Option<Expr>, span: Span) -> Self {
        let measure = value.as_ref().map_or([0, 0], measure);
        Self { value, span, measure }
    }
}

/// Depth and number of parts.
fn measure(value: &Expr) -> [usize; 2] {
    let of = |items: &mut dyn Iterator<Item = &Expr>| {
        items.map(measure).fold([1, 1], |[depth, parts], [d, p]| [depth.max(d + 1), parts + p])
    };
    match &value.kind {
        ExprKind::Tuple(items) | ExprKind::List(items) => of(&mut items.iter()),
        ExprKind::Call(call) => of(&mut call.args.iter().map(|arg| &arg.value)),
        _ => [1, 1],
    }
}

/// What constants can be seen.
pub(super) trait Scope {
    fn find(&self, name: &str) -> Option<&Constant>;
    fn names(&self) -> Vec<&str>;
}

/// Where the names that were used are declared.
pub(super) type Used = RefCell<HashSet<usize>>;

/// Replaces constants by their values and arithmetic by its result.
pub(super) struct Evaluator<'e> {
    scope: &'e dyn Scope,
    /// How many parts of values may still be made, so that constants made of constants end.
    budget: &'e mut usize,
    used: &'e Used,
    pub errors: Vec<Diagnostic>,
    depth: usize,
}

impl<'e> Evaluator<'e> {
    pub(super) fn new(scope: &'e dyn Scope, budget: &'e mut usize, used: &'e Used) -> Self {
        Self { scope, budget, used, errors: Vec::new(), depth: 0 }
    }

    /// `None` if anything is wrong with it, which is then recorded, here or where it is declared.
    pub(super) fn call(&mut self, call: &Call) -> Option<Call> {
        let mut complete = true;
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            match self.expr(&arg.value) {
                Some(value) => args.push(Arg { name: arg.name.clone(), value }),
                None => complete = false,
            }
        }
        complete.then(|| Call { name: call.name.clone(), args })
    }

    pub(super) fn expr(&mut self, expr: &Expr) -> Option<Expr> {
        if self.depth >= MAX_DEPTH {
            self.error(expr.span.clone(), "the values nest too deep", "one level too many");
            return None;
        }
        self.depth += 1;
        let value = self.spend(1, &expr.span).and_then(|()| self.inner(expr));
        self.depth -= 1;
        value
    }

    fn inner(&mut self, expr: &Expr) -> Option<Expr> {
        let kind = match &expr.kind {
            ExprKind::Number(_) | ExprKind::Str(_) => expr.kind.clone(),
            ExprKind::Tuple(items) => ExprKind::Tuple(self.all(items)?),
            ExprKind::List(items) => ExprKind::List(self.all(items)?),
            ExprKind::Call(call) if call.args.is_empty() => match self.named(&call.name) {
                Some(value) => return value,
                None => expr.kind.clone(),
            },
            ExprKind::Call(call) => ExprKind::Call(self.call(call)?),
            ExprKind::Arithmetic { terms, signs } => {
                let mut terms = terms.iter();
                let mut result = self.integer(terms.next()?);
                for ((sign, at), term) in signs.iter().zip(terms) {
                    let right = self.integer(term);
                    result = Some(self.apply(*sign, at, result?, right?)?);
                }
                ExprKind::Number(result?.to_string())
            }
            ExprKind::Negated { at, value } => {
                let value = self.integer(value)?;
                ExprKind::Number(self.apply(Sign::Minus, at, 0, value)?.to_string())
            }
        };
        Some(Expr { kind, span: expr.span.clone() })
    }

    fn all(&mut self, items: &[Expr]) -> Option<Vec<Expr>> {
        let values: Vec<Option<Expr>> = items.iter().map(|item| self.expr(item)).collect();
        values.into_iter().collect()
    }

    /// The value of a constant; the outer `None` for other names.
    #[allow(clippy::option_option, reason = "no constant, a constant with a mistake, its value")]
    fn named(&mut self, name: &Ident) -> Option<Option<Expr>> {
        let constant = self.scope.find(&name.text)?;
        self.used.borrow_mut().insert(constant.span.start);
        let Some(value) = &constant.value else { return Some(None) };
        let [depth, parts] = constant.measure;
        if self.depth + depth > MAX_DEPTH {
            self.error(
                name.span.clone(),
                "the values nest too deep",
                "a constant within constants",
            );
            return Some(None);
        }
        Some(self.spend(parts, &name.span).map(|()| placed(value, &name.span)))
    }

    fn spend(&mut self, parts: usize, at: &Span) -> Option<()> {
        let left = self.budget.checked_sub(parts);
        // Said once: afterwards nothing is left.
        if left.is_none() && *self.budget > 0 {
            self.error(at.clone(), "the values of this text are too large", "too many parts");
        }
        *self.budget = left.unwrap_or(0);
        left.map(|_| ())
    }

    fn integer(&mut self, term: &Expr) -> Option<i64> {
        let value = self.expr(term)?;
        let at = term.span.clone();
        match &value.kind {
            ExprKind::Number(text) if !text.contains(['.', 'e', 'E']) => {
                text.replace('_', "").parse().ok().or_else(|| {
                    self.error(
                        at,
                        &format!("{} is too large to reckon with", quote(text)),
                        "beyond 64 bits",
                    );
                    None
                })
            }
            ExprKind::Call(call) if call.args.is_empty() => {
                let message = format!("no constant or parameter {}", quote(&call.name.text));
                let help = did_you_mean(&call.name.text, self.scope.names());
                let diagnostic = Diagnostic::new(at, message).label("no number of this name");
                self.errors.push(diagnostic.maybe_help(help));
                None
            }
            _ => {
                let message = format!("arithmetic takes whole numbers, found {}", quote(&value));
                self.error(at, &message, "not a whole number");
                None
            }
        }
    }

    fn apply(&mut self, sign: Sign, at: &Span, left: i64, right: i64) -> Option<i64> {
        let text = sign.text();
        let result = match sign {
            Sign::Plus => left.checked_add(right),
            Sign::Minus => left.checked_sub(right),
            Sign::Times => left.checked_mul(right),
            Sign::Over | Sign::Modulo if right == 0 => {
                let message = format!("division by zero: {left}{text}0");
                self.error(at.clone(), &message, "divides by 0");
                return None;
            }
            Sign::Over => match left.checked_rem(right) {
                Some(rest) if rest != 0 => {
                    let message = format!("{left} / {right} is not a whole number");
                    self.error(at.clone(), &message, format!("leaves a rest of {rest}")).help.push(
                        "round down on purpose: `(a - a % b) / b`, or choose sizes that divide"
                            .to_owned(),
                    );
                    return None;
                }
                _ => left.checked_div(right),
            },
            Sign::Modulo => left.checked_rem(right),
        };
        if result.is_none() {
            let message = format!("{left}{text}{right} is beyond 64 bits");
            self.error(at.clone(), &message, "overflows");
        }
        result
    }

    fn error(&mut self, at: Span, message: &str, label: impl Into<String>) -> &mut Diagnostic {
        self.errors.push(Diagnostic::new(at, message).label(label));
        let last = self.errors.len() - 1;
        &mut self.errors[last]
    }
}

/// A value as if it were written at `span`, so that mistakes lie where it is used.
fn placed(value: &Expr, span: &Span) -> Expr {
    let all = |items: &[Expr]| items.iter().map(|item| placed(item, span)).collect();
    let kind = match &value.kind {
        ExprKind::Tuple(items) => ExprKind::Tuple(all(items)),
        ExprKind::List(items) => ExprKind::List(all(items)),
        ExprKind::Call(call) => {
            let at = |name: &Ident| Ident { text: name.text.clone(), span: span.clone() };
            let args = call.args.iter().map(|arg| Arg {
                name: arg.name.as_ref().map(at),
                value: placed(&arg.value, span),
            });
            ExprKind::Call(Call { name: at(&call.name), args: args.collect() })
        }
        other => other.clone(),
    };
    Expr { kind, span: span.clone() }
}
