//! Pictures in rows and columns, with titles.

use image::{Rgb, RgbImage};

use crate::error::{Error, same_count, within};
use crate::picture::{BLACK, Picture, canvas, check_side, fit, paste};
use crate::text;

const BLUE: Rgb<u8> = Rgb([0, 0, 220]);
const RED: Rgb<u8> = Rgb([214, 0, 0]);
const TITLE: f32 = 13.0;
const GAP: usize = 10;

/// What stands in one place of a grid.
pub(crate) struct Cell {
    pub image: RgbImage,
    pub title: String,
    pub color: Rgb<u8>,
}

/// Samples in rows of `columns`, each with its title above, or without titles if there are none.
/// `side` is the longer side of a sample in pixels: smaller ones are enlarged by a whole number,
/// pixels being squares; larger ones shrink.
///
/// # Errors
///
/// [`Error::Empty`] without pictures, [`Error::Count`] if there are titles but not as many as pictures,
/// [`Error::Range`] for `columns` outside 1..=1000 or `side` outside 1..=4096, [`Error::TooLarge`].
pub fn sample_grid(
    pictures: &[Picture<'_>],
    titles: &[&str],
    columns: usize,
    side: usize,
) -> Result<RgbImage, Error> {
    let side = check_side(side)?;
    if !titles.is_empty() {
        same_count("titles", titles.len(), "pictures", pictures.len())?;
    }
    check_area(pictures.len(), side)?;
    let cells = pictures.iter().enumerate().map(|(i, picture)| Cell {
        image: picture.fitted(side),
        title: titles.get(i).copied().unwrap_or_default().to_owned(),
        color: BLACK,
    });
    compose(&cells.collect::<Vec<_>>(), columns, side)
}

/// Samples titled `predicted (true)`, in blue where a prediction is right and in red where it is
/// wrong. `predicted` and `truth` are classes, `names` what they are called.
///
/// # Errors
///
/// As [`sample_grid`]; [`Error::Range`] for a class that has no name.
pub fn predictions_grid(
    pictures: &[Picture<'_>],
    predicted: &[usize],
    truth: &[usize],
    names: &[&str],
    columns: usize,
    side: usize,
) -> Result<RgbImage, Error> {
    let side = check_side(side)?;
    same_count("predicted classes", predicted.len(), "pictures", pictures.len())?;
    same_count("true classes", truth.len(), "pictures", pictures.len())?;
    check_area(pictures.len(), side)?;
    let max = names.len().saturating_sub(1);
    let name = |class: usize| {
        names.get(class).ok_or(Error::Range { what: "a class", min: 0, max, found: class })
    };
    let cells = pictures.iter().zip(predicted).zip(truth).map(|((picture, &found), &truth)| {
        Ok(Cell {
            image: picture.fitted(side),
            title: format!("{} ({})", name(found)?, name(truth)?),
            color: if found == truth { BLUE } else { RED },
        })
    });
    compose(&cells.collect::<Result<Vec<_>, Error>>()?, columns, side)
}

/// Refuses a grid before the pictures of its cells are made.
pub(crate) fn check_area(cells: usize, side: usize) -> Result<(), Error> {
    crate::picture::check_size(side as u64, (side as u64).saturating_mul(cells as u64))
}

/// Lays cells out. Columns are as wide as the widest picture or word, a row of titles is as high as
/// its highest.
pub(crate) fn compose(cells: &[Cell], columns: usize, side: usize) -> Result<RgbImage, Error> {
    if cells.is_empty() {
        return Err(Error::Empty("pictures"));
    }
    let columns = within("the number of columns", columns, 1, 1000)?.min(cells.len());
    let limit = side.max(40);
    let lines: Vec<Vec<String>> =
        cells.iter().map(|cell| text::wrap(&cell.title, TITLE, limit)).collect();
    let widths = cells.iter().zip(&lines).map(|(cell, lines)| {
        let words = lines.iter().map(|line| text::width(line, TITLE)).max().unwrap_or(0);
        words.max(cell.image.width() as usize)
    });
    let column = widths.max().unwrap_or(0);
    let line = text::line_height(TITLE);
    let rows: Vec<(usize, usize)> = cells
        .chunks(columns)
        .zip(lines.chunks(columns))
        .map(|(cells, lines)| {
            let titles = lines.iter().map(Vec::len).max().unwrap_or(0) * line;
            let images = cells.iter().map(|cell| cell.image.height() as usize).max().unwrap_or(0);
            (titles, images)
        })
        .collect();
    let width = GAP + columns * (column + GAP);
    let height = GAP + rows.iter().map(|(titles, images)| titles + images + GAP).sum::<usize>();
    let mut sheet = canvas(width, height)?;
    let mut top = GAP;
    for (row, &(titles, images)) in rows.iter().enumerate() {
        for place in 0..columns {
            let Some(cell) = cells.get(row * columns + place) else { break };
            let lines = &lines[row * columns + place];
            let left = GAP + place * (column + GAP);
            // Titles of fewer lines stand directly above their pictures.
            let first = top + titles - lines.len() * line;
            for (n, text) in lines.iter().enumerate() {
                let (center, y) = (left + column / 2, first + n * line);
                text::draw_centered(&mut sheet, text, center, y, TITLE, cell.color);
            }
            let x = left + (column - cell.image.width() as usize) / 2;
            paste(&mut sheet, &cell.image, x, top + titles);
        }
        top += titles + images + GAP;
    }
    Ok(sheet)
}

/// Images of one size close together: for filters and maps, which need no titles.
pub(crate) fn tiles(
    images: &[RgbImage],
    columns: usize,
    side: usize,
    gap: usize,
) -> Result<RgbImage, Error> {
    check_area(images.len(), side)?;
    let columns = within("the number of columns", columns, 1, 1000)?.min(images.len().max(1));
    let images: Vec<RgbImage> = images.iter().map(|image| fit(image, side)).collect();
    let Some(first) = images.first() else { return Err(Error::Empty("tiles")) };
    let (width, height) = (first.width() as usize + gap, first.height() as usize + gap);
    let rows = images.len().div_ceil(columns);
    let mut sheet = canvas(columns * width + gap, rows * height + gap)?;
    for (i, image) in images.iter().enumerate() {
        paste(&mut sheet, image, gap + i % columns * width, gap + i / columns * height);
    }
    Ok(sheet)
}
