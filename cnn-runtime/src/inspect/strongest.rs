use std::cmp::Ordering;
use std::ops::Range;

use ndarray::{Array3, ArrayView3};
use rayon::prelude::*;

use super::{
    Inspect, InspectError, Inspector, View, array, check_index, count, find, picture, sizes,
};
use crate::buffer::{Buffer, Floats, Storage};
use crate::data::Inputs;
use crate::model::load_one;
use crate::network::ReceptiveField;

/// Where a feature is how strong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Number of the image.
    pub image: usize,
    /// Row in the feature's map.
    pub row: usize,
    /// Column in the feature's map.
    pub column: usize,
    /// The feature's value there.
    pub value: f32,
}

impl Place {
    /// Stronger ones first; of equal ones the earlier image.
    fn order(&self, other: &Self) -> Ordering {
        let stronger = other.value.partial_cmp(&self.value).unwrap_or(Ordering::Equal);
        stronger.then(self.image.cmp(&other.image))
    }
}

/// The places where the features of a layer are strongest.
#[derive(Clone, Debug, PartialEq)]
pub struct Strongest {
    /// Which pixels of the input the layer's outputs can depend on.
    pub field: ReceptiveField,
    /// For each feature its strongest places, the first one strongest; each in another image.
    pub features: Vec<Vec<Place>>,
}

impl<N: Inspect> Inspector<N> {
    /// For each feature of a layer the `n` images that excite it most, with the place in each where
    /// it is strongest (of equal ones the first), and its value there. NaN excites nothing.
    ///
    /// Runs over all images on rayon's current threads, whose number never shows in the result, and
    /// keeps the layers' outputs of one image a thread.
    ///
    /// # Errors
    /// If there is no layer of that name, or the inputs are not whole images.
    pub fn strongest(
        &self,
        inputs: Inputs<'_>,
        layer: &str,
        n: usize,
    ) -> Result<Strongest, InspectError> {
        let (info, view) = find::<N>(layer)?;
        let images = count::<N>(inputs)?;
        let shape = sizes(info.output_shape);
        let workers = rayon::current_num_threads().clamp(1, images.max(1));
        let share = images.div_ceil(workers);
        let parts: Vec<Best> = (0..workers)
            .into_par_iter()
            .with_max_len(1)
            .map(|worker| {
                let range = (worker * share).min(images)..((worker + 1) * share).min(images);
                self.best(inputs, range, view, shape, n)
            })
            .collect();
        let mut all = Best::new(shape[2], n);
        for part in parts {
            all.merge(part);
        }
        Ok(Strongest { field: info.field, features: all.features })
    }

    fn best(
        &self,
        inputs: Inputs<'_>,
        images: Range<usize>,
        view: View,
        shape: [usize; 3],
        n: usize,
    ) -> Best {
        let mut best = Best::new(shape[2], n);
        let mut arena = Buffer::zeroed(N::VIEW_ARENA);
        let len: usize = shape.iter().product();
        for image in images {
            load_one::<N>(inputs, image, N::Input::of_mut(&mut arena[..N::Input::LEN]));
            N::look(&self.kernels, &mut arena, None);
            best.take(image, array(shape, &arena[view.output..][..len]));
        }
        best
    }

    /// What a layer sees at a place: the pixels of the image in its field there, height x width x
    /// channels, `padding` where it reaches beyond the image.
    ///
    /// # Errors
    /// If there is no such layer or image, or the inputs are not whole images.
    pub fn patch(
        inputs: Inputs<'_>,
        layer: &str,
        place: &Place,
        padding: f32,
    ) -> Result<Array3<f32>, InspectError> {
        let (info, _) = find::<N>(layer)?;
        check_index::<N>(inputs, place.image)?;
        let mut image = Storage::<N::Input>::zeroed();
        load_one::<N>(inputs, place.image, &mut image);
        let window = info.field.at([place.row, place.column]);
        Ok(cut(array(picture(N::INPUT_SHAPE), image.floats()), &window, padding))
    }
}

/// Cuts rows and columns out of a picture, height x width x channels; `padding` stands for what lies
/// outside. A window is cut off where it reaches further out than the picture is large.
#[must_use]
#[allow(clippy::needless_pass_by_value, reason = "views are passed by value")]
pub fn cut(picture: ArrayView3<'_, f32>, window: &[Range<i64>; 2], padding: f32) -> Array3<f32> {
    let (height, width, channels) = picture.dim();
    let clipped = |window: &Range<i64>, len: usize| {
        let len = i64::try_from(len).unwrap_or(i64::MAX / 4);
        let start = window.start.clamp(-len, 2 * len);
        start..window.end.clamp(start, 2 * len)
    };
    let (rows, columns) = (clipped(&window[0], height), clipped(&window[1], width));
    let size = |range: &Range<i64>| usize::try_from(range.end - range.start).unwrap_or(0);
    Array3::from_shape_fn((size(&rows), size(&columns), channels), |(row, column, channel)| {
        let at = |start: i64, offset: usize| {
            usize::try_from(start.saturating_add_unsigned(offset as u64)).ok()
        };
        let place = at(rows.start, row).zip(at(columns.start, column));
        let inside = place.filter(|(row, column)| *row < height && *column < width);
        inside.map_or(padding, |(row, column)| picture[[row, column, channel]])
    })
}

/// The strongest places of each feature so far.
struct Best {
    features: Vec<Vec<Place>>,
    /// Of the image at hand.
    current: Vec<Option<Place>>,
    n: usize,
}

impl Best {
    fn new(features: usize, n: usize) -> Self {
        Self { features: vec![Vec::new(); features], current: vec![None; features], n }
    }

    #[allow(clippy::needless_pass_by_value, reason = "views are passed by value")]
    fn take(&mut self, image: usize, maps: ArrayView3<'_, f32>) {
        self.current.fill(None);
        for (place, &value) in maps.indexed_iter() {
            let (row, column, feature) = place;
            let current = &mut self.current[feature];
            if current.is_none_or(|place| value > place.value) && !value.is_nan() {
                *current = Some(Place { image, row, column, value });
            }
        }
        for (best, place) in self.features.iter_mut().zip(&self.current) {
            if let Some(place) = *place {
                insert(best, place, self.n);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        for (best, others) in self.features.iter_mut().zip(other.features) {
            for place in others {
                insert(best, place, self.n);
            }
        }
    }
}

/// Puts a place where it belongs, and drops the weakest beyond `n`.
fn insert(best: &mut Vec<Place>, place: Place, n: usize) {
    let at = best.partition_point(|other| other.order(&place).is_le());
    if at < n {
        best.insert(at, place);
        best.truncate(n);
    }
}
