//! Rows and columns added around an image, or taken away.

/// `ZeroPadding2D` of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZeroPadding2D {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    /// Rows and columns of zeros: top, bottom, left, right.
    pub padding: [usize; 4],
}

impl ZeroPadding2D {
    /// Zeros at the top, bottom, left and right.
    #[must_use]
    pub const fn new(input: [usize; 3], padding: [usize; 4]) -> Self {
        Self { input, padding }
    }

    /// The input with zeros around it.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        y.fill(0.0);
        let row = self.input[1] * self.input[2];
        for (start, x) in rows(self.input, self.padding).zip(x.chunks_exact(row)) {
            y[start..start + row].copy_from_slice(x);
        }
    }

    /// The gradient without its frame.
    pub fn backward(&self, dy: &[f32], dx: &mut [f32]) {
        let row = self.input[1] * self.input[2];
        for (start, dx) in rows(self.input, self.padding).zip(dx.chunks_exact_mut(row)) {
            dx.copy_from_slice(&dy[start..start + row]);
        }
    }
}

/// `Cropping2D` of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cropping2D {
    /// What its gradient needs on the way back: the output, padded.
    inverse: ZeroPadding2D,
}

impl Cropping2D {
    /// Without rows and columns at the top, bottom, left and right.
    ///
    /// # Panics
    ///
    /// (In a `const`: does not compile.) If there are not as many.
    #[must_use]
    pub const fn new([height, width, channels]: [usize; 3], cropping: [usize; 4]) -> Self {
        let [top, bottom, left, right] = cropping;
        let output = [height - top - bottom, width - left - right, channels];
        Self { inverse: ZeroPadding2D::new(output, cropping) }
    }

    /// The input without its frame.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        self.inverse.backward(x, y);
    }

    /// The gradient with zeros around it.
    pub fn backward(&self, dy: &[f32], dx: &mut [f32]) {
        self.inverse.forward(dy, dx);
    }
}

/// Where the rows of an image start inside its frame.
fn rows(
    [height, width, channels]: [usize; 3],
    [top, _, left, right]: [usize; 4],
) -> impl Iterator<Item = usize> {
    (0..height).map(move |row| ((top + row) * (left + width + right) + left) * channels)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each element where its row and column say, in a table of frames.
    #[test]
    fn elements_keep_their_places() {
        for (input, padding) in [
            ([1, 1, 1], [0, 0, 0, 0]),
            ([4, 5, 3], [1, 1, 1, 1]),
            ([4, 5, 3], [1, 2, 0, 3]),
            ([2, 3, 9], [0, 0, 4, 0]),
        ] {
            let [height, width, channels] = input;
            let [top, bottom, left, right] = padding;
            let outer = [height + top + bottom, width + left + right, channels];
            let x: Vec<f32> = (1..=height * width * channels).map(|i| i as f32).collect();
            let mut y = vec![f32::NAN; outer.iter().product()];
            ZeroPadding2D::new(input, padding).forward(&x, &mut y);
            for (i, &y) in y.iter().enumerate() {
                let (row, column) = (i / channels / outer[1], i / channels % outer[1]);
                let (row, column) = (row.wrapping_sub(top), column.wrapping_sub(left));
                let inside = row < height && column < width;
                let place = row.wrapping_mul(width).wrapping_add(column).wrapping_mul(channels);
                let expected = if inside { x[place + i % channels] } else { 0.0 };
                assert_eq!(y.to_bits(), expected.to_bits(), "{i} of {input:?} in {padding:?}");
            }
            // Back again, by the way back and by cropping; and cropping's way back is padding.
            let crop = Cropping2D::new(outer, padding);
            let (mut dx, mut cropped) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
            ZeroPadding2D::new(input, padding).backward(&y, &mut dx);
            crop.forward(&y, &mut cropped);
            assert_eq!((&dx, &cropped), (&x, &x));
            let mut padded = vec![f32::NAN; y.len()];
            crop.backward(&x, &mut padded);
            assert_eq!(padded, y);
        }
    }
}
