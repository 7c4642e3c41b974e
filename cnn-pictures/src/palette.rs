//! Colours for numbers.

use image::Rgb;

/// A scale of colours for numbers in [0, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// Black to white.
    Grey,
    /// From dark violet over green to yellow, matplotlib's default: equal steps look equal, also to
    /// the colour-blind.
    #[default]
    Viridis,
    /// From black over red to pale yellow, for heat.
    Inferno,
    /// A rainbow from dark blue over green to dark red, which stands out from any photograph.
    Turbo,
}

impl Palette {
    /// The colour of a number; what lies outside [0, 1] has the colour of the nearer end.
    #[must_use]
    pub fn color(self, value: f32) -> Rgb<u8> {
        let value = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
        let gradient = match self {
            Self::Grey => return Rgb([crate::picture::unit_to_byte(value); 3]),
            Self::Viridis => colorous::VIRIDIS,
            Self::Inferno => colorous::INFERNO,
            Self::Turbo => colorous::TURBO,
        };
        let color = gradient.eval_continuous(f64::from(value));
        Rgb([color.r, color.g, color.b])
    }

    /// The colour of a byte, 255 being the largest.
    #[must_use]
    pub fn of_byte(self, value: u8) -> Rgb<u8> {
        self.color(f32::from(value) / 255.0)
    }
}

/// A map of numbers to [0, 1]: the smallest to 0, the largest to 1, and all to 0 if they are equal.
pub(crate) fn normalizer<'a>(values: impl IntoIterator<Item = &'a f32>) -> impl Fn(f32) -> f32 {
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for &value in values {
        (low, high) = (low.min(value), high.max(value));
    }
    // In f64, because the difference of two finite floats can be infinite.
    let (low, span) = (f64::from(low), f64::from(high) - f64::from(low));
    move |value| if span > 0.0 { ((f64::from(value) - low) / span) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of `viridis` and `inferno` at 0, 64, 128, 191 and 255 in matplotlib 3.11, which cuts
    /// off what is not whole.
    #[test]
    fn the_maps_are_those_of_matplotlib() {
        let viridis = [[68, 1, 84], [58, 82, 139], [32, 144, 140], [91, 200, 98], [253, 231, 36]];
        let inferno = [[0, 0, 3], [87, 15, 109], [187, 55, 84], [249, 140, 9], [252, 254, 164]];
        for (palette, colors) in [(Palette::Viridis, viridis), (Palette::Inferno, inferno)] {
            for (value, expected) in [0, 64, 128, 191, 255].into_iter().zip(colors) {
                let found = palette.of_byte(value).0;
                let near = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 1);
                assert!(near, "{palette:?} at {value}: {found:?}, not {expected:?}");
            }
        }
        assert_eq!([0, 7, 255].map(|value| Palette::Grey.of_byte(value).0[0]), [0, 7, 255]);
        assert_eq!(Palette::Viridis.color(f32::NAN), Palette::Viridis.color(-3.0));
    }

    #[test]
    fn extremes_and_equal_numbers_have_colours() {
        let scale = normalizer(&[f32::MAX, -f32::MAX, 0.0]);
        for (value, expected) in [(-f32::MAX, 0.0_f32), (0.0, 0.5), (f32::MAX, 1.0)] {
            assert_eq!(scale(value).to_bits(), expected.to_bits());
        }
        assert_eq!(normalizer(&[2.0, 2.0])(2.0).to_bits(), 0);
    }
}
