//! Values that are several numbers.

use super::numbers::is_whole;
use super::{Args, Interval};
use crate::ast::{Expr, ExprKind};
use crate::count::MAX_VALUES;

/// The items of a tuple or a list.
fn items(value: &Expr) -> Option<&[Expr]> {
    match &value.kind {
        ExprKind::Tuple(items) | ExprKind::List(items) => Some(items),
        _ => None,
    }
}

impl Args<'_> {
    /// Top, bottom, left, right: `1`, `(1, 2)` for both sides of each axis, or
    /// `((1, 2), (3, 4))`. 0 is allowed.
    pub fn sides_or(&mut self, name: &str, default: [u64; 4]) -> Option<[u64; 4]> {
        const RULE: &str = "a number of at least 0, a pair, or ((top, bottom), (left, right))";
        let Some(value) = self.given(name) else { return Some(default) };
        let Some(items) = items(value) else {
            return self.count(value, name, RULE).map(|all| [all; 4]);
        };
        let [down, across] = items else { return self.wrong(value, name, RULE) };
        let (down, across) = (self.both_sides(down, name), self.both_sides(across, name));
        let ([top, bottom], [left, right]) = (down?, across?);
        Some([top, bottom, left, right])
    }

    fn both_sides(&mut self, value: &Expr, name: &str) -> Option<[u64; 2]> {
        const RULE: &str = "a number of at least 0 or a pair of them on each axis";
        match items(value) {
            None => self.count(value, name, RULE).map(|both| [both; 2]),
            Some([before, behind]) => {
                let (before, behind) =
                    (self.count(before, name, RULE), self.count(behind, name, RULE));
                Some([before?, behind?])
            }
            Some(_) => self.wrong(value, name, RULE),
        }
    }

    /// One value as a whole number of at least 0.
    fn count(&mut self, value: &Expr, name: &str, rule: &str) -> Option<u64> {
        match &value.kind {
            ExprKind::Number(text) if text.replace('_', "").parse() == Ok(0_u64) => Some(0),
            _ => self.integer(value, name, rule),
        }
    }

    /// One whole number of either sign or several.
    pub fn integers_or(&mut self, name: &str, default: &[i64]) -> Option<Vec<i64>> {
        const RULE: &str = "an integer or a list of them";
        let Some(value) = self.given(name) else { return Some(default.to_vec()) };
        let items = items(value).unwrap_or(std::slice::from_ref(value));
        if items.is_empty() {
            return self.wrong(value, name, RULE);
        }
        let numbers: Vec<_> = items.iter().map(|item| self.any_integer(item, name, RULE)).collect();
        numbers.into_iter().collect()
    }

    fn any_integer(&mut self, value: &Expr, name: &str, rule: &str) -> Option<i64> {
        match &value.kind {
            ExprKind::Number(text) if is_whole(text) => {
                let number = text.replace('_', "").parse::<i64>();
                let number = number.ok().filter(|number| number.unsigned_abs() <= MAX_VALUES);
                number.or_else(|| self.wrong(value, name, rule))
            }
            _ => self.wrong(value, name, rule),
        }
    }

    /// One number or several, of the range of weights.
    pub fn numbers_or(&mut self, name: &str, default: &[f64]) -> Option<Vec<f64>> {
        const RULE: &str = "a number or a list of them";
        let Some(value) = self.given(name) else { return Some(default.to_vec()) };
        let items = items(value).unwrap_or(std::slice::from_ref(value));
        if items.is_empty() {
            return self.wrong(value, name, RULE);
        }
        let rule = Interval { name: RULE, ..Interval::ANY };
        let numbers: Vec<_> = items.iter().map(|item| self.number_of(item, name, rule)).collect();
        numbers.into_iter().collect()
    }
}
