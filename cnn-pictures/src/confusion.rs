//! Which classes a network takes for which.

use image::Rgb;
use ndarray::{Array2, ArrayRef2};

use crate::error::{Error, same_count, within};
use crate::svg::{Anchor, Drawing, Svg};
use crate::text;

const MAX_CLASSES: usize = 200;

/// How often each true class (row) was predicted as each class (column), of `classes` classes.
///
/// # Errors
///
/// [`Error::Count`] if the lists differ in length, [`Error::Range`] for a class that is not below
/// `classes`, or for `classes` outside 1..=200.
pub fn count_confusions(
    predicted: &[usize],
    truth: &[usize],
    classes: usize,
) -> Result<Array2<u64>, Error> {
    within("the number of classes", classes, 1, MAX_CLASSES)?;
    same_count("predicted classes", predicted.len(), "true classes", truth.len())?;
    let mut counts = Array2::zeros((classes, classes));
    for (&found, &truth) in predicted.iter().zip(truth) {
        let found = within("a class", found, 0, classes - 1)?;
        counts[[within("a class", truth, 0, classes - 1)?, found]] += 1;
    }
    Ok(counts)
}

/// The matrix of counts, true classes in rows, predicted ones in columns, each cell the darker the
/// larger its share of its row.
///
/// # Errors
///
/// [`Error::NotSquare`], [`Error::Count`] unless there is a name for each class, [`Error::Range`] for
/// none or more than 200 classes.
pub fn confusion_matrix(counts: &ArrayRef2<u64>, names: &[&str]) -> Result<Svg, Error> {
    let (rows, columns) = counts.dim();
    if rows != columns {
        return Err(Error::NotSquare { rows, columns });
    }
    let classes = within("the number of classes", rows, 1, MAX_CLASSES)?;
    same_count("names", names.len(), "classes", classes)?;
    let longest = names.iter().map(|name| text::width(name, 12.0)).max().unwrap_or(0);
    let digits = counts.iter().map(|count| text::width(&count.to_string(), 12.0)).max();
    let cell = (digits.unwrap_or(0) + 10).max(34) as f64;
    let side = cell * classes as f64;
    // Names of one or two letters stand upright above their columns, longer ones are turned.
    let turned = longest as f64 > cell - 4.0;
    let left = longest as f64 + 36.0;
    let top = if turned { longest as f64 + 38.0 } else { 46.0 };
    let mut drawing = Drawing::new(left + side + 10.0, top + side + 10.0, "Confusion matrix");
    let grey = "fill=\"#333\"";
    let middle = left + side / 2.0;
    drawing.text(middle, 16.0, 13.0, Anchor::Middle, "predicted", grey);
    let center = top + side / 2.0;
    let turn = format!("{grey} transform=\"rotate(-90 16 {center})\"");
    drawing.text(16.0, center, 13.0, Anchor::Middle, "true", &turn);
    for (i, name) in names.iter().enumerate() {
        let at = cell * (i as f64 + 0.5);
        drawing.text(left - 7.0, top + at + 4.0, 12.0, Anchor::End, name, grey);
        let (x, y) = (left + at, top - 8.0);
        if turned {
            let x = x + 4.0;
            let turn = format!("{grey} transform=\"rotate(-90 {x} {y})\"");
            drawing.text(x, y, 12.0, Anchor::Start, name, &turn);
        } else {
            drawing.text(x, y, 12.0, Anchor::Middle, name, grey);
        }
    }
    for (row, counts) in counts.rows().into_iter().enumerate() {
        // A sum in f64, because a sum of counts could wrap.
        let sum: f64 = counts.iter().map(|&count| count as f64).sum();
        for (column, &count) in counts.iter().enumerate() {
            let share = if sum > 0.0 { count as f64 / sum } else { 0.0 };
            let (x, y) = (left + cell * column as f64, top + cell * row as f64);
            let Rgb([r, g, b]) = shade(share);
            let fill = format!("fill=\"#{r:02x}{g:02x}{b:02x}\" stroke=\"#fff\"");
            drawing.rect(x, y, cell, cell, &fill);
            let color = match (count, share > 0.5) {
                (0, _) => "fill=\"#aaa\"",
                (_, true) => "fill=\"#fff\"",
                (_, false) => "fill=\"#111\"",
            };
            let (x, y) = (x + cell / 2.0, y + cell / 2.0 + 4.5);
            drawing.text(x, y, 12.0, Anchor::Middle, &count.to_string(), color);
        }
    }
    Ok(drawing.finish())
}

/// From nearly white to dark blue. The root makes small shares, which are the mistakes, visible.
fn shade(share: f64) -> Rgb<u8> {
    let color = colorous::BLUES.eval_continuous(share.sqrt());
    Rgb([color.r, color.g, color.b])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn confusions_are_counted_by_true_rows() {
        let counts = count_confusions(&[0, 1, 1, 2], &[0, 0, 1, 1], 3).unwrap();
        assert_eq!(counts, array![[1, 1, 0], [0, 1, 1], [0, 0, 0]]);
        assert!(count_confusions(&[3], &[0], 3).is_err());
        assert!(count_confusions(&[0], &[3], 3).is_err());
        assert!(count_confusions(&[0], &[], 3).is_err());
        assert!(count_confusions(&[], &[], usize::MAX).is_err());
    }
}
