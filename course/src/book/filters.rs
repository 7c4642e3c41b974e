//! Filters written by hand, on a photograph.

use cnn_pictures::filter::{Kernel, NAMED, filter2d};
use cnn_pictures::{Palette, Picture, channels, decode, grey, sample_grid};

use super::Result;
use super::page::{Page, Part};

const PHOTOGRAPH: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../data/photograph/astronaut.jpg"));

/// The photograph, its channels, and its edges.
pub fn chapter(page: &mut Page) -> Result<()> {
    page.chapter("Filters on a photograph");
    let image = decode(PHOTOGRAPH)?;
    let photograph = Picture::of(&image)?;
    page.picture(&image, "The astronaut Eileen Collins, photographed by NASA (public domain).")?;
    let (height, width) = (photograph.height(), photograph.width());
    page.say(&format!(
        "Its shape is ({height}, {width}, {}): rows, columns and channels. These are its first pixels, \
         red, green and blue:",
        photograph.channels()
    ));
    let row = |y: u32| {
        let pixels = (0..3).map(|x| format!("{:?}", image.get_pixel(x, y).0));
        format!(" [{} ...]", pixels.collect::<Vec<_>>().join(" "))
    };
    let rows: Vec<String> = (0..3.min(image.height())).map(row).collect();
    page.code(&format!("[{}\n ...]", rows.join("\n").trim_start()));
    page.picture(&channels(photograph, Palette::Grey, 240)?, "Its three channels in grey.")?;
    page.picture(
        &channels(photograph, Palette::Viridis, 240)?,
        "The same numbers in the colour map viridis, from dark violet (0) to yellow (255).",
    )?;
    let shades = [Palette::Grey, Palette::Viridis].map(|palette| grey(photograph, palette));
    let pair = shades.iter().map(Picture::of).collect::<std::result::Result<Vec<_>, _>>()?;
    page.picture(
        &sample_grid(&pair, &["grey", "viridis"], 2, 256)?,
        "Its brightness, 0.299 red + 0.587 green + 0.114 blue, in both.",
    )?;

    page.heading("Edges");
    page.say(
        "The kernels of Sobel subtract what is on one side from what is on the other. Where both sides \
         are alike the result is 0; the brighter the result, the steeper the edge.",
    );
    for name in ["sobel_x", "sobel_y"] {
        let rows = NAMED.iter().find(|(known, _)| *known == name).map(|(_, rows)| rows.concat());
        page.matrices(&[Part::Sign(name), Part::Matrix(&rows.unwrap_or_default(), 3)]);
    }
    let edges = ["sobel_x", "sobel_y"].map(|name| Ok(filter2d(photograph, &Kernel::named(name)?)));
    let edges = edges.into_iter().collect::<Result<Vec<_>>>()?;
    let pair = edges.iter().map(Picture::of).collect::<std::result::Result<Vec<_>, _>>()?;
    page.picture(
        &sample_grid(&pair, &["sobel_x", "sobel_y"], 2, 256)?,
        "Upright edges and level edges: correlation, the border reflected without repeating its pixels, \
         results cut off at 0 and 255, as OpenCV's `filter2D` does it. What is below 0 is black, so that \
         only edges show behind which it gets brighter, to the right or further down.",
    )?;
    page.say(
        "On pictures of your own: `cnn filter PICTURE --kernel sobel_x --out edges.png`. As a network it \
         reads as follows; with zeros beyond the border in place of the reflected picture.",
    );
    page.code(
        "model SobelX {\n    input(256, 256, 1);\n    Conv2D(\n        kernel = [[-1, 0, 1], [-2, 0, 2], \
         [-1, 0, 1]],\n        padding = same,\n        use_bias = false,\n        trainable = false,\n    \
         );\n}",
    );
    Ok(())
}
