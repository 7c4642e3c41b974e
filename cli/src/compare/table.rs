//! A comparison for readers.

use std::path::Path;

use cnn_dsl::diagnostics::thousands;
use cnn_dsl::ir::Layer;
use cnn_dsl::names::snake_case;

use super::align::{Change, Row};
use super::{Comparison, TOTALS};

/// Totals, then a line for each layer: `~` changed, `+` added, `-` removed.
pub fn print(comparison: &Comparison<'_>, files: [&Path; 2]) -> String {
    let [before, after] = [0, 1].map(|side| {
        let model = snake_case(&comparison.models[side].name);
        format!("{model} ({})", files[side].display())
    });
    let mut totals = vec![[String::new(), before, after, "difference".to_owned()]];
    for ((_, name), [old, new]) in TOTALS.iter().zip(comparison.totals) {
        totals.push([(*name).to_owned(), count(old), count(new), difference(old, new)]);
    }
    let mut layers = vec![
        ["", "layer", "type", "output", "parameters", "multiply-adds", "changed"]
            .map(str::to_owned),
    ];
    layers.extend(comparison.rows.iter().map(cells));
    let mut out = columns(&totals, &[false, true, true, true]);
    out.push('\n');
    out += &columns(&layers, &[false, false, false, false, true, true, false]);
    out
}

fn cells(row: &Row<'_>) -> [String; 7] {
    let both = |show: &dyn Fn(&Layer) -> String| {
        let [old, new] = [row.before, row.after].map(|layer| layer.map(show));
        match (old, new) {
            (Some(old), Some(new)) if old != new => format!("{old} → {new}"),
            (old, new) => new.or(old).unwrap_or_default(),
        }
    };
    let change = row.change();
    // The other columns show for themselves.
    let hidden = ["arguments", "weights", "inputs"];
    let mut notes: Vec<&str> =
        row.changed.iter().copied().filter(|key| hidden.contains(key)).collect();
    if matches!(change, Change::Added | Change::Removed) {
        notes.push(change.name());
    }
    [
        change.mark().to_owned(),
        both(&|layer| layer.name.clone()),
        both(&|layer| layer.kind.class().to_owned()),
        both(&|layer| layer.output.to_string()),
        both(&|layer| count(layer.params())),
        both(&|layer| count(layer.macs)),
        notes.join(", "),
    ]
}

fn count(number: u64) -> String {
    thousands(number.into())
}

/// `-211,224 (-95.9%)`
fn difference(before: u64, after: u64) -> String {
    if before == after {
        return "0".to_owned();
    }
    let sign = if after > before { '+' } else { '-' };
    let size = count(after.abs_diff(before));
    if before == 0 {
        return format!("{sign}{size}");
    }
    let share = 100.0 * after.abs_diff(before) as f64 / before as f64;
    format!("{sign}{size} ({sign}{share:.1}%)")
}

/// Cells below each other, to the right where it says so.
fn columns<const N: usize>(rows: &[[String; N]], right: &[bool; N]) -> String {
    let width = |cell: &String| cell.chars().count();
    let widths: [usize; N] =
        std::array::from_fn(|i| rows.iter().map(|row| width(&row[i])).max().unwrap_or(0));
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (i, cell) in row.iter().enumerate() {
            let gap = if i == 0 {
                0
            } else if widths[i - 1] > 1 {
                2
            } else {
                1
            };
            let pad = widths[i] - width(cell);
            let (left, after) = if right[i] { (pad, 0) } else { (0, pad) };
            line.extend(std::iter::repeat_n(' ', gap + left));
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', after));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_signed_and_relative() {
        assert_eq!(difference(1_000, 1_000), "0");
        assert_eq!(difference(1_000, 2_500), "+1,500 (+150.0%)");
        assert_eq!(difference(1_000, 1), "-999 (-99.9%)");
        assert_eq!(difference(0, 7), "+7");
    }
}
