//! Windows that slide over an image: what convolution and pooling share.

use crate::ast::Span;
use crate::bind::Args;
use crate::diagnostics::join;

use super::{values, weights};

/// `padding = …`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Only where the window fits.
    Valid,
    /// With zeros around, so that a stride of 1 keeps the size.
    Same,
}

/// The names of [`Padding`].
pub const PADDINGS: &[(&str, Padding)] = &[("valid", Padding::Valid), ("same", Padding::Same)];

/// A sliding window, vertical sizes first.
#[derive(Clone, Debug)]
pub struct Window {
    /// What it is in messages: `kernel`, `window`.
    pub what: &'static str,
    /// Number of taps.
    pub size: [u64; 2],
    /// Step.
    pub strides: [u64; 2],
    /// Distance between taps.
    pub dilation: [u64; 2],
    /// How borders are treated.
    pub padding: Padding,
}

/// Where a window lands.
#[derive(Debug)]
pub struct Placed {
    /// Height and width of the output.
    pub output: [u64; 2],
    /// Rows and columns added: top, bottom, left, right.
    pub padding: [u64; 4],
}

impl Window {
    /// The arguments `kernel_size`, `strides`, `padding` and `dilation_rate` of a convolution.
    pub fn of_kernel(args: &mut Args<'_>) -> Option<Self> {
        Self::of_kernel_or_written(args, None)
    }

    /// The same, where a kernel that is written out has a size of its own.
    pub fn of_kernel_or_written(args: &mut Args<'_>, written: Option<[u64; 2]>) -> Option<Self> {
        let size = weights::pair(args, "kernel_size", written);
        let strides = args.pair_or("strides", [1, 1]);
        let padding = args.choice_or("padding", PADDINGS, Padding::Valid);
        let dilation = args.pair_or("dilation_rate", [1, 1]);
        let (size, strides, padding, dilation) = (size?, strides?, padding?, dilation?);
        Some(Self { what: "kernel", size, strides, dilation, padding })
    }

    /// Of some layers Keras supports steps over taps or holes between them, not both.
    pub fn check_dilation(&self, args: &mut Args<'_>) -> Option<()> {
        if self.strides == [1, 1] || self.dilation == [1, 1] {
            return Some(());
        }
        let at = args.span("dilation_rate");
        let other = args.span("strides");
        let message = "`strides` and `dilation_rate` cannot both be greater than 1";
        let diagnostic = args.error(at, message, "dilated here");
        diagnostic.secondary.push((other, "strided here".to_owned()));
        let help = "dilate with `strides = 1`, and pool or stride in another layer";
        diagnostic.help.push(help.into());
        None
    }

    /// Slides over `height x width x channels`; a mistake at `at` if that is impossible.
    pub fn place(&self, args: &mut Args<'_>, at: &Span, image: [u64; 3]) -> Option<Placed> {
        let [height, width, channels] = image;
        let mut output = [0; 2];
        let mut padding = [0; 4];
        let mut unseen = [0; 2];
        for (axis, n) in [height, width].into_iter().enumerate() {
            let (size, dilation) = (self.size[axis], self.dilation[axis]);
            // (size - 1) * dilation + 1
            let extent = values(args, at, &[&[size - 1, dilation], &[1]], "rows or columns")?;
            let stride = self.strides[axis];
            match self.padding {
                Padding::Valid if n < extent => {
                    self.report_too_large(args, at, image);
                    return None;
                }
                Padding::Valid => {
                    output[axis] = (n - extent) / stride + 1;
                    // A step wider than the window skips on purpose.
                    if stride <= extent {
                        unseen[axis] = (n - extent) % stride;
                    }
                }
                Padding::Same => {
                    output[axis] = n.div_ceil(stride);
                    let total = ((output[axis] - 1) * stride + extent).saturating_sub(n);
                    padding[2 * axis] = total / 2;
                    padding[2 * axis + 1] = total - total / 2;
                }
            }
        }
        let padded = [height + padding[0] + padding[1], width + padding[2] + padding[3], channels];
        values(args, at, &[&padded], "values of the padded input")?;
        if unseen != [0, 0] {
            self.warn_of_unseen(args, at, unseen, image);
        }
        Some(Placed { output, padding })
    }

    fn warn_of_unseen(
        &self,
        args: &mut Args<'_>,
        at: &Span,
        unseen: [u64; 2],
        [height, width, _]: [u64; 3],
    ) {
        let count = |n: u64, what: &str| match n {
            0 => None,
            1 => Some(format!("the last {what}")),
            n => Some(format!("the last {n} {what}s")),
        };
        let parts: Vec<String> =
            [count(unseen[0], "row"), count(unseen[1], "column")].into_iter().flatten().collect();
        let parts = join(&parts, "and");
        let what = self.what;
        let message = format!("no {what} reaches {parts} of the {height}x{width} input");
        let same = if args.takes("padding") { "`padding = same` takes them in; " } else { "" };
        let diagnostic = args.warn(at.clone(), &message, format!("leaves out {parts}"));
        let [rows, columns] = [height - unseen[0], width - unseen[1]];
        diagnostic.help.push(format!("{same}an input of {rows}x{columns} has none to lose"));
    }

    /// Keeps what the way back works on within limits: gradients of `filters` channels, as far
    /// apart as the windows in the input.
    pub fn check_gradient(
        &self,
        args: &mut Args<'_>,
        [height, width, _]: [u64; 3],
        filters: u64,
    ) -> Option<()> {
        let at = args.at();
        let along = |axis: usize, n: u64| n + (self.size[axis] - 1) * self.dilation[axis];
        let sizes = [along(0, height), along(1, width), filters];
        values(args, &at, &[&sizes], "values of the spread out gradient").map(|_| ())
    }

    fn report_too_large(&self, args: &mut Args<'_>, at: &Span, [height, width, _]: [u64; 3]) {
        let [kh, kw] = self.size;
        let what = self.what;
        let dilated = if self.dilation == [1, 1] {
            String::new()
        } else {
            let [dh, dw] = self.dilation;
            format!(" dilated to {}x{}", (kh - 1) * dh + 1, (kw - 1) * dw + 1)
        };
        let message = format!(
            "the {kh}x{kw} {what}{dilated} does not fit the {height}x{width} input with \
             `padding = valid`"
        );
        let label = format!("the input is only {height}x{width}");
        let same = if args.takes("padding") { "`padding = same`, " } else { "" };
        let diagnostic = args.error(at.clone(), &message, label);
        diagnostic
            .help
            .push(format!("use {same}a smaller {what}, or fewer poolings and strides before it"));
        args.explained_by_shapes();
    }
}
