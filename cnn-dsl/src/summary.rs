//! The table that Keras's `model.summary()` prints.

use std::fmt::Write as _;

use crate::diagnostics::thousands;
use crate::ir::{Model, Shape};
use crate::names::snake_case;

/// Widths of the three columns' text, as Keras fixes them.
const WIDTHS: [usize; 3] = [31, 22, 13];

/// The summary of a model, character for character as Keras prints it, with `None` for the batch
/// dimension. Every line ends with a newline.
#[must_use]
pub fn table(model: &Model) -> String {
    let mut out = format!("Model: \"{}\"\n", snake_case(&model.name));
    rule(&mut out, '━', ['┏', '┳', '┓']);
    let header = ["Layer (type)", "Output Shape", "Param #"].map(str::to_owned);
    row(&mut out, '┃', &header);
    rule(&mut out, '━', ['┡', '╇', '┩']);
    for (i, layer) in model.layers.iter().enumerate() {
        if i > 0 {
            rule(&mut out, '─', ['├', '┼', '┤']);
        }
        let name = format!("{} ({})", layer.name, layer.kind.class());
        row(&mut out, '│', &[name, shape(&layer.output), thousands(layer.params().into())]);
    }
    rule(&mut out, '─', ['└', '┴', '┘']);
    let trainable = model.trainable_params();
    total(&mut out, "Total", model.params());
    total(&mut out, "Trainable", trainable);
    total(&mut out, "Non-trainable", model.params() - trainable);
    out
}

/// `(None, 28, 28, 32)`
fn shape(shape: &Shape) -> String {
    let sizes: Vec<String> = shape.0.iter().map(u64::to_string).collect();
    format!("(None, {})", sizes.join(", "))
}

fn rule(out: &mut String, line: char, [left, middle, right]: [char; 3]) {
    out.push(left);
    for (i, width) in WIDTHS.iter().enumerate() {
        if i > 0 {
            out.push(middle);
        }
        out.extend(std::iter::repeat_n(line, width + 2));
    }
    out.push(right);
    out.push('\n');
}

fn row(out: &mut String, bar: char, cells: &[String; 3]) {
    let cells: Vec<Vec<String>> =
        cells.iter().zip(WIDTHS).map(|(cell, width)| wrap(cell, width)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    for line in 0..height {
        let [name, shape, params] =
            [0, 1, 2].map(|column| cells[column].get(line).map_or("", String::as_str));
        let [w0, w1, w2] = WIDTHS;
        let _ = writeln!(out, "{bar} {name:w0$} {bar} {shape:w1$} {bar} {params:>w2$} {bar}");
    }
}

/// Breaks at blanks, and inside a word only where it is longer than a line.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let word: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + word.len() <= width {
            line.push(' ');
            line.extend(&word);
            used += 1 + word.len();
            continue;
        }
        if used > 0 {
            lines.push(std::mem::take(&mut line));
        }
        for (i, piece) in word.chunks(width).enumerate() {
            if i > 0 {
                lines.push(std::mem::take(&mut line));
            }
            line.extend(piece);
            used = piece.len();
        }
    }
    lines.push(line);
    lines
}

fn total(out: &mut String, what: &str, params: u64) {
    // Weights are f32.
    let size = memory(params as f64 * 4.0);
    let _ = writeln!(out, " {what} params: {} ({size})", thousands(params.into()));
}

/// `860.29 KB`: binary units under their decimal names, as in Keras.
fn memory(mut bytes: f64) -> String {
    const UNITS: [&str; 6] = ["B", "KB", "MB", "GB", "TB", "PB"];
    let mut unit = 0;
    while bytes >= 1024.0 && unit + 1 < UNITS.len() {
        bytes /= 1024.0;
        unit += 1;
    }
    format!("{bytes:.2} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_cells_wrap_at_blanks_and_very_long_words_anywhere() {
        assert_eq!(wrap("conv2d (Conv2D)", 31), ["conv2d (Conv2D)"]);
        assert_eq!(
            wrap("max_pooling2d_of_the_second (MaxPooling2D)", 31),
            ["max_pooling2d_of_the_second", "(MaxPooling2D)"]
        );
        assert_eq!(wrap("abcdefg (X)", 5), ["abcde", "fg", "(X)"]);
        assert_eq!(wrap("abcdefg X", 5), ["abcde", "fg X"]);
    }

    #[test]
    fn memory_is_keras() {
        // The three totals of Keras 3's own summaries.
        assert_eq!(memory(220_234.0 * 4.0), "860.29 KB");
        assert_eq!(memory(669_706.0 * 4.0), "2.55 MB");
        assert_eq!(memory(528_054.0 * 4.0), "2.01 MB");
        assert_eq!(memory(0.0), "0.00 B");
    }
}
