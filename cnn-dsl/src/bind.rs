//! Arguments against a signature: positions, names, types, ranges. Shared by every layer,
//! `compile`, `fit` and the optimizers.

mod lists;
mod numbers;

use crate::ast::{Call, Expr, ExprKind, Ident, Span};
use crate::diagnostics::{Diagnostic, closest, did_you_mean, join, quote};

/// What can be called, with its parameters in Keras's order.
#[derive(Debug)]
pub struct Signature<'a> {
    /// Keras's name, or a block's.
    pub name: &'a str,
    /// In the order of positional arguments.
    pub params: &'a [Param<'a>],
}

/// One parameter.
#[derive(Debug)]
pub struct Param<'a> {
    /// Keras's name, or a block's.
    pub name: &'a str,
    need: Need,
}

impl Param<'_> {
    /// Whether it takes more than Keras's default.
    #[must_use]
    pub const fn is_supported(&self) -> bool {
        !matches!(self.need, Need::Unsupported { .. })
    }
}

#[derive(Debug)]
enum Need {
    Required,
    Unless { other: &'static str },
    Optional,
    Unsupported { accepted: &'static str },
}

/// A parameter without default.
#[must_use]
pub const fn required(name: &str) -> Param<'_> {
    Param { name, need: Need::Required }
}

/// A parameter without default that need not be given if `other` is.
#[must_use]
pub const fn required_unless(name: &'static str, other: &'static str) -> Param<'static> {
    Param { name, need: Need::Unless { other } }
}

/// A parameter with a default.
#[must_use]
pub const fn optional(name: &str) -> Param<'_> {
    Param { name, need: Need::Optional }
}

/// A parameter of Keras that is not supported yet; `accepted`, its default there, is let pass.
#[must_use]
pub const fn unsupported(name: &'static str, accepted: &'static str) -> Param<'static> {
    Param { name, need: Need::Unsupported { accepted } }
}

/// An interval of numbers, and its name in messages.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// Smallest number allowed.
    pub from: f64,
    /// Largest number allowed, or the first that is not.
    pub to: f64,
    /// Whether `to` itself is excluded.
    pub half_open: bool,
    /// As in "must be a rate in [0,1)".
    pub name: &'static str,
}

impl Interval {
    /// Zero and above.
    pub const NON_NEGATIVE: Self =
        Self { from: 0.0, to: f32::MAX as f64, half_open: false, name: "a number of at least 0" };
    /// A share that leaves something.
    pub const RATE: Self = Self { from: 0.0, to: 1.0, half_open: true, name: "a rate in [0,1)" };
    /// A share, all of it included.
    pub const SHARE: Self =
        Self { from: 0.0, to: 1.0, half_open: false, name: "a number in [0,1]" };
    /// Above zero.
    pub const POSITIVE: Self = Self {
        from: f64::MIN_POSITIVE,
        to: f32::MAX as f64,
        half_open: false,
        name: "a number greater than 0",
    };

    /// Whatever a weight can be.
    pub const ANY: Self = Self {
        from: f32::MIN as f64,
        to: f32::MAX as f64,
        half_open: false,
        name: "a 32-bit number",
    };

    fn contains(self, value: f64) -> bool {
        value >= self.from && if self.half_open { value < self.to } else { value <= self.to }
    }
}

/// What every layer takes beside its own parameters, by name only.
const OF_LAYERS: &[Param<'_>] = &[optional("trainable")];

/// The arguments of one call, sorted to the parameters of its signature. A getter that finds a
/// mistake records it and gives `None`.
#[derive(Debug)]
pub struct Args<'a> {
    owner: String,
    at: Span,
    signature: &'a Signature<'a>,
    /// Parameters behind those of the signature.
    common: &'a [Param<'a>],
    values: Vec<Option<&'a Expr>>,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    history: Vec<usize>,
}

impl<'a> Args<'a> {
    /// Sorts the arguments of `call` to the parameters of `signature`. `owner` opens every
    /// message, as in "Dense layer `dense`".
    #[must_use]
    pub fn bind(signature: &'a Signature<'a>, call: &'a Call, owner: impl Into<String>) -> Self {
        Self::bind_with(signature, &[], call, owner.into())
    }

    /// Sorts the arguments of a layer, which may be those that every layer takes.
    #[must_use]
    pub fn bind_layer(signature: &'a Signature<'a>, call: &'a Call, owner: String) -> Self {
        Self::bind_with(signature, OF_LAYERS, call, owner)
    }

    fn bind_with(
        signature: &'a Signature<'a>,
        common: &'a [Param<'a>],
        call: &'a Call,
        owner: String,
    ) -> Self {
        let params = signature.params.len() + common.len();
        let mut args = Self {
            owner,
            at: call.name.span.clone(),
            signature,
            common,
            values: vec![None; params],
            errors: Vec::new(),
            warnings: Vec::new(),
            history: Vec::new(),
        };
        let mut first_named: Option<&Ident> = None;
        let mut misplaced = vec![false; params];
        for (position, arg) in call.args.iter().enumerate() {
            let slot = match (&arg.name, first_named) {
                (Some(name), _) => {
                    first_named = first_named.or(Some(name));
                    args.slot_of(name)
                }
                (None, Some(named)) => {
                    args.report_late_position(&arg.value, named);
                    // Whatever it was meant for, it is not missing as well.
                    misplaced.fill(true);
                    None
                }
                (None, None) => args.slot_at(position, arg.value.span.clone()),
            };
            if let Some(slot) = slot {
                args.fill(slot, arg.name.as_ref(), &arg.value);
            } else if arg.name.is_some() {
                misplaced.fill(true);
            }
        }
        args.report_missing(&misplaced);
        args
    }

    fn params(&self) -> impl Iterator<Item = &'a Param<'a>> + use<'a> {
        self.signature.params.iter().chain(self.common)
    }

    fn slot(&self, name: &str) -> Option<usize> {
        self.params().position(|param| param.name == name)
    }

    fn slot_of(&mut self, name: &Ident) -> Option<usize> {
        let slot = self.slot(&name.text);
        if slot.is_none() {
            let own = self.signature.params.iter();
            let known = own.filter(|param| !matches!(param.need, Need::Unsupported { .. }));
            let known: Vec<String> = known.map(|param| quote(param.name)).collect();
            let help = special_help(&name.text)
                .or_else(|| did_you_mean(&name.text, self.params().map(|param| param.name)))
                .unwrap_or_else(|| match known.as_slice() {
                    [] => "it takes no arguments".to_owned(),
                    known => format!("it takes {}", join(known, "and")),
                });
            let message = format!("{}: no argument {}", self.owner, quote(&name.text));
            self.errors.push(
                Diagnostic::new(name.span.clone(), message).label("unknown argument").help(help),
            );
        }
        slot
    }

    fn slot_at(&mut self, position: usize, span: Span) -> Option<usize> {
        let most = self.signature.params.len();
        if position < most {
            return Some(position);
        }
        // One error for all that is too much.
        if position == most {
            let message = match most {
                0 => format!("{}: takes no arguments", self.owner),
                1 => format!("{}: takes at most 1 argument", self.owner),
                _ => format!("{}: takes at most {most} arguments", self.owner),
            };
            self.errors.push(Diagnostic::new(span, message).label("one too many"));
        }
        None
    }

    fn report_late_position(&mut self, value: &Expr, named: &Ident) {
        let message = format!("{}: an argument without a name follows one with a name", self.owner);
        self.errors.push(
            Diagnostic::new(value.span.clone(), message)
                .label("whose value is this?")
                .secondary(named.span.clone(), "arguments have names from here on")
                .help(format!("write `name = {value}`, or move it to the front")),
        );
    }

    fn fill(&mut self, slot: usize, name: Option<&Ident>, value: &'a Expr) {
        let Some(param) = self.params().nth(slot) else { return };
        if let Some(first) = self.values[slot] {
            let at = name.map_or(&value.span, |name| &name.span).clone();
            let message = format!("{}: `{}` is given twice", self.owner, param.name);
            self.errors.push(
                Diagnostic::new(at, message)
                    .label("the second time")
                    .secondary(first.span.clone(), "the first time"),
            );
            return;
        }
        self.values[slot] = Some(value);
        if let Need::Unsupported { accepted } = param.need
            && !means(value, accepted)
        {
            let at = name.map_or(value.span.start, |name| name.span.start)..value.span.end;
            let message = format!("{}: `{}` is not supported yet", self.owner, param.name);
            self.errors.push(
                Diagnostic::new(at, message)
                    .label(format!("only the default for now: `{accepted}`")),
            );
        }
    }

    fn report_missing(&mut self, misplaced: &[bool]) {
        let missing: Vec<String> = self
            .params()
            .zip(&self.values)
            .zip(misplaced)
            .filter(|((param, value), misplaced)| {
                let needed = match param.need {
                    Need::Required => true,
                    Need::Unless { other } => self.value(other).is_none(),
                    Need::Optional | Need::Unsupported { .. } => false,
                };
                needed && value.is_none() && !**misplaced
            })
            .map(|((param, _), _)| quote(param.name))
            .collect();
        if !missing.is_empty() {
            let missing = join(&missing, "and");
            self.errors.push(
                Diagnostic::new(self.at.clone(), format!("{}: needs {missing}", self.owner))
                    .label(format!("{missing} not given")),
            );
        }
    }

    /// The values in the order of the parameters, `None` where one is left out.
    #[must_use]
    pub fn values(&self) -> &[Option<&'a Expr>] {
        &self.values
    }

    /// Whether there is a parameter of this name, and it is supported.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        self.signature.params.iter().any(|param| param.name == name && param.is_supported())
    }

    /// Who is asked for these arguments, as messages put it.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Where the name of the call stands.
    #[must_use]
    pub fn at(&self) -> Span {
        self.at.clone()
    }

    /// Where the value of `name` stands; the call's name where it is absent.
    #[must_use]
    pub fn span(&self, name: &str) -> Span {
        self.value(name).map_or_else(|| self.at(), |value| value.span.clone())
    }

    /// Where the first of some parameters that is given stands; the call's name without any.
    #[must_use]
    pub fn span_of_first(&self, names: &[&str]) -> Span {
        let given = names.iter().find_map(|name| self.given_if_known(name));
        given.map_or_else(|| self.at(), |value| value.span.clone())
    }

    /// Whether a mistake was found.
    #[must_use]
    pub fn failed(&self) -> bool {
        !self.errors.is_empty()
    }

    /// The mistakes found.
    #[must_use]
    pub fn into_errors(self) -> Vec<Diagnostic> {
        self.errors
    }

    /// The mistakes found, or else the warnings. `history` is added to the mistakes that the
    /// shapes before this layer explain.
    #[must_use]
    pub fn into_diagnostics(mut self, history: impl FnOnce() -> Option<String>) -> Vec<Diagnostic> {
        if !self.history.is_empty() {
            let history = history();
            for error in self.history {
                self.errors[error].notes.extend(history.clone());
            }
        }
        if self.errors.is_empty() { self.warnings } else { self.errors }
    }

    /// Says that the shapes before this layer explain the mistake recorded last.
    pub fn explained_by_shapes(&mut self) {
        self.history.extend(self.errors.len().checked_sub(1));
    }

    /// Records something that works, but is probably not meant.
    pub fn warn(&mut self, at: Span, message: &str, label: impl Into<String>) -> &mut Diagnostic {
        let message = format!("{}: {message}", self.owner);
        self.warnings.push(Diagnostic::warning(at, message).label(label));
        let last = self.warnings.len() - 1;
        &mut self.warnings[last]
    }

    /// The mistake recorded last, to add to it.
    pub fn last_error(&mut self) -> Option<&mut Diagnostic> {
        self.errors.last_mut()
    }

    /// Records a mistake; the message is put behind the owner.
    pub fn error(&mut self, at: Span, message: &str, label: impl Into<String>) -> &mut Diagnostic {
        let message = format!("{}: {message}", self.owner);
        self.errors.push(Diagnostic::new(at, message).label(label));
        let last = self.errors.len() - 1;
        &mut self.errors[last]
    }

    /// The value of a parameter, `None` where it is left out.
    ///
    /// # Panics
    ///
    /// If the signature has no such parameter.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'a Expr> {
        self.values[self.slot(name).expect("a parameter of the signature")]
    }

    /// The value of a parameter, `None` where it is left out, is `None`, or there is no such
    /// parameter.
    #[must_use]
    pub fn given_if_known(&self, name: &str) -> Option<&'a Expr> {
        self.values[self.slot(name)?].filter(|value| !is_none(value))
    }

    fn given(&self, name: &str) -> Option<&'a Expr> {
        self.value(name).filter(|value| !is_none(value))
    }

    /// Takes over the mistakes in a call that is one of the values.
    pub fn absorb(&mut self, nested: Args<'_>) {
        self.errors.extend(nested.errors);
    }

    fn wrong<T>(&mut self, value: &Expr, name: &str, rule: &str) -> Option<T> {
        let message = format!("`{name}` must be {rule}, found {}", quote(value));
        self.error(value.span.clone(), &message, format!("not {rule}"));
        None
    }

    /// `true` or `false`.
    pub fn flag_or(&mut self, name: &str, default: bool) -> Option<bool> {
        let flag = self.choice_or(name, &[("true", true), ("false", false)], default);
        let meant = match self.value(name).map(|value| (&value.kind, value.as_name())) {
            Some((ExprKind::Number(text), _)) if text == "1" => "true",
            Some((ExprKind::Number(text), _)) if text == "0" => "false",
            Some((_, Some("yes" | "on"))) => "true",
            Some((_, Some("no" | "off"))) => "false",
            _ => return flag,
        };
        self.help(format!("write `{meant}`"));
        flag
    }

    /// One of several names.
    pub fn choice_or<T: Copy>(
        &mut self,
        name: &str,
        choices: &[(&str, T)],
        default: T,
    ) -> Option<T> {
        match self.value(name) {
            Some(value) => self.choice_of(value, name, choices, &[]),
            None => Some(default),
        }
    }

    /// `value` as one of several names; `later` are names that are not supported yet.
    pub fn choice_of<T: Copy>(
        &mut self,
        value: &Expr,
        name: &str,
        choices: &[(&str, T)],
        later: &[&str],
    ) -> Option<T> {
        self.choice_of_any(value, name, choices, &[], later)
    }

    /// The same; `others` are names that a choice has beside the one that is listed.
    pub fn choice_of_any<T: Copy>(
        &mut self,
        value: &Expr,
        name: &str,
        choices: &[(&str, T)],
        others: &[&str],
        later: &[&str],
    ) -> Option<T> {
        let found = value.as_name();
        if let Some(&(_, choice)) = choices.iter().find(|(known, _)| Some(*known) == found) {
            return Some(choice);
        }
        let span = value.span.clone();
        if let Some(found) = found.filter(|found| later.contains(found)) {
            let message = format!("`{name} = {found}` is not supported yet");
            let diagnostic = self.error(span, &message, "not supported yet");
            diagnostic.help.push(format!("use {}", listing(choices)));
            return None;
        }
        let help = found.and_then(|found| {
            let known = choices.iter().map(|(known, _)| *known).chain(others.iter().copied());
            did_you_mean(found, known).or_else(|| {
                let name = closest(found, later.iter().copied())?;
                Some(format!("`{name}` is not supported yet: use {}", listing(choices)))
            })
        });
        // A long list is only shown where nothing better can be said.
        let (rule, help) = if choices.len() > MANY {
            ("a known name".to_owned(), help.or_else(|| Some(format!("use {}", listing(choices)))))
        } else {
            (listing(choices), help)
        };
        let message = format!("`{name}` must be {rule}, found {}", quote(value));
        let diagnostic = self.error(span, &message, format!("not a valid `{name}`"));
        diagnostic.help.extend(help);
        None
    }
}

/// The most names that a message lists.
const MANY: usize = 4;

fn listing<T>(choices: &[(&str, T)]) -> String {
    let names: Vec<String> = choices.iter().map(|(known, _)| quote(known)).collect();
    join(&names, "or")
}

/// Arguments that Keras takes for every layer and that have their own place here.
fn special_help(name: &str) -> Option<String> {
    match name {
        "name" => Some("a layer is named by a label: `conv1: Conv2D(…);`".to_owned()),
        "input_shape" | "input_dim" => {
            Some("the input has a statement of its own: `input(28, 28, 1);`".to_owned())
        }
        "dtype" => Some(format!("`{name}` is not supported yet")),
        _ => None,
    }
}

fn is_none(value: &Expr) -> bool {
    matches!(value.as_name(), Some("None" | "none"))
}

/// Whether `value` is `accepted`, in whatever notation.
fn means(value: &Expr, accepted: &str) -> bool {
    match (&value.kind, value.as_name()) {
        (_, Some(name)) => name == accepted || is_none(value),
        (ExprKind::Number(text), None) => {
            let number = |text: &str| text.replace('_', "").parse::<f64>().ok();
            number(text).is_some_and(|value| number(accepted) == Some(value))
        }
        _ => false,
    }
}
