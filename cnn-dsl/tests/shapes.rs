//! Output shapes of random windows against an oracle that lays the windows down one by one.

use std::fmt::Write as _;

/// Numbers that look random (Steele, Lea and Flood 2014).
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    /// 1 to `most`.
    fn size(&mut self, most: u64) -> u64 {
        1 + self.below(most)
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// A window along one side.
#[derive(Clone, Copy, Debug)]
struct Window {
    input: u64,
    size: u64,
    stride: u64,
    dilation: u64,
}

impl Window {
    /// Where windows start: all whose taps lie on the input, or, padded, all that start on it.
    fn count(self, same: bool) -> u64 {
        let taps = |start: u64| (0..self.size).map(move |tap| start + tap * self.dilation);
        let starts = (0..self.input).filter(|start| start % self.stride == 0);
        let fits = starts.filter(|&start| same || taps(start).all(|tap| tap < self.input));
        fits.count() as u64
    }

    /// The side of the image on which a convolution of this window would give the input: what the
    /// taps of all windows reach, or, padded, a stride for each.
    fn transposed(self, same: bool) -> u64 {
        if same {
            return (0..self.input).map(|_| self.stride).sum();
        }
        let taps = |at: u64| (0..self.size).map(move |tap| at * self.stride + tap * self.dilation);
        let reached = (0..self.input).flat_map(taps).max().unwrap() + 1;
        // Windows narrower than their stride leave the rest of it as it is.
        reached.max((0..self.input).map(|_| self.stride).sum())
    }
}

/// The layer, and its output for two windows, or none where one does not fit.
struct Case {
    layer: String,
    sides: [u64; 2],
    channels: u64,
}

fn case(draw: &mut Draw, class: &str, input: [u64; 3]) -> Case {
    let same = class != "LocallyConnected2D" && draw.flag();
    let mut windows = [input[0], input[1]].map(|input| Window {
        input,
        size: draw.size(9),
        stride: draw.size(5),
        dilation: 1,
    });
    // Depthwise convolutions step down as far as across; strides and dilation exclude each other.
    if class.contains("Depthwise") || class.contains("Separable") {
        windows[1].stride = windows[0].stride;
    }
    let dilates = class.contains("Conv2D") && draw.flag();
    if dilates {
        for window in &mut windows {
            (window.stride, window.dilation) = (1, draw.size(4));
        }
    }
    let pair = |of: fn(&Window) -> u64| format!("({}, {})", of(&windows[0]), of(&windows[1]));
    let mut arguments = format!("{}, strides = {}", pair(|w| w.size), pair(|w| w.stride));
    if same {
        arguments.push_str(", padding = same");
    }
    if dilates {
        let _ = write!(arguments, ", dilation_rate = {}", pair(|w| w.dilation));
    }
    let filters = draw.size(6);
    let (first, channels) = match class {
        "DepthwiseConv2D" => {
            let _ = write!(arguments, ", depth_multiplier = {filters}");
            (String::new(), filters * input[2])
        }
        "MaxPooling2D" | "AveragePooling2D" => (String::new(), input[2]),
        _ => (format!("{filters}, "), filters),
    };
    let sides = windows.map(|window| match class {
        "Conv2DTranspose" => window.transposed(same),
        _ => window.count(same),
    });
    Case { layer: format!("{class}({first}{arguments});"), sides, channels }
}

#[test]
fn windows_are_counted_one_by_one() {
    const CLASSES: [&str; 7] = [
        "Conv2D",
        "DepthwiseConv2D",
        "SeparableConv2D",
        "Conv2DTranspose",
        "LocallyConnected2D",
        "MaxPooling2D",
        "AveragePooling2D",
    ];
    let mut draw = Draw(1);
    let [mut fit, mut too_large] = [0, 0];
    for round in 0..3_500 {
        let class = CLASSES[round % CLASSES.len()];
        let input = [draw.size(24), draw.size(24), draw.size(4)];
        let Case { layer, sides, channels } = case(&mut draw, class, input);
        let [height, width, depth] = input;
        let text = format!("model Net {{ input({height}, {width}, {depth}); {layer} }}");
        match cnn_dsl::compile(&text) {
            Ok(models) => {
                assert_eq!(models[0].output().0, [sides[0], sides[1], channels], "{text}");
                fit += 1;
            }
            Err(mistakes) => {
                assert!(sides.contains(&0), "{text}: {}", mistakes[0].message);
                assert!(mistakes[0].message.contains("does not fit"), "{}", mistakes[0].message);
                assert_eq!(mistakes.len(), 1, "{text}");
                too_large += 1;
            }
        }
    }
    assert!(fit > 2_000 && too_large > 300, "{fit} fit, {too_large} are too large");
}
