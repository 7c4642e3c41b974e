//! What the files of CIFAR-10 and CIFAR-100 share: records of a few label bytes and one colour
//! image of 32 x 32 pixels, stored as three planes: all of red, then green, then blue.

use std::path::Path;

use ndarray::{Array1, Array4};

use super::error::{DataError, FileProblem};
use super::file::read_whole;

/// The rows, and the columns, of an image.
const SIDE: usize = 32;
const CHANNELS: usize = 3;
const PLANE: usize = SIDE * SIDE;

/// One of the two formats, with its number of label bytes.
pub(super) struct Format<const LABELS: usize> {
    pub(super) name: &'static str,
    /// What each label byte is called in a message, and the last label there is.
    pub(super) labels: [(&'static str, u8); LABELS],
    /// Said where the bytes would make sense as the other format.
    pub(super) other: &'static str,
    pub(super) other_record: usize,
}

/// The records of one or more files.
pub(super) struct Records<const LABELS: usize> {
    /// Row by row, the three channels of a pixel side by side.
    pixels: Vec<u8>,
    labels: [Vec<u32>; LABELS],
}

impl<const LABELS: usize> Format<LABELS> {
    const RECORD: usize = LABELS + CHANNELS * PLANE;

    /// The records of the files at `paths`, in this order.
    pub(super) fn read<P: AsRef<Path>>(&self, paths: &[P]) -> Result<Records<LABELS>, DataError> {
        let mut records =
            Records { pixels: Vec::new(), labels: std::array::from_fn(|_| Vec::new()) };
        for path in paths {
            let path = path.as_ref();
            let read = read_whole(path).and_then(|bytes| {
                self.check(&bytes)?;
                // Enough for all files, if they are of one size.
                if records.pixels.is_empty() {
                    records.pixels.reserve_exact(paths.len() * bytes.len());
                }
                records.append(&bytes);
                Ok(())
            });
            read.map_err(|problem| problem.at(path))?;
        }
        Ok(records)
    }

    /// 3,073 records of CIFAR-100 have the length of 3,074 of CIFAR-10: the length alone does not
    /// tell one from the other.
    fn check(&self, bytes: &[u8]) -> Result<(), FileProblem> {
        let (found, record) = (bytes.len(), Self::RECORD);
        let fits_other = found > 0 && found.is_multiple_of(self.other_record);
        let hint = if fits_other { self.other } else { "" };
        if found == 0 || !found.is_multiple_of(record) {
            return Err(FileProblem::Records { kind: self.name, record, found, hint });
        }
        for (index, record) in bytes.chunks_exact(record).enumerate() {
            for (&label, &(kind, last)) in record.iter().zip(&self.labels) {
                if label > last {
                    return Err(FileProblem::Label { kind, record: index, label, last, hint });
                }
            }
        }
        Ok(())
    }
}

impl<const LABELS: usize> Records<LABELS> {
    fn append(&mut self, bytes: &[u8]) {
        for record in bytes.chunks_exact(Format::<LABELS>::RECORD) {
            let (labels, planes) = record.split_at(LABELS);
            for (to, &label) in self.labels.iter_mut().zip(labels) {
                to.push(label.into());
            }
            let (red, rest) = planes.split_at(PLANE);
            let (green, blue) = rest.split_at(PLANE);
            let colours = red.iter().zip(green).zip(blue);
            self.pixels.extend(colours.flat_map(|((&r, &g), &b)| [r, g, b]));
        }
    }

    /// Images of shape (samples, 32, 32, 3), and the labels of each kind.
    pub(super) fn into_arrays(self) -> (Array4<u8>, [Array1<u32>; LABELS]) {
        let shape = (self.pixels.len() / (CHANNELS * PLANE), SIDE, SIDE, CHANNELS);
        let images = Array4::from_shape_vec(shape, self.pixels).expect("whole records were read");
        (images, self.labels.map(Array1::from))
    }
}

/// What tests of both formats need.
#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Labels and an image whose planes hold `first`, `first` + 1 and `first` + 2, but for one pixel
    /// of red at row 1, column 2.
    pub(in super::super) fn record(labels: &[u8], first: u8) -> Vec<u8> {
        let mut bytes = labels.to_vec();
        bytes.extend((0..CHANNELS).flat_map(|c| [first + c as u8; PLANE]));
        bytes[labels.len() + SIDE + 2] = 200;
        bytes
    }
}
