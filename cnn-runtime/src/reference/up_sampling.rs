/// `UpSampling2D` of one image of height x width x channels.
#[must_use]
pub fn up_sampling(input: [usize; 3], size: [usize; 2], bilinear: bool, x: &[f64]) -> Vec<f64> {
    let [height, width, channels] = input;
    // The pixel under a point, the nearest at the borders.
    let pixel = |row: f64, column: f64, channel: usize| {
        let inside = |at: f64, n: usize| (0..n).rev().find(|&i| i as f64 <= at).unwrap_or(0);
        x[(inside(row, height) * width + inside(column, width)) * channels + channel]
    };
    let mut y = Vec::new();
    for row in 0..height * size[0] {
        for column in 0..width * size[1] {
            for channel in 0..channels {
                // Where the middle of this pixel lies in the small image.
                let row = (row as f64 + 0.5) / size[0] as f64;
                let column = (column as f64 + 0.5) / size[1] as f64;
                if !bilinear {
                    y.push(pixel(row.floor(), column.floor(), channel));
                    continue;
                }
                let (row, column) = (row - 0.5, column - 0.5);
                let (top, left) = (row.floor(), column.floor());
                let (down, across) = (row - top, column - left);
                y.push(
                    (1.0 - down) * (1.0 - across) * pixel(top, left, channel)
                        + (1.0 - down) * across * pixel(top, left + 1.0, channel)
                        + down * (1.0 - across) * pixel(top + 1.0, left, channel)
                        + down * across * pixel(top + 1.0, left + 1.0, channel),
                );
            }
        }
    }
    y
}
