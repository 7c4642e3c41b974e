//! Letters on a canvas.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(dejavu::sans::regular()).expect("the font of the crate is a font")
});

/// Height in pixels of a line, of letters of `size` pixels.
pub fn line_height(size: f32) -> usize {
    whole(size * 1.25)
}

/// Width in pixels of a line of text.
pub fn width(text: &str, size: f32) -> usize {
    let mut end = 0.0_f32;
    place(text, size, |_, _, next| end = next);
    whole(end)
}

#[allow(clippy::cast_sign_loss)]
fn whole(length: f32) -> usize {
    length.ceil() as usize
}

/// DejaVu is 1.164 times as high as the em that sizes of letters are given in.
fn scale(size: f32) -> PxScale {
    PxScale::from(size * 1.164)
}

/// Calls `each` with every glyph, where it starts, and where the next one does.
fn place(text: &str, size: f32, mut each: impl FnMut(ab_glyph::GlyphId, f32, f32)) {
    let font = FONT.as_scaled(scale(size));
    let mut pen = 0.0;
    let mut last = None;
    for c in text.chars() {
        let id = font.glyph_id(if c.is_control() { ' ' } else { c });
        if let Some(last) = last {
            pen += font.kern(last, id);
        }
        let next = pen + font.h_advance(id);
        each(id, pen, next);
        (pen, last) = (next, Some(id));
    }
}

/// Draws a line whose top left corner is at column `x`, row `y`; what reaches beyond the canvas is
/// cut off.
pub fn draw(canvas: &mut RgbImage, text: &str, x: usize, y: usize, size: f32, color: Rgb<u8>) {
    let scaled = FONT.as_scaled(scale(size));
    let baseline = (y as f32 + scaled.ascent()).round();
    let mut glyphs = Vec::new();
    place(text, size, |id, at, _| {
        glyphs.push(id.with_scale_and_position(scale(size), point(x as f32 + at, baseline)));
    });
    for outline in glyphs.into_iter().filter_map(|glyph| FONT.outline_glyph(glyph)) {
        let corner = outline.px_bounds().min;
        outline.draw(|column, row, cover| {
            let (column, row) =
                (corner.x as i64 + i64::from(column), corner.y as i64 + i64::from(row));
            let (Ok(column), Ok(row)) = (u32::try_from(column), u32::try_from(row)) else { return };
            if let Some(pixel) = canvas.get_pixel_mut_checked(column, row) {
                for (to, from) in pixel.0.iter_mut().zip(color.0) {
                    *to = blend(*to, from, cover);
                }
            }
        });
    }
}

/// `share` of `over`, the rest of `under`.
#[allow(clippy::cast_sign_loss)]
pub fn blend(under: u8, over: u8, share: f32) -> u8 {
    let (under, over) = (f32::from(under), f32::from(over));
    (under + (over - under) * share.clamp(0.0, 1.0)).round() as u8
}

/// Draws a line with its middle at column `center`.
pub fn draw_centered(
    canvas: &mut RgbImage,
    text: &str,
    center: usize,
    y: usize,
    size: f32,
    color: Rgb<u8>,
) {
    draw(canvas, text, center.saturating_sub(width(text, size) / 2), y, size, color);
}

/// The text in lines of at most `limit` pixels, broken at spaces; a longer word has a line of its
/// own. No line for no text.
pub fn wrap(text: &str, size: f32, limit: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        if let Some(line) = lines.last_mut() {
            let longer = format!("{line} {word}");
            if width(&longer, size) <= limit {
                *line = longer;
                continue;
            }
        }
        lines.push(word.to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_where_they_get_too_wide() {
        let words = width("automobile", 13.0);
        assert!((60..90).contains(&words), "{words}");
        assert_eq!(wrap("automobile (airplane)", 13.0, 80), ["automobile", "(airplane)"]);
        assert_eq!(wrap("7 (7)", 13.0, 80), ["7 (7)"]);
        assert!(wrap(" ", 13.0, 80).is_empty());
    }

    #[test]
    fn letters_beyond_the_canvas_are_cut_off() {
        let mut canvas = RgbImage::new(30, 30);
        draw_centered(&mut canvas, "wide", 0, 0, 40.0, Rgb([255; 3]));
        draw(&mut canvas, "W\u{0}漢", 25, 2, 40.0, Rgb([255; 3]));
        draw(&mut canvas, "W", usize::MAX, usize::MAX, 40.0, Rgb([255; 3]));
        assert!(canvas.pixels().any(|pixel| pixel.0[0] > 0));
    }
}
