//! Receptive fields: which pixels of the model's input an output can depend on.
//!
//! After Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Networks" (Distill
//! 2019): along each axis the field of the output at index `i` is a window that starts `jump` pixels
//! further for each step of `i`. Upsampling makes the jump a fraction.

use std::ops::Range;

use crate::ir::{Layer, Shape};

/// The pixels that an output can depend on, down (rows) and across (columns).
///
/// The output at index `i` along an axis depends on no pixels but those from
/// `ceil((first + jump i) / parts)` to `floor((last + jump i) / parts)`, both included. Pixels of
/// negative index or beyond the image are padding. Of an input of two axes the second one is across,
/// of a vector the only one; features of an output have no place, so there the field across is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceptiveField {
    /// The product of the strides before, in `parts` of a pixel; 0 where all outputs see the same.
    pub jump: [i64; 2],
    /// Where the field of the first output starts, in `parts` of a pixel.
    pub first: [i64; 2],
    /// The last place of the first output's field, in `parts` of a pixel.
    pub last: [i64; 2],
    /// Into how many a pixel is divided; 1 unless something was enlarged on the way.
    pub parts: [i64; 2],
}

impl ReceptiveField {
    /// Of the input itself.
    #[must_use]
    pub fn of_input(input: &Shape) -> Self {
        let axes = [0, 1].map(|axis| {
            let pixels = grid(input)[axis];
            // Features are no places: an output of the input's rank sees them all.
            if places(input)[axis] == pixels { Line::PIXEL } else { Line::whole(pixels) }
        });
        Self::of_lines(axes)
    }

    /// Of a layer with the fields of its inputs, in a model with this input.
    #[must_use]
    pub fn of_layer(layer: &Layer, sources: &[Self], input: &Shape) -> Self {
        let pixels = grid(input);
        Self::of_lines([0, 1].map(|axis| {
            let line = line(layer, sources, axis, pixels[axis]);
            line.filter(Line::fits).unwrap_or_else(|| Line::whole(pixels[axis]))
        }))
    }

    fn of_lines(lines: [Line; 2]) -> Self {
        // Lines are checked to fit.
        let [jump, first, last, parts] =
            [|l: Line| l.jump, |l: Line| l.first, |l: Line| l.last, |l: Line| l.parts]
                .map(|part| lines.map(|line| part(line) as i64));
        Self { jump, first, last, parts }
    }

    fn line(&self, axis: usize) -> Line {
        let [jump, first, last, parts] =
            [self.jump, self.first, self.last, self.parts].map(|both| both[axis].into());
        Line { jump, first, last, parts }
    }

    /// Height and width in pixels, padding included; the largest, if not all are of one size.
    #[must_use]
    pub fn size(&self) -> [u64; 2] {
        [0, 1].map(|axis| self.line(axis).size())
    }

    /// How many pixels apart the fields of neighbouring outputs are.
    #[must_use]
    pub fn jump(&self) -> [f64; 2] {
        [0, 1].map(|axis| self.jump[axis] as f64 / self.parts[axis] as f64)
    }

    /// Where the field of the first output starts.
    #[must_use]
    pub fn start(&self) -> [i64; 2] {
        [0, 1].map(|axis| self.line(axis).at(0).start)
    }

    /// Rows and columns that the output at a row and a column can depend on; some may lie in the
    /// padding.
    #[must_use]
    pub fn at(&self, [row, column]: [u64; 2]) -> [Range<i64>; 2] {
        [self.line(0).at(row.into()), self.line(1).at(column.into())]
    }
}

/// Height and width of an input as a picture: of two axes the second one is across, of a vector the
/// only one.
#[must_use]
pub fn grid(input: &Shape) -> [u64; 2] {
    match *input.0.as_slice() {
        [height, width] | [height, width, _] => [height, width],
        _ => [1, input.len()],
    }
}

/// How many rows and columns of outputs a layer has; the last axis are features.
#[must_use]
pub fn places(output: &Shape) -> [u64; 2] {
    let at = |axis: usize| if axis + 1 < output.rank() { output.0[axis] } else { 1 };
    [at(0), at(1)]
}

/// Which outputs of the layer before an output depends on, along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The one at its own place.
    Same,
    /// Output `i` on `extent` of them from `i stride - before` on; negative if the first are
    /// skipped.
    Window {
        /// How many, holes between taps included.
        extent: u64,
        /// How far apart the windows of neighbours are.
        stride: u64,
        /// Padding in front.
        before: i64,
    },
    /// Each input `i` spreads over `extent` outputs from `i stride - crop` on.
    Spread {
        /// How many, holes between taps included.
        extent: u64,
        /// How far apart the outputs of neighbours are.
        stride: u64,
        /// Outputs cut off in front.
        crop: u64,
    },
    /// Each input is repeated so often.
    Nearest(u64),
    /// So many outputs for each input, blended of the nearest two.
    Bilinear(u64),
    /// The input is put side by side with others and starts at output `at`.
    Part {
        /// The first output that is made of it.
        at: u64,
    },
    /// All.
    Whole,
}

impl Reach {
    /// The same place, down and across.
    pub const SAME: [Self; 2] = [Self::Same; 2];
    /// All places, down and across.
    pub const WHOLE: [Self; 2] = [Self::Whole; 2];

    /// Of a window with this size, steps, distances between taps, and padding (top, bottom, left,
    /// right), down and across.
    #[must_use]
    pub fn window(
        size: [u64; 2],
        strides: [u64; 2],
        dilation: [u64; 2],
        padding: [u64; 4],
    ) -> [Self; 2] {
        [0, 1].map(|axis| Self::Window {
            extent: (size[axis] - 1) * dilation[axis] + 1,
            stride: strides[axis],
            before: padding[2 * axis].cast_signed(),
        })
    }
}

/// A field along one axis, in numbers so large that sizes within the limits of the language do not
/// overflow at once; what does is taken for the whole input.
#[derive(Clone, Copy, Debug)]
struct Line {
    jump: i128,
    first: i128,
    last: i128,
    parts: i128,
}

impl Line {
    /// Each output sees the pixel at its place.
    const PIXEL: Self = Self { jump: 1, first: 0, last: 0, parts: 1 };

    fn whole(pixels: u64) -> Self {
        Self { jump: 0, first: 0, last: i128::from(pixels) - 1, parts: 1 }
    }

    /// What `count` outputs see together, clipped to the image.
    fn all(self, count: u64, pixels: u64) -> Option<Self> {
        let end = self.jump.checked_mul(i128::from(count) - 1)?.checked_add(self.last)?;
        let first = div_ceil(self.first, self.parts).max(0);
        let last = end.div_euclid(self.parts).min(i128::from(pixels) - 1);
        Some(Self { jump: 0, first, last: last.max(first - 1), parts: 1 })
    }

    /// Of outputs that see those of this line as `reach` says.
    fn through(self, reach: Reach, count: u64, pixels: u64) -> Option<Self> {
        let Self { jump, first, last, parts } = self;
        let moved = |from: i128, by: i128| from.checked_add(jump.checked_mul(by)?);
        let line = match reach {
            Reach::Same => self,
            Reach::Whole => self.all(count, pixels)?,
            Reach::Part { at } => {
                let by = -i128::from(at);
                Self { first: moved(first, by)?, last: moved(last, by)?, ..self }
            }
            Reach::Window { extent, stride, before } => {
                let before = i128::from(before);
                Self {
                    jump: jump.checked_mul(stride.into())?,
                    first: moved(first, -before)?,
                    last: moved(last, i128::from(extent) - 1 - before)?,
                    parts,
                }
            }
            // An output j depends on the inputs i with 0 <= j + crop - i stride < extent.
            Reach::Spread { extent, stride, crop } => {
                let scaled = self.scaled(stride.into())?;
                let moved = |from: i128, by: i128| from.checked_add(jump.checked_mul(by)?);
                let crop = i128::from(crop);
                Self {
                    jump,
                    first: moved(scaled.first, crop + 1 - i128::from(extent))?,
                    last: moved(scaled.last, crop)?,
                    parts: scaled.parts,
                }
            }
            // floor(j / n) is from (j + 1 - n) / n to j / n.
            Reach::Nearest(n) => {
                let scaled = self.scaled(n.into())?;
                let first = scaled.first.checked_add(jump.checked_mul(1 - i128::from(n))?)?;
                Self { jump, first, ..scaled }
            }
            // x = (j + 1/2) / n - 1/2 lies between two inputs, at most one away, and with an even
            // n never on one.
            Reach::Bilinear(n) => {
                let n = i128::from(n);
                let (middle, away) = (1 - n, if n % 2 == 0 { 2 * n - 1 } else { 2 * (n - 1) });
                let scaled = self.scaled(2 * n)?;
                Self {
                    jump: jump.checked_mul(2)?,
                    first: moved(scaled.first, middle - away)?,
                    last: moved(scaled.last, middle + away)?,
                    parts: scaled.parts,
                }
            }
        };
        Some(line.reduced())
    }

    /// The same in finer parts; the jump, then of a finer index, is left as it is.
    fn scaled(self, by: i128) -> Option<Self> {
        let [first, last, parts] = [self.first, self.last, self.parts].map(|n| n.checked_mul(by));
        Some(Self { first: first?, last: last?, parts: parts?, ..self })
    }

    /// Pixels are whole, so parts that the jump never lands between can go.
    fn reduced(self) -> Self {
        let Self { jump, first, last, parts } = self;
        let common = common_divisor(jump, parts);
        Self {
            jump: jump / common,
            first: div_ceil(first, common),
            last: last.div_euclid(common),
            parts: parts / common,
        }
    }

    /// The first pixel, and the one behind the last.
    fn at(&self, index: i128) -> Range<i64> {
        let along = index.saturating_mul(self.jump);
        let start = div_ceil(self.first.saturating_add(along), self.parts);
        let end = self.last.saturating_add(along).div_euclid(self.parts) + 1;
        let [start, end] = [start, end].map(|n| n.clamp(i64::MIN.into(), i64::MAX.into()) as i64);
        start..end
    }

    /// Reduced parts leave no common divisor, so some output's last place is a whole pixel.
    fn size(&self) -> u64 {
        let between = (self.last - self.first).div_euclid(self.parts);
        u64::try_from(between + 1).unwrap_or(0)
    }

    fn fits(&self) -> bool {
        let fits = |n: i128| n.unsigned_abs() < 1 << 62;
        [self.jump, self.first, self.last, self.parts].into_iter().all(fits)
    }
}

/// The field of a layer along one axis; `None` if the numbers grow beyond all sense.
fn line(layer: &Layer, sources: &[ReceptiveField], axis: usize, pixels: u64) -> Option<Line> {
    let count = places(&layer.output)[axis];
    let mut parts = Vec::new();
    for (index, (source, input)) in sources.iter().zip(&layer.inputs).enumerate() {
        let given = places(input)[axis];
        let reach = layer.kind.explained().reach(layer, index)[axis];
        let mut line = source.line(axis).through(reach, given, pixels)?;
        let mut range = [0, i128::from(count) - 1];
        match reach {
            Reach::Part { at } => range = [at.into(), i128::from(at + given) - 1],
            // One value repeated: all outputs see what it sees.
            Reach::Same if given < count => line.jump = 0,
            _ => {}
        }
        parts.push((line, range));
    }
    union(&parts)
}

/// The smallest windows, with the steps of one of the lines, that hold what each line sees in its
/// range of outputs.
fn union(lines: &[(Line, [i128; 2])]) -> Option<Line> {
    let (base, _) = *lines.iter().find(|(line, _)| line.jump > 0).or(lines.first())?;
    let mut all: Option<Line> = None;
    let parts = lines.iter().try_fold(1_i128, |parts, (line, _)| {
        parts.checked_mul(line.parts / common_divisor(parts, line.parts))
    })?;
    let jump = base.jump.checked_mul(parts / base.parts)?;
    for (line, range) in lines {
        let [slope, first, last] =
            [line.jump, line.first, line.last].map(|part| part.checked_mul(parts / line.parts));
        let (slope, first, last) = (slope?, first?, last?);
        for index in range {
            // Lines are straight, so the ends of the range decide.
            let ahead = slope.checked_sub(jump)?.checked_mul(*index)?;
            let (first, last) = (first.checked_add(ahead)?, last.checked_add(ahead)?);
            let before = all.unwrap_or(Line { jump, first, last, parts });
            let (first, last) = (before.first.min(first), before.last.max(last));
            all = Some(Line { first, last, ..before });
        }
    }
    all.map(Line::reduced)
}

fn div_ceil(a: i128, b: i128) -> i128 {
    -(-a).div_euclid(b)
}

/// The greatest, by Euclid.
fn common_divisor(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.abs().max(1)
}

#[cfg(test)]
mod tests {
    /// VGG-16's, as published.
    #[test]
    fn fields_of_known_networks() {
        let text = "model Vgg {
            input(224, 224, 3);
            repeat 2 { Conv2D(4, 3, padding = same); }
            MaxPooling2D(2);
            repeat 2 { Conv2D(4, 3, padding = same); }
            MaxPooling2D(2);
            repeat 3 { Conv2D(4, 3, padding = same); }
            MaxPooling2D(2);
            repeat 3 { Conv2D(4, 3, padding = same); }
            MaxPooling2D(2);
            repeat 3 { Conv2D(4, 3, padding = same); }
            MaxPooling2D(2);
            Flatten;
        }";
        let layers = &crate::compile(text).unwrap()[0].layers;
        let last = layers[layers.len() - 2].field;
        // As in the table of Araujo, Norris and Sim.
        assert_eq!((last.size(), last.jump()), ([212, 212], [32.0, 32.0]));
        assert_eq!(last.start(), [-90, -90]);
        let flat = layers[layers.len() - 1].field;
        assert_eq!((flat.size(), flat.jump(), flat.start()), ([224, 224], [0.0, 0.0], [0, 0]));
    }

    #[test]
    fn numbers_beyond_all_sense_are_the_whole_input() {
        let text = "model Deep {
            input(3, 3, 1);
            repeat 60 {
                Conv2D(1, 1, strides = 1_099_511_627_776, padding = same);
                UpSampling2D((3, 1));
            }
        }";
        let layers = &crate::compile(text).unwrap()[0].layers;
        let last = layers[layers.len() - 1].field;
        assert_eq!(last.size(), [3, 3]);
        assert_eq!(last.at([u64::MAX, 0]), [0..3, 0..3]);
    }
}
