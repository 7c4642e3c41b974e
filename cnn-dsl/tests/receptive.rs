//! Receptive fields against a slow oracle: a pixel of the input is raised, and whatever changes
//! depends on it. Networks by chance, of every way in which layers move places.

#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "sizes are a few")]

use std::fmt::Write as _;
use std::ops::Range;

use cnn_dsl::ir::Layer;
use proptest::prelude::*;

/// Rows and columns of one channel: channels see the same places.
#[derive(Clone, Debug, PartialEq)]
struct Image {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

impl Image {
    fn new(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }

    /// Of a value for each place.
    fn of(rows: usize, columns: usize, value: impl Fn(usize, usize) -> f64) -> Self {
        let places = (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c)));
        Self { rows, columns, values: places.map(|(r, c)| value(r, c)).collect() }
    }

    /// 0 outside.
    fn at(&self, row: i64, column: i64) -> f64 {
        let inside = |n: i64, len: usize| usize::try_from(n).ok().filter(|n| *n < len);
        match (inside(row, self.rows), inside(column, self.columns)) {
            (Some(row), Some(column)) => self.values[row * self.columns + column],
            _ => 0.0,
        }
    }
}

/// A layer of the language that is computed here from its definition, all weights 1.
#[derive(Clone, Debug)]
enum Step {
    Conv { kind: usize, size: [usize; 2], stride: usize, dilation: usize, same: bool },
    Pool { max: bool, size: [usize; 2], stride: usize, same: bool },
    Transpose { size: [usize; 2], stride: usize, dilation: usize, same: bool },
    Up { size: [usize; 2], bilinear: bool },
    Pad([usize; 4]),
    Crop([usize; 4]),
    Activate,
    Global,
    Average(usize),
    Beside { axis: usize, other: usize },
}

/// A text and, for each layer, what its outputs are of an input.
struct Network {
    text: String,
    steps: Vec<(Step, Vec<usize>)>,
}

const INPUT: [usize; 2] = [9, 8];

impl Network {
    /// The network of some steps, those left out that do not fit.
    fn new(steps: &[Step]) -> Self {
        let mut network = Self { text: String::new(), steps: Vec::new() };
        let mut images = vec![Image::new(INPUT[0], INPUT[1])];
        for step in steps {
            let last = images.len() - 1;
            let sources = match step {
                Step::Average(other) | Step::Beside { other, .. } => {
                    vec![other % images.len(), last]
                }
                _ => vec![last],
            };
            let inputs: Vec<&Image> = sources.iter().map(|&source| &images[source]).collect();
            if let Some(image) = compute(step, &inputs).filter(|image| image.values.len() < 600) {
                images.push(image);
                network.steps.push((step.clone(), sources));
            }
        }
        network.write();
        network
    }

    fn write(&mut self) {
        let mut body = String::new();
        for (index, (step, sources)) in self.steps.iter().enumerate() {
            let names: Vec<String> = sources
                .iter()
                .map(|&source| if source == 0 { "input".into() } else { format!("l{source}") })
                .collect();
            let names = names.join(", ");
            let _ = writeln!(body, "l{}: {}({names});", index + 1, call(step));
        }
        // Everything has to be taken by something.
        let all: Vec<String> = (1..=self.steps.len()).map(|i| format!("flat{i}")).collect();
        for i in 1..=self.steps.len() {
            let _ = writeln!(body, "flat{i}: Flatten()(l{i});");
        }
        let end = match all.as_slice() {
            [only] => format!("Dense(1)({only});"),
            _ => format!("Concatenate({});", all.join(", ")),
        };
        self.text = format!("model M {{ input({}, {}, 1);\n{body}{end} }}", INPUT[0], INPUT[1]);
    }

    fn run(&self, input: &Image) -> Vec<Image> {
        let mut images = vec![input.clone()];
        for (step, sources) in &self.steps {
            let inputs: Vec<&Image> = sources.iter().map(|&source| &images[source]).collect();
            images.push(compute(step, &inputs).unwrap());
        }
        images
    }

    /// Whether every window of a field that lies in the image is seen in full: nothing was cut off
    /// and padded again, no merged branches step differently, and nothing takes in the padding of
    /// all places.
    fn is_plain(&self) -> bool {
        self.steps
            .iter()
            .all(|(step, _)| matches!(step, Step::Conv { .. } | Step::Pool { .. } | Step::Activate))
    }
}

fn call(step: &Step) -> String {
    let pad = |same: bool| if same { "same" } else { "valid" };
    match step {
        Step::Conv { kind, size: [kh, kw], stride, dilation, same } => match kind % 4 {
            0 => format!(
                "DepthwiseConv2D(({kh}, {kw}), strides = {stride}, dilation_rate = {dilation}, padding = {})",
                pad(*same)
            ),
            1 if !same && *dilation == 1 => {
                format!("LocallyConnected2D(1, ({kh}, {kw}), strides = {stride})")
            }
            2 => format!(
                "SeparableConv2D(1, ({kh}, {kw}), strides = {stride}, dilation_rate = {dilation}, padding = {})",
                pad(*same)
            ),
            _ => format!(
                "Conv2D(1, ({kh}, {kw}), strides = {stride}, dilation_rate = {dilation}, padding = {})",
                pad(*same)
            ),
        },
        Step::Pool { max, size: [h, w], stride, same } => {
            let class = if *max { "MaxPooling2D" } else { "AveragePooling2D" };
            format!("{class}(({h}, {w}), strides = {stride}, padding = {})", pad(*same))
        }
        Step::Transpose { size: [h, w], stride, dilation, same } => format!(
            "Conv2DTranspose(1, ({h}, {w}), strides = {stride}, dilation_rate = {dilation}, padding = {})",
            pad(*same)
        ),
        Step::Up { size: [h, w], bilinear } => {
            let way = if *bilinear { "bilinear" } else { "nearest" };
            format!("UpSampling2D(({h}, {w}), interpolation = {way})")
        }
        Step::Pad([t, b, l, r]) => format!("ZeroPadding2D((({t}, {b}), ({l}, {r})))"),
        Step::Crop([t, b, l, r]) => format!("Cropping2D((({t}, {b}), ({l}, {r})))"),
        Step::Activate => "Activation(relu)".into(),
        Step::Global => "GlobalAveragePooling2D(keepdims = true)".into(),
        Step::Average(_) => "Average".into(),
        Step::Beside { axis, .. } => format!("Concatenate(axis = {})", axis + 1),
    }
}

/// Taps and windows along one side: for each output where its window starts.
fn starts(n: usize, extent: usize, stride: usize, same: bool) -> Option<Vec<i64>> {
    if same {
        let count = n.div_ceil(stride);
        let total = ((count - 1) * stride + extent).saturating_sub(n);
        return Some((0..count).map(|i| (i * stride) as i64 - (total / 2) as i64).collect());
    }
    (extent <= n).then(|| (0..=n - extent).step_by(stride).map(|i| i as i64).collect())
}

fn slide(
    x: &Image,
    size: [usize; 2],
    [stride, dilation]: [usize; 2],
    same: bool,
    fold: impl Fn(f64, f64) -> f64,
) -> Option<Image> {
    let extent = size.map(|size| (size - 1) * dilation + 1);
    let down = starts(x.rows, extent[0], stride, same)?;
    let across = starts(x.columns, extent[1], stride, same)?;
    Some(Image::of(down.len(), across.len(), |r, c| {
        let taps = (0..size[0]).flat_map(|i| (0..size[1]).map(move |j| [i, j]));
        taps.map(|[i, j]| x.at(down[r] + (i * dilation) as i64, across[c] + (j * dilation) as i64))
            .fold(0.0, &fold)
    }))
}

/// `None` if it does not fit.
fn compute(step: &Step, inputs: &[&Image]) -> Option<Image> {
    let x = *inputs.last()?;
    Some(match step {
        // Keras supports steps or holes, not both.
        Step::Conv { size, stride, dilation, same, .. } => {
            let dilation = if *stride > 1 { 1 } else { *dilation };
            slide(x, *size, [*stride, dilation], *same, |a, b| a + b)?
        }
        Step::Pool { max, size, stride, same } => {
            slide(x, *size, [*stride, 1], *same, if *max { f64::max } else { |a, b| a + b })?
        }
        Step::Transpose { size, stride, dilation, same } => {
            let dilation = if *stride > 1 { 1 } else { *dilation };
            spread(x, *size, [*stride, dilation], *same)
        }
        Step::Up { size: [h, w], bilinear } => Image::of(x.rows * h, x.columns * w, |r, c| {
            let weights = |at: usize, n: usize, len: usize| -> Vec<(i64, f64)> {
                if !bilinear {
                    return vec![((at / n) as i64, 1.0)];
                }
                let place = (at as f64 + 0.5) / n as f64 - 0.5;
                let (low, share) = (place.floor(), place - place.floor());
                let clip = |n: f64| (n as i64).clamp(0, len as i64 - 1);
                vec![(clip(low), 1.0 - share), (clip(low + 1.0), share)]
            };
            let (down, across) = (weights(r, *h, x.rows), weights(c, *w, x.columns));
            let pairs = down.iter().flat_map(|d| across.iter().map(move |a| (d, a)));
            pairs.map(|(d, a)| d.1 * a.1 * x.at(d.0, a.0)).sum()
        }),
        Step::Pad([t, b, l, r]) => Image::of(x.rows + t + b, x.columns + l + r, |row, column| {
            x.at(row as i64 - *t as i64, column as i64 - *l as i64)
        }),
        Step::Crop([t, b, l, r]) => {
            let rows = x.rows.checked_sub(t + b).filter(|n| *n > 0)?;
            let columns = x.columns.checked_sub(l + r).filter(|n| *n > 0)?;
            Image::of(rows, columns, |row, column| x.at((row + t) as i64, (column + l) as i64))
        }
        Step::Activate => Image::of(x.rows, x.columns, |r, c| x.at(r as i64, c as i64).max(0.0)),
        Step::Global => Image::of(1, 1, |_, _| x.values.iter().sum()),
        Step::Average(_) => merge(inputs[0], x)?,
        Step::Beside { axis, .. } => beside(inputs[0], x, *axis)?,
    })
}

/// Each input adds to the outputs of its kernel, some of which are cut off.
fn spread(x: &Image, size: [usize; 2], [stride, dilation]: [usize; 2], same: bool) -> Image {
    let mut out = [0; 2];
    let mut crop = [0; 2];
    for (axis, n) in [x.rows, x.columns].into_iter().enumerate() {
        let extent = (size[axis] - 1) * dilation + 1;
        let reach = (n - 1) * stride + extent;
        out[axis] = if same { n * stride } else { (n - 1) * stride + extent.max(stride) };
        crop[axis] = reach.saturating_sub(out[axis]) / 2;
    }
    let mut image = Image::new(out[0], out[1]);
    for r in 0..x.rows {
        for c in 0..x.columns {
            for i in 0..size[0] {
                for j in 0..size[1] {
                    let row = (r * stride + i * dilation).checked_sub(crop[0]);
                    let column = (c * stride + j * dilation).checked_sub(crop[1]);
                    let place = row.zip(column).filter(|(r, c)| *r < out[0] && *c < out[1]);
                    if let Some((row, column)) = place {
                        image.values[row * out[1] + column] += x.at(r as i64, c as i64);
                    }
                }
            }
        }
    }
    image
}

/// Sizes of 1 are repeated.
fn merge(a: &Image, b: &Image) -> Option<Image> {
    let size = |a: usize, b: usize| (a == b || a == 1 || b == 1).then_some(a.max(b));
    let (rows, columns) = (size(a.rows, b.rows)?, size(a.columns, b.columns)?);
    let at =
        |x: &Image, r: usize, c: usize| x.at(r.min(x.rows - 1) as i64, c.min(x.columns - 1) as i64);
    Some(Image::of(rows, columns, |r, c| at(a, r, c) + at(b, r, c)))
}

fn beside(a: &Image, b: &Image, axis: usize) -> Option<Image> {
    match axis {
        0 if a.columns == b.columns => Some(Image::of(a.rows + b.rows, a.columns, |r, c| {
            let (x, r) = if r < a.rows { (a, r) } else { (b, r - a.rows) };
            x.at(r as i64, c as i64)
        })),
        1 if a.rows == b.rows => Some(Image::of(a.rows, a.columns + b.columns, |r, c| {
            let (x, c) = if c < a.columns { (a, c) } else { (b, c - a.columns) };
            x.at(r as i64, c as i64)
        })),
        _ => None,
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = || [1_usize..4, 1_usize..4];
    let frame = || [0_usize..3, 0_usize..3, 0_usize..3, 0_usize..3];
    let conv = (0_usize..4, size(), 1_usize..4, 1_usize..3, any::<bool>()).prop_map(
        |(kind, size, stride, dilation, same)| {
            let dilation = if stride > 1 { 1 } else { dilation };
            Step::Conv { kind, size, stride, dilation, same }
        },
    );
    let pool = (any::<bool>(), size(), 1_usize..4, any::<bool>())
        .prop_map(|(max, size, stride, same)| Step::Pool { max, size, stride, same });
    let transpose = (size(), 1_usize..4, 1_usize..3, any::<bool>()).prop_map(
        |(size, stride, dilation, same)| {
            let dilation = if stride > 1 { 1 } else { dilation };
            Step::Transpose { size, stride, dilation, same }
        },
    );
    let up = ([1_usize..4, 1_usize..4], any::<bool>())
        .prop_map(|(size, bilinear)| Step::Up { size, bilinear });
    let step = prop_oneof![
        4 => conv,
        3 => pool,
        1 => transpose,
        1 => up,
        1 => frame().prop_map(Step::Pad),
        1 => frame().prop_map(Step::Crop),
        1 => Just(Step::Activate),
        1 => (0_usize..8).prop_map(Step::Average),
        1 => (0_usize..2, 0_usize..8).prop_map(|(axis, other)| Step::Beside { axis, other }),
        1 => Just(Step::Global),
    ];
    prop::collection::vec(step, 1..7)
}

/// For each output the pixels that change it: first and last, down and across.
type Seen = Vec<Option<[Range<i64>; 2]>>;

fn seen(network: &Network) -> Vec<Seen> {
    let base = Image::of(INPUT[0], INPUT[1], |r, c| 1.0 + 0.01 * (r * INPUT[1] + c) as f64);
    let before = network.run(&base);
    let mut seen: Vec<Seen> = before.iter().map(|image| vec![None; image.values.len()]).collect();
    for r in 0..INPUT[0] {
        for c in 0..INPUT[1] {
            let mut raised = base.clone();
            // More than any sum of the others, so that it wins wherever the largest is taken.
            raised.values[r * INPUT[1] + c] += 1e6;
            let after = network.run(&raised);
            for ((before, after), seen) in before.iter().zip(&after).zip(&mut seen) {
                for ((a, b), seen) in before.values.iter().zip(&after.values).zip(seen) {
                    if (b - a).abs() > 1.0 {
                        let at = [r, c].map(|n| n as i64..n as i64 + 1);
                        let old = seen.take().unwrap_or_else(|| at.clone());
                        let joined = [0, 1].map(|axis| {
                            old[axis].start.min(at[axis].start)..old[axis].end.max(at[axis].end)
                        });
                        *seen = Some(joined);
                    }
                }
            }
        }
    }
    seen
}

fn check(network: &Network, layer: &Layer, seen: &Seen) -> Result<(), TestCaseError> {
    let columns = layer.output.0[1] as usize;
    for (index, seen) in seen.iter().enumerate() {
        let field = layer.field.at([(index / columns) as u64, (index % columns) as u64]);
        let text = || format!("{}: output {index} of `{}` has {field:?}", network.text, layer.name);
        let Some(seen) = seen else { continue };
        for axis in [0, 1] {
            let (field, seen) = (&field[axis], &seen[axis]);
            let holds = field.start <= seen.start && seen.end <= field.end;
            prop_assert!(holds, "{}\nbut depends on {seen:?}", text());
            prop_assert!((field.end - field.start) as u64 <= layer.field.size()[axis]);
            let inside = field.start >= 0 && field.end <= INPUT[axis] as i64;
            if network.is_plain() && inside {
                prop_assert_eq!(field, seen, "{}", text());
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn outputs_depend_on_what_their_fields_hold_and_no_more(steps in steps()) {
        let network = Network::new(&steps);
        prop_assume!(!network.steps.is_empty());
        let models = cnn_dsl::compile(&network.text);
        let models = models.map_err(|errors| TestCaseError::fail(format!("{}: {errors:?}", network.text)))?;
        let seen = seen(&network);
        for (layer, seen) in models[0].layers[..network.steps.len()].iter().zip(&seen[1..]) {
            check(&network, layer, seen)?;
        }
    }
}

/// The smallest nets in which a layer enlarges: fields are as small as they can be.
#[test]
fn fields_behind_enlarging_layers_are_tight() {
    let single = [
        Step::Up { size: [2, 3], bilinear: false },
        Step::Up { size: [2, 3], bilinear: true },
        Step::Transpose { size: [3, 2], stride: 2, dilation: 1, same: false },
        Step::Transpose { size: [2, 3], stride: 1, dilation: 2, same: false },
    ];
    for step in single {
        let network = Network::new(&[step]);
        let layer = &cnn_dsl::compile(&network.text).unwrap()[0].layers[0];
        let seen = &seen(&network)[1];
        let columns = layer.output.0[1] as usize;
        for axis in [0, 1] {
            let widest = seen.iter().flatten().map(|seen| seen[axis].end - seen[axis].start).max();
            assert_eq!(widest, Some(layer.field.size()[axis] as i64), "{}", network.text);
        }
        for (index, seen) in
            seen.iter().enumerate().filter(|_| call(&network.steps[0].0).contains("nearest"))
        {
            let field = layer.field.at([(index / columns) as u64, (index % columns) as u64]);
            assert_eq!(Some(field), *seen, "{index} of {}", network.text);
        }
    }
}
