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

    /// Values of matplotlib 3.10: `viridis(0)`, `viridis(0.5)`, `viridis(1.0)`, and so on.
    #[test]
    fn the_maps_are_those_of_matplotlib() {
        let all = |palette: Palette| [0.0, 0.5, 1.0].map(|value| palette.color(value).0);
        assert_eq!(all(Palette::Viridis), [[68, 1, 84], [33, 145, 140], [253, 231, 37]]);
        assert_eq!(all(Palette::Inferno), [[0, 0, 4], [188, 55, 84], [252, 255, 164]]);
        assert_eq!(all(Palette::Grey), [[0; 3], [128; 3], [255; 3]]);
        assert_eq!(Palette::Viridis.color(f32::NAN), Palette::Viridis.color(-3.0));
    }

    #[test]
    fn extremes_and_equal_numbers_have_colours() {
        let scale = normalizer(&[f32::MAX, -f32::MAX, 0.0]);
        assert_eq!([scale(-f32::MAX), scale(0.0), scale(f32::MAX)], [0.0, 0.5, 1.0]);
        assert_eq!(normalizer(&[2.0, 2.0])(2.0).to_bits(), 0);
    }
}
