//! Where a batch's images meet: what shards and layers that work on the batch as a whole hand each
//! other.

use crate::buffer::{Buffer, LINE};

/// For each image of a batch, in whole groups of sixteen, as many floats.
#[derive(Debug)]
pub struct Exchange {
    floats: Buffer,
    images: usize,
}

impl Exchange {
    /// For up to `images` images with `each` floats.
    #[must_use]
    pub fn new(images: usize, each: usize) -> Self {
        let images = images.next_multiple_of(LINE);
        Self { floats: Buffer::zeroed(images * each), images }
    }

    /// For how many images there is room.
    #[must_use]
    pub(crate) const fn images(&self) -> usize {
        self.images
    }

    /// The part of all images that starts at `at` floats of each.
    #[must_use]
    pub(crate) fn part(&self, at: usize) -> &[f32] {
        &self.floats[at * self.images..]
    }

    /// The same, to write.
    #[must_use]
    pub(crate) fn part_mut(&mut self, at: usize) -> &mut [f32] {
        &mut self.floats[at * self.images..]
    }
}
