//! How a training went.

use std::fmt::Write as _;

use crate::error::{Error, same_count, within};
use crate::svg::{Anchor, Drawing, Svg, short};

const WIDTH: f64 = 480.0;
const PANEL: f64 = 270.0;
/// The plot inside its panel: left, top, right, bottom.
const PLOT: [f64; 4] = [56.0, 34.0, WIDTH - 16.0, PANEL - 40.0];

/// The colours of matplotlib's first lines.
const COLORS: [&str; 4] = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728"];

/// A line of a chart: a value for each epoch. What is not finite is left out.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Stands in the legend.
    pub name: &'a str,
    /// The first belongs to epoch 1.
    pub values: &'a [f32],
}

/// What was measured after each epoch. Lists without values are not drawn.
#[derive(Clone, Copy, Debug, Default)]
pub struct History<'a> {
    /// Loss on the training data.
    pub loss: &'a [f32],
    /// Loss on the validation data.
    pub val_loss: &'a [f32],
    /// Accuracy on the training data, in [0, 1].
    pub accuracy: &'a [f32],
    /// Accuracy on the validation data, in [0, 1].
    pub val_accuracy: &'a [f32],
}

/// A panel of loss above one of accuracy, each with training and validation, by epochs.
///
/// # Errors
///
/// [`Error::Empty`] without losses and accuracies; [`Error::Count`] if validation was measured, but not
/// as often as training; [`Error::NotFinite`] if a panel has no finite value; [`Error::Range`] beyond
/// 100,000 epochs.
pub fn training_curves(history: &History<'_>) -> Result<Svg, Error> {
    let panels = [
        ("Loss", "losses", history.loss, history.val_loss),
        ("Accuracy", "accuracies", history.accuracy, history.val_accuracy),
    ];
    let mut drawn = Vec::new();
    for (title, what, training, validation) in panels {
        if !training.is_empty() && !validation.is_empty() {
            same_count("values of validation", validation.len(), what, training.len())?;
        }
        let lines = [("training", training), ("validation", validation)]
            .map(|(name, values)| Line { name, values });
        if lines.iter().any(|line| !line.values.is_empty()) {
            drawn.push((title, lines));
        }
    }
    if drawn.is_empty() {
        return Err(Error::Empty("epochs"));
    }
    let mut drawing = Drawing::new(WIDTH, PANEL * drawn.len() as f64, "Loss and accuracy by epoch");
    for (i, (title, lines)) in drawn.iter().enumerate() {
        panel(&mut drawing, PANEL * i as f64, title, lines)?;
    }
    Ok(drawing.finish())
}

/// Up to four lines over epochs, in one panel.
///
/// # Errors
///
/// [`Error::Range`] for none or more than four lines, or more than 100,000 epochs; [`Error::Empty`]
/// without values; [`Error::NotFinite`] without a finite one.
pub fn line_chart(title: &str, lines: &[Line<'_>]) -> Result<Svg, Error> {
    within("the number of lines", lines.len(), 1, COLORS.len())?;
    let mut drawing = Drawing::new(WIDTH, PANEL, &format!("{title} by epoch"));
    panel(&mut drawing, 0.0, title, lines)?;
    Ok(drawing.finish())
}

/// Where values lie on the paper.
struct Axes {
    top: f64,
    epochs: usize,
    low: f64,
    high: f64,
}

impl Axes {
    fn x(&self, epoch: f64) -> f64 {
        let [left, _, right, _] = PLOT;
        // A single epoch stands in the middle.
        let share = if self.epochs < 2 { 0.5 } else { (epoch - 1.0) / (self.epochs - 1) as f64 };
        left + 8.0 + share * (right - left - 16.0)
    }

    fn y(&self, value: f64) -> f64 {
        let [_, top, _, bottom] = PLOT;
        self.top + bottom - (value - self.low) / (self.high - self.low) * (bottom - top)
    }
}

fn panel(drawing: &mut Drawing, top: f64, title: &str, lines: &[Line<'_>]) -> Result<(), Error> {
    let epochs = lines.iter().map(|line| line.values.len()).max().unwrap_or(0);
    if epochs == 0 {
        return Err(Error::Empty("epochs"));
    }
    within("the number of epochs", epochs, 1, 100_000)?;
    let finite = || {
        let values = lines.iter().flat_map(|line| line.values);
        values.filter(|value| value.is_finite()).map(|&value| f64::from(value))
    };
    let (low, high) = (finite().reduce(f64::min), finite().reduce(f64::max));
    let (Some(low), Some(high)) = (low, high) else { return Err(Error::NotFinite("epochs")) };
    let (low, high, step) = ticks(low, high);
    let axes = Axes { top, epochs, low, high };
    frame(drawing, &axes, title, step);
    for (line, color) in lines.iter().zip(COLORS) {
        curve(drawing, &axes, line, color);
    }
    legend(drawing, top, lines);
    Ok(())
}

/// Title, grid, and the numbers at both axes.
fn frame(drawing: &mut Drawing, axes: &Axes, title: &str, step: f64) {
    let [left, above, right, below] = PLOT;
    let (above, below) = (axes.top + above, axes.top + below);
    drawing.text(
        left,
        axes.top + 22.0,
        15.0,
        Anchor::Start,
        title,
        "fill=\"#111\" font-weight=\"bold\"",
    );
    let digits = (-step.log10().floor()).clamp(0.0, 9.0);
    #[allow(clippy::cast_sign_loss)]
    let digits = digits as usize;
    let count = ((axes.high - axes.low) / step).round() as i32;
    for n in 0..=count {
        let value = axes.low + f64::from(n) * step;
        let y = short(axes.y(value));
        drawing.path(&format!("M{left} {y}H{right}"), "stroke=\"#ddd\"");
        let label = if axes.low.abs().max(axes.high.abs()) >= 1e6 || step < 1e-5 {
            format!("{value:.2e}")
        } else {
            format!("{:.digits$}", value + 0.0)
        };
        drawing.text(left - 6.0, y + 4.0, 12.0, Anchor::End, &label, "fill=\"#333\"");
    }
    let every = whole_step(axes.epochs);
    for epoch in (1..=axes.epochs).filter(|epoch| *epoch == 1 || epoch % every == 0) {
        // The 1 would touch what stands directly beside it.
        if epoch == 1 && axes.epochs > 12 && every < 3 {
            continue;
        }
        let x = axes.x(epoch as f64);
        drawing.text(x, below + 17.0, 12.0, Anchor::Middle, &epoch.to_string(), "fill=\"#333\"");
    }
    let middle = f64::midpoint(left, right);
    drawing.text(middle, below + 34.0, 12.0, Anchor::Middle, "epoch", "fill=\"#333\"");
    drawing.path(&format!("M{left} {above}V{below}H{right}"), "stroke=\"#333\"");
}

/// A line with dots if there are few, broken where a value is not finite.
fn curve(drawing: &mut Drawing, axes: &Axes, line: &Line<'_>, color: &str) {
    let mut path = String::new();
    let mut pen_down = false;
    let mut dots = Vec::new();
    for (i, &value) in line.values.iter().enumerate() {
        if !value.is_finite() {
            pen_down = false;
            continue;
        }
        let (x, y) = (short(axes.x((i + 1) as f64)), short(axes.y(f64::from(value))));
        let _ = write!(path, "{}{x} {y}", if pen_down { 'L' } else { 'M' });
        pen_down = true;
        dots.push((x, y));
    }
    let rest = format!("stroke=\"{color}\" stroke-width=\"2\" stroke-linejoin=\"round\"");
    drawing.path(&path, &rest);
    if axes.epochs <= 40 {
        for (x, y) in dots {
            drawing.dot(x, y, 3.0, color);
        }
    }
}

/// The names of the lines, right above the plot.
fn legend(drawing: &mut Drawing, top: f64, lines: &[Line<'_>]) {
    let mut x = PLOT[2];
    for (line, color) in lines.iter().zip(COLORS).rev() {
        if line.values.is_empty() {
            continue;
        }
        drawing.text(x, top + 22.0, 12.0, Anchor::End, line.name, "fill=\"#333\"");
        x -= crate::text::width(line.name, 12.0) as f64 + 6.0;
        let (y, start) = (top + 18.0, x - 20.0);
        drawing
            .path(&format!("M{start} {y}H{x}"), &format!("stroke=\"{color}\" stroke-width=\"2\""));
        x = start - 14.0;
    }
}

/// The ends of an axis and the step between its numbers: 1, 2 or 5 times a power of ten, about five
/// steps in all.
fn ticks(low: f64, high: f64) -> (f64, f64, f64) {
    // Values that hardly differ get an axis around them, not one of rounding errors.
    let most = low.abs().max(high.abs());
    let spread = if most == 0.0 { 0.5 } else { most * 0.1 };
    let (low, high) =
        if high - low < spread * 0.01 { (low - spread, high + spread) } else { (low, high) };
    let rough = (high - low) / 5.0;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * power);
    ((low / step).floor() * step, (high / step).ceil() * step, step)
}

/// Every how many epochs a number stands, so that there are at most about ten.
fn whole_step(epochs: usize) -> usize {
    let mut power = 1;
    loop {
        for factor in [1, 2, 5] {
            if epochs <= 12 * factor * power {
                return factor * power;
            }
        }
        power *= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        for (low, high, expected) in [
            (0.02, 0.61, (0.0, 0.8, 0.2)),
            (0.0, 1.0, (0.0, 1.0, 0.2)),
            (3.0, 47.0, (0.0, 50.0, 10.0)),
        ] {
            let found = ticks(low, high);
            let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
            assert!(near(found.0, expected.0) && near(found.1, expected.1), "{found:?}");
            assert!(near(found.2, expected.2), "{found:?}");
        }
        assert_eq!([1, 10, 12, 13, 25, 100].map(whole_step), [1, 1, 1, 2, 5, 10]);
    }

    #[test]
    fn every_finite_range_has_few_ticks() {
        let max = f64::from(f32::MAX);
        let tiny = f64::from(f32::from_bits(1));
        for (low, high) in [(0.0, 0.0), (7.0, 7.0), (-max, max), (0.0, tiny), (max, max)] {
            let (from, to, step) = ticks(low, high);
            assert!(from <= low && to >= high && step > 0.0, "{low} {high}: {from} {to} {step}");
            assert!((to - from) / step < 12.0, "{low} {high}: {from} {to} {step}");
        }
    }
}
