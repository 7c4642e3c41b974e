//! Heap storage for numbers: aligned to a cache line, of a size fixed by its type, never built on
//! the stack.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use bytemuck::{Pod, Zeroable};

/// Sixteen floats, one cache line.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Floats in a cache line; what a [`Buffer`]'s length is rounded up to.
pub const LINE: usize = 16;

/// Floats on the heap, aligned to 64 bytes, zero at first; none by default.
#[derive(Clone, Default)]
pub struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// `len` zeros.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        Self { lines: vec![Line::zeroed(); len.div_ceil(LINE)], len }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} floats)", self.len)
    }
}

/// `[f32; N]`, as an associated type of a network whose sizes only its own code knows.
pub trait Floats: Send + Sync + 'static {
    /// N
    const LEN: usize;

    /// The array in a slice of N floats.
    fn of(floats: &[f32]) -> &Self;

    /// The array in a slice of N floats.
    fn of_mut(floats: &mut [f32]) -> &mut Self;

    /// The arrays in a slice of as many floats as some of them hold.
    fn rows(floats: &[f32]) -> &[Self]
    where
        Self: Sized;

    /// The same.
    fn rows_mut(floats: &mut [f32]) -> &mut [Self]
    where
        Self: Sized;

    /// As a slice.
    fn floats(&self) -> &[f32];

    /// As a slice.
    fn floats_mut(&mut self) -> &mut [f32];
}

impl<const N: usize> Floats for [f32; N] {
    const LEN: usize = N;

    fn of(floats: &[f32]) -> &Self {
        floats.try_into().expect("as many floats as the array holds")
    }

    fn of_mut(floats: &mut [f32]) -> &mut Self {
        floats.try_into().expect("as many floats as the array holds")
    }

    fn rows(floats: &[f32]) -> &[Self] {
        floats.as_chunks().0
    }

    fn rows_mut(floats: &mut [f32]) -> &mut [Self] {
        floats.as_chunks_mut().0
    }

    fn floats(&self) -> &[f32] {
        self
    }

    fn floats_mut(&mut self) -> &mut [f32] {
        self
    }
}

/// A `[f32; N]` on the heap, aligned to 64 bytes, zero at first; `Box::new([0.0; N])` would cross
/// the stack in a debug build.
#[derive(Debug)]
pub struct Storage<A> {
    buffer: Buffer,
    array: PhantomData<A>,
}

impl<A> Clone for Storage<A> {
    fn clone(&self) -> Self {
        Self { buffer: self.buffer.clone(), array: PhantomData }
    }
}

impl<A: Floats> Storage<A> {
    /// All zeros.
    #[must_use]
    pub fn zeroed() -> Self {
        Self { buffer: Buffer::zeroed(A::LEN), array: PhantomData }
    }
}

impl<A: Floats> Deref for Storage<A> {
    type Target = A;

    fn deref(&self) -> &A {
        A::of(&self.buffer)
    }
}

impl<A: Floats> DerefMut for Storage<A> {
    fn deref_mut(&mut self) -> &mut A {
        A::of_mut(&mut self.buffer)
    }
}

/// Cuts an arena into named parts, each starting on a cache line.
///
/// ```
/// # use cnn_runtime::buffer::Carve;
/// let mut arena = [0.0; 64];
/// let mut carve = Carve::new(&mut arena, 2);
/// let rows: &mut [[f32; 10]] = carve.rows();
/// let scratch: &mut [f32; 32] = carve.array();
/// assert_eq!((rows.len(), scratch.len()), (2, 32));
/// ```
#[derive(Debug)]
pub struct Carve<'a> {
    rest: &'a mut [f32],
    capacity: usize,
    first: usize,
}

impl<'a> Carve<'a> {
    /// Cuts `arena` for `capacity` images at a time.
    #[must_use]
    pub fn new(arena: &'a mut [f32], capacity: usize) -> Self {
        Self { rest: arena, capacity, first: 0 }
    }

    /// Of all [`rows`](Self::rows) only those from `first` on.
    #[must_use]
    pub fn skip(self, first: usize) -> Self {
        Self { first, ..self }
    }

    fn take(&mut self, len: usize) -> &'a mut [f32] {
        let rest = std::mem::take(&mut self.rest);
        let (part, rest) = rest.split_at_mut(len.next_multiple_of(LINE));
        self.rest = rest;
        &mut part[..len]
    }

    /// `len` floats for every image.
    ///
    /// # Panics
    /// If the arena is too small.
    #[must_use]
    pub fn slot(&mut self, len: usize) -> Slot<'a> {
        Slot(self.take(self.capacity * len))
    }

    /// `len` floats for one image.
    ///
    /// # Panics
    /// If the arena is too small.
    #[must_use]
    pub fn single(&mut self, len: usize) -> Slot<'a> {
        Slot(self.take(len))
    }

    /// `N` floats for every image, from the first that is not skipped.
    ///
    /// # Panics
    /// If the arena is too small, or more images are skipped than there are.
    #[must_use]
    pub fn rows<const N: usize>(&mut self) -> &'a mut [[f32; N]] {
        &mut self.take(self.capacity * N).as_chunks_mut().0[self.first..]
    }

    /// `N` floats.
    ///
    /// # Panics
    /// If the arena is too small.
    #[must_use]
    pub fn array<const N: usize>(&mut self) -> &'a mut [f32; N] {
        self.take(N).try_into().expect("the length that was asked for")
    }
}

/// A place in an arena that several arrays take, one after the other: rows of any length, one for
/// each image.
#[derive(Debug)]
pub struct Slot<'a>(&'a mut [f32]);

impl<'a> Slot<'a> {
    /// Row `index`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn row<const N: usize>(&self, index: usize) -> &[f32; N] {
        &self.0.as_chunks().0[index]
    }

    /// Row `index`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn row_mut<const N: usize>(&mut self, index: usize) -> &mut [f32; N] {
        &mut self.0.as_chunks_mut().0[index]
    }

    /// All rows.
    #[must_use]
    pub fn rows<const N: usize>(self) -> &'a mut [[f32; N]] {
        self.0.as_chunks_mut().0
    }

    /// The first floats, as many as `count` rows of `len` have.
    ///
    /// # Panics
    /// If there are not as many.
    #[must_use]
    pub fn first(&self, count: usize, len: usize) -> &[f32] {
        &self.0[..count * len]
    }

    /// The first floats, as many as `count` rows of `len` have.
    ///
    /// # Panics
    /// If there are not as many.
    #[must_use]
    pub fn first_mut(&mut self, count: usize, len: usize) -> &mut [f32] {
        &mut self.0[..count * len]
    }
}
