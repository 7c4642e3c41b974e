//! Numbers: sizes, pairs of them, shares.

use super::{Args, Interval};
use crate::ast::{Expr, ExprKind};
use crate::count::MAX_VALUES;
use crate::diagnostics::{quote, thousands};

impl Args<'_> {
    /// A positive integer without default; `None` if absent, which `bind` has reported.
    pub fn size(&mut self, name: &str) -> Option<u64> {
        let value = self.value(name)?;
        self.integer(value, name, "a positive integer")
    }

    /// A positive integer.
    pub fn size_or(&mut self, name: &str, default: u64) -> Option<u64> {
        match self.given(name) {
            Some(value) => self.integer(value, name, "a positive integer"),
            None => Some(default),
        }
    }

    /// A whole number of either sign.
    pub fn signed_or(&mut self, name: &str, default: i64) -> Option<i64> {
        let Some(value) = self.given(name) else { return Some(default) };
        match &value.kind {
            ExprKind::Number(text) if is_whole(text) => {
                text.replace('_', "").parse().ok().or_else(|| self.wrong(value, name, "an integer"))
            }
            _ => self.wrong(value, name, "an integer"),
        }
    }

    /// `3` or `(3, 3)`: height and width.
    pub fn pair(&mut self, name: &str) -> Option<[u64; 2]> {
        let value = self.value(name)?;
        self.pair_of(value, name)
    }

    /// `3` or `(3, 3)`: height and width.
    pub fn pair_or(&mut self, name: &str, default: [u64; 2]) -> Option<[u64; 2]> {
        match self.given(name) {
            Some(value) => self.pair_of(value, name),
            None => Some(default),
        }
    }

    /// `1` or `(1, 0)`, vertical and horizontal, or nothing. Zeros are fine.
    #[allow(clippy::option_option, reason = "a mistake, no value, a value")]
    pub fn offsets_or_none(&mut self, name: &str) -> Option<Option<[u64; 2]>> {
        match self.given(name) {
            Some(value) => self.pair_from(0, "non-negative", value, name).map(Some),
            None => Some(None),
        }
    }

    fn pair_of(&mut self, value: &Expr, name: &str) -> Option<[u64; 2]> {
        self.pair_from(1, "positive", value, name)
    }

    /// One or two integers of at least `least`, which are called `kind`.
    fn pair_from(&mut self, least: u64, kind: &str, value: &Expr, name: &str) -> Option<[u64; 2]> {
        let rule = format!("a {kind} integer or a pair of them");
        match &value.kind {
            ExprKind::Tuple(items) | ExprKind::List(items) => match items.as_slice() {
                [height, width] => {
                    let rule = format!("a pair of {kind} integers");
                    let height = self.integer_from(least, height, name, &rule);
                    let width = self.integer_from(least, width, name, &rule);
                    Some([height?, width?])
                }
                _ => self.wrong(value, name, &rule),
            },
            _ => self.integer_from(least, value, name, &rule).map(|size| [size, size]),
        }
    }

    /// One value as a positive integer; also for arguments outside a signature.
    pub fn integer(&mut self, value: &Expr, name: &str, rule: &str) -> Option<u64> {
        self.integer_from(1, value, name, rule)
    }

    fn integer_from(&mut self, least: u64, value: &Expr, name: &str, rule: &str) -> Option<u64> {
        let ExprKind::Number(text) = &value.kind else {
            let wrong = self.wrong(value, name, rule);
            self.suggest_number(value);
            return wrong;
        };
        if !is_whole(text) || text.starts_with('-') {
            let wrong = self.wrong(value, name, rule);
            self.suggest_whole(text);
            return wrong;
        }
        match text.replace('_', "").parse::<u64>() {
            Ok(size) if size < least => self.wrong(value, name, rule),
            Ok(size) if size <= MAX_VALUES => Some(size),
            Ok(_) | Err(_) => {
                let most = thousands(MAX_VALUES.into());
                let message = format!("size overflow: {} exceeds {most}", quote(text));
                self.error(value.span.clone(), &message, "too large");
                None
            }
        }
    }

    /// A number inside an interval, without default.
    pub fn number(&mut self, name: &str, interval: Interval) -> Option<f64> {
        let value = self.value(name)?;
        self.number_of(value, name, interval)
    }

    /// A number inside an interval.
    pub fn number_or(&mut self, name: &str, default: f64, interval: Interval) -> Option<f64> {
        match self.given(name) {
            Some(value) => self.number_of(value, name, interval),
            None => Some(default),
        }
    }

    /// One value as a number inside an interval.
    pub fn number_of(&mut self, value: &Expr, name: &str, interval: Interval) -> Option<f64> {
        let number = match &value.kind {
            ExprKind::Number(text) => text.replace('_', "").parse::<f64>().ok(),
            _ => None,
        };
        match number {
            // -0.0 and 0.0 mean the same; equal models must be equal in the IR.
            Some(number) if interval.contains(number) => Some(number + 0.0),
            Some(number) => {
                let wrong = self.wrong(value, name, interval.name);
                if interval.to <= 1.0 && (2.0..100.0).contains(&number) {
                    let share = number / 100.0;
                    self.help(format!("it is a share: for {number} per cent write `{share}`"));
                }
                wrong
            }
            None => {
                let wrong = self.wrong(value, name, interval.name);
                self.suggest_number(value);
                wrong
            }
        }
    }

    /// A way out of the mistake recorded last.
    pub(super) fn help(&mut self, help: String) {
        if let Some(error) = self.errors.last_mut() {
            error.help.push(help);
        }
    }

    /// `3.0` and `1e2` are whole numbers to a reader.
    pub(super) fn suggest_whole(&mut self, text: &str) {
        let number = text.replace('_', "").parse::<f64>().unwrap_or(f64::NAN);
        if number.fract() == 0.0 && (1.0..1e15).contains(&number) {
            self.help(format!("whole numbers are written without a point: `{number}`"));
        }
    }

    /// `"3"` is a number to a reader.
    pub(super) fn suggest_number(&mut self, value: &Expr) {
        if let ExprKind::Str(text) = &value.kind
            && text.trim().parse::<f64>().is_ok_and(f64::is_finite)
        {
            self.help(format!("numbers stand without quotes: `{}`", text.trim()));
        }
    }

    /// A number inside an interval, or nothing.
    #[allow(clippy::option_option, reason = "a mistake, no value, a value")]
    pub fn number_or_none(&mut self, name: &str, interval: Interval) -> Option<Option<f64>> {
        match self.given(name) {
            Some(value) => self.number_of(value, name, interval).map(Some),
            None => Some(None),
        }
    }
}

pub(super) fn is_whole(text: &str) -> bool {
    !text.contains(['.', 'e', 'E'])
}
