//! A network as boxes and arrows.

use crate::error::{Error, within};
use crate::svg::{Anchor, Drawing, Svg};
use crate::text;

const MAX_LAYERS: usize = 2000;
const BOX: (f64, f64) = (330.0, 44.0);
const STEP: f64 = BOX.1 + 22.0;
const LEFT: f64 = 10.0;
const TOP: f64 = 40.0;
/// Between two arrows that pass layers by.
const LANE: f64 = 12.0;

/// A layer in a diagram.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// What the layer is called: `conv2d_1`.
    pub name: &'a str,
    /// What it is: `Conv2D`.
    pub class: &'a str,
    /// Its output's shape, without the batch: `14x14x32`.
    pub shape: &'a str,
    /// How many parameters it has.
    pub params: u64,
    /// Where its input comes from: 0 is the network's input, `i + 1` the `i`-th layer. Empty means
    /// the layer before it.
    pub sources: &'a [usize],
}

/// The layers of a network from top to bottom, with their types, output shapes and parameters. Arrows
/// that pass layers by, as in a residual network, run at the right.
///
/// # Errors
///
/// [`Error::Empty`] without layers, [`Error::Range`] for a source that does not come before its layer, or
/// for more than 2,000 layers.
pub fn architecture(name: &str, input: &str, layers: &[Block<'_>]) -> Result<Svg, Error> {
    if layers.is_empty() {
        return Err(Error::Empty("layers"));
    }
    within("the number of layers", layers.len(), 1, MAX_LAYERS)?;
    let mut straight = Vec::new();
    let mut around = Vec::new();
    for (i, layer) in layers.iter().enumerate() {
        let before = [i];
        let sources = if layer.sources.is_empty() { &before[..] } else { layer.sources };
        for &source in sources {
            match within("the source of a layer", source, 0, i)? {
                source if source == i => straight.push(i),
                source => around.push((source, i + 1)),
            }
        }
    }
    around.sort_unstable();
    around.dedup();
    straight.dedup();
    let lanes = assign_lanes(&around);
    let space = lanes.iter().map(|lane| lane + 1).max().unwrap_or(0) as f64 * LANE;
    let width = widest(input, layers).max(BOX.0);
    let height = TOP + STEP * layers.len() as f64 + BOX.1 + 10.0;
    // Arrow heads need a little room as well.
    let margin = if around.is_empty() { LEFT } else { 24.0 };
    let title = format!("Architecture of {name}");
    let mut drawing = Drawing::new(LEFT + width + space + margin, height, &title);
    drawing.text(LEFT, 25.0, 16.0, Anchor::Start, name, "fill=\"#111\" font-weight=\"bold\"");
    for from in straight {
        let (x, start) = (LEFT + width / 2.0, y(from) + BOX.1);
        let end = y(from + 1) - 1.0;
        drawing.path(&format!("M{x} {start}V{end}"), "stroke=\"#555\" stroke-width=\"1.5\"");
        let (a, b, tip) = (x - 4.5, x + 4.5, end - 7.0);
        drawing.path(
            &format!("M{a} {tip}L{x} {end}L{b} {tip}"),
            "stroke=\"#555\" stroke-width=\"1.5\"",
        );
    }
    for (&(from, to), lane) in around.iter().zip(lanes) {
        pass_by(&mut drawing, LEFT + width, from, to, lane);
    }
    drawing_of_box(&mut drawing, 0, width, ["input", "", input, ""], "#e8e8e8");
    for (i, layer) in layers.iter().enumerate() {
        let params = params(layer.params);
        let lines = [layer.name, layer.class, layer.shape, &params];
        drawing_of_box(&mut drawing, i + 1, width, lines, color(layer.class));
    }
    Ok(drawing.finish())
}

fn y(place: usize) -> f64 {
    TOP + STEP * place as f64
}

fn params(count: u64) -> String {
    match count {
        0 => String::new(),
        1 => "1 param".to_owned(),
        count => format!("{} params", thousands(count)),
    }
}

/// A count as pictures write it: `220,234`.
#[must_use]
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// How wide a box has to be for its lines.
fn widest(input: &str, layers: &[Block<'_>]) -> f64 {
    let line = |left: &str, right: &str| {
        // Bold letters are about an eighth wider.
        text::width(left, 14.0) + text::width(left, 14.0) / 8 + text::width(right, 13.0) + 44
    };
    let layers = layers
        .iter()
        .map(|layer| line(layer.name, layer.shape).max(line(layer.class, &params(layer.params))));
    layers.fold(line("input", input), usize::max) as f64
}

/// Name and type at the left, shape and parameters at the right.
fn drawing_of_box(
    drawing: &mut Drawing,
    place: usize,
    width: f64,
    [name, class, shape, params]: [&str; 4],
    fill: &str,
) {
    let top = y(place);
    let rest = format!("rx=\"6\" fill=\"{fill}\" stroke=\"#555\"");
    drawing.rect(LEFT, top, width, BOX.1, &rest);
    // A box with one line has it in the middle.
    let first = if class.is_empty() { top + 27.0 } else { top + 18.0 };
    let (left, right) = (LEFT + 12.0, LEFT + width - 12.0);
    drawing.text(left, first, 14.0, Anchor::Start, name, "fill=\"#111\" font-weight=\"bold\"");
    drawing.text(left, top + 36.0, 12.0, Anchor::Start, class, "fill=\"#333\"");
    let middle = if params.is_empty() { top + 27.0 } else { first };
    drawing.text(right, middle, 13.0, Anchor::End, shape, "fill=\"#111\"");
    if !params.is_empty() {
        drawing.text(right, top + 36.0, 12.0, Anchor::End, params, "fill=\"#333\"");
    }
}

/// Layers of a kind have a colour.
fn color(class: &str) -> &'static str {
    const COLORS: [(&str, &str); 12] = [
        ("Conv", "#cfe2f3"),
        ("Separable", "#cfe2f3"),
        ("Depthwise", "#cfe2f3"),
        ("Locally", "#cfe2f3"),
        ("Dense", "#d9ead3"),
        ("MaxPool", "#fce5cd"),
        ("AveragePool", "#fce5cd"),
        ("Global", "#fce5cd"),
        ("Dropout", "#ead1dc"),
        ("BatchNorm", "#ead1dc"),
        ("LayerNorm", "#ead1dc"),
        ("Add", "#fff2cc"),
    ];
    let found = COLORS.iter().find(|(start, _)| class.starts_with(start));
    found.map_or("#f3f3f3", |(_, color)| color)
}

/// The nearest lane for each arrow in which no other runs beside it. Arrows are sorted by their start.
fn assign_lanes(arrows: &[(usize, usize)]) -> Vec<usize> {
    let mut ends: Vec<usize> = Vec::new();
    arrows
        .iter()
        .map(|&(from, to)| {
            let free = ends.iter().position(|end| *end <= from);
            let lane = free.unwrap_or(ends.len());
            if lane == ends.len() {
                ends.push(to);
            } else {
                ends[lane] = to;
            }
            lane
        })
        .collect()
}

/// An arrow out of the right side of one box into the right side of another.
fn pass_by(drawing: &mut Drawing, right: f64, from: usize, to: usize, lane: usize) {
    // Out below the middle and in above it, so that two arrows at a box do not meet.
    let (start, end) = (y(from) + BOX.1 * 0.7, y(to) + BOX.1 * 0.3);
    let out = right + 10.0 + LANE * (lane + 1) as f64;
    let curve = out - 6.0;
    let (down, up) = (start + 6.0, end - 6.0);
    let path = format!(
        "M{right} {start}H{curve}Q{out} {start} {out} {down}V{up}Q{out} {end} {curve} {end}H{right}"
    );
    drawing.path(&path, "stroke=\"#888\" stroke-width=\"1.5\"");
    let (tip, above, below) = (right + 7.0, end - 4.5, end + 4.5);
    drawing.path(
        &format!("M{tip} {above}L{right} {end}L{tip} {below}"),
        "stroke=\"#888\" stroke-width=\"1.5\"",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_side_by_side_have_lanes_of_their_own() {
        assert_eq!(assign_lanes(&[(0, 3), (1, 4), (3, 5), (4, 6)]), [0, 1, 0, 1]);
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(320), "320");
    }
}
