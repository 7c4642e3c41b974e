//! The one module with `unsafe`: vector lanes, the choice of CPU path, and the inner loops that
//! read without bounds checks after one check up front.
//!
//! Every kernel is written once, generic over [`Lanes`], and instantiated for each path. Sums run
//! in the order in which the code says, with fused multiply-adds on every path, so that all paths
//! give the same bits.

#![allow(unsafe_code)]

mod channels;
mod descent;
mod groups;
mod live;
mod short;
mod sparse;
mod tile;
mod windows;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

use std::sync::atomic::{AtomicU8, Ordering};

pub(crate) use channels::{ChannelTile, channel_tile, store_channels};
pub(crate) use descent::{Descent, LiveDescent};
pub(crate) use groups::GroupsMut;
pub(crate) use live::{LiveProduct, RowTimesPanels};
pub(crate) use short::Short;
pub(crate) use sparse::{
    Distances, LIST_SLACK, Left, Listed, Patch, SCATTERED, STOPPED, gather, list, scatter, total,
};
pub(crate) use tile::{
    COLUMNS, Ends, PANELS, Product, ROWS, Start, Tile, load_columns, load_rows, panels_of,
    relu_rows, store_rows, with_rows,
};
pub(crate) use windows::{Pixels, Sink, Windows};

use super::elementwise::copy_few;

/// Floats in one [`Lanes`] value, on every path.
pub(crate) const LANES: usize = 8;

/// Minus half of a float's bits this is roughly the bits of its inverse square root.
pub(crate) const ROOT_MAGIC: u32 = 0x5f37_59df;

/// Floats that are worked on together.
pub(crate) trait Vector: Copy {
    /// How many.
    const LEN: usize;
    /// Whether loops over them are unrolled so that they stay in registers.
    const UNROLLED: bool = true;
    /// A yes or no for each.
    type Mask: Copy;
    /// `LEN` times `x`.
    fn splat(x: f32) -> Self;
    /// `self * a + b`, rounded once.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// `self + a`.
    fn add(self, a: Self) -> Self;
    /// `self - a`.
    fn sub(self, a: Self) -> Self;
    /// `self * a`.
    fn mul(self, a: Self) -> Self;
    /// `1 / sqrt(self)` within 3.5 %, of positive normal numbers: from the bits alone.
    fn inverse_root_guess(self) -> Self;
    /// `max(self, 0)`; NaN and -0 stay.
    fn relu(self) -> Self;
    /// `self > a`.
    fn exceeds(self, a: Self) -> Self::Mask;
    /// `self > a`, or `self` is NaN.
    fn wins(self, a: Self) -> Self::Mask;
    /// `self` where it exceeds `a`, elsewhere `a`.
    fn larger(self, a: Self) -> Self;
    /// NaN where one of `others` is, elsewhere `self`.
    fn unless_nan(self, others: [Self; 4]) -> Self;
    /// Where the bits are those of `a`.
    fn same_bits(self, a: Self) -> Self::Mask;
    /// `self` where `mask` says yes, elsewhere `other`.
    fn select(self, mask: Self::Mask, other: Self) -> Self;
    /// Reads `LEN` floats.
    ///
    /// # Safety
    /// `from` is valid for reads of `LEN` floats.
    unsafe fn read(from: *const f32) -> Self;
    /// Writes `LEN` floats.
    ///
    /// # Safety
    /// `to` is valid for writes of `LEN` floats.
    unsafe fn write(self, to: *mut f32);

    /// Reads the first `LEN` floats of `from`.
    #[inline(always)]
    fn load(from: &[f32]) -> Self {
        assert!(from.len() >= Self::LEN);
        // SAFETY: just checked.
        unsafe { Self::read(from.as_ptr()) }
    }

    /// Reads the first `count` floats of `from`, at most `LEN`, and zeros behind them.
    #[inline(always)]
    fn load_some(from: &[f32], count: usize) -> Self {
        let mut padded = [0.0; COLUMNS];
        copy_few(&mut padded[..count], &from[..count]);
        Self::load(&padded)
    }

    /// Writes to the first `LEN` floats of `to`.
    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        assert!(to.len() >= Self::LEN);
        // SAFETY: just checked.
        unsafe { self.write(to.as_mut_ptr()) }
    }
}

/// Asks for the cache line of a float that is needed soon.
#[inline(always)]
pub(crate) fn prefetch(float: &f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has the instruction, which reads nothing by itself.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(float).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = float;
}

/// Repeats `$body` with the constant `$i` from 0 to `$n - 1`, at most 17: the compiler does not unroll
/// loops as long as these by itself, and without it arrays of vectors would live in memory.
///
/// Each turn costs the compiler a constant, nested ones the product: `unrolled!([0 1 2] n, …)` is for
/// fewer.
macro_rules! unrolled {
    ([$($value:literal)*] $n:expr, $i:ident => $body:expr) => {{
        const { assert!($n <= [$($value),*].len()) };
        $crate::kernel::simd::unrolled!(@ $n, $i => $body, [$($value)*]);
    }};
    ($n:expr, $i:ident => $body:expr) => {
        $crate::kernel::simd::unrolled!(
            @ $n, $i => $body, [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17]
        )
    };
    (@ $n:expr, $i:ident => $body:expr, [$($value:literal)*]) => {$(
        // The lints see the indices of branches that are never taken.
        #[allow(unconditional_panic, clippy::out_of_bounds_indexing)]
        {
            if const { $n > $value } {
                #[allow(non_upper_case_globals)]
                const $i: usize = $value;
                $body;
            }
        }
    )*};
}
pub(crate) use unrolled;

/// The same for vectors `$W`, where they stay in registers; elsewhere a loop.
macro_rules! unrolled_for {
    ($W:ty: $values:tt $n:expr, $i:ident => $body:expr) => {
        if const { <$W as $crate::kernel::simd::Vector>::UNROLLED } {
            $crate::kernel::simd::unrolled!($values $n, $i => $body);
        } else {
            for $i in 0..$n {
                $body;
            }
        }
    };
}
pub(crate) use unrolled_for;

/// Eight floats, and what a path has for sixteen.
pub(crate) trait Lanes: Vector {
    /// The columns of a tile.
    type Wide: Vector;
    /// The widest vectors of which registers hold sixteen.
    type Sixteenth: Vector;
    /// The most rows of a tile whose sums stay in registers.
    const ROWS: usize;
    /// The most panels of a tile, at most [`PANELS`]: each factor that is read serves as many vectors. One
    /// where registers hold no more sums, or two vectors make a panel anyway.
    const PANELS: usize = 1;
    /// The most `Wide`s that a sparse loop keeps in registers.
    const HELD: usize;

    /// Whether [`pick`](Self::pick) takes fewer steps than a look at each float.
    const PICKS: bool = false;

    /// Turns rows into columns.
    #[inline(always)]
    fn turn(square: &mut [[f32; COLUMNS]; COLUMNS]) {
        let from = *square;
        for (column, to) in square.iter_mut().enumerate() {
            to.iter_mut().zip(&from).for_each(|(to, row)| *to = row[column]);
        }
    }

    /// [`list`] without its checks.
    ///
    /// # Safety
    /// As [`list`] checks.
    #[inline(always)]
    unsafe fn list(
        left: Left<'_>,
        places: &mut [f32],
        values: &mut [f32],
        lens: &mut [usize; COLUMNS],
    ) {
        // SAFETY: the caller's promise.
        unsafe { sparse::list_pixels(left, places, values, lens) }
    }

    /// Lists the numbers of those `values` that are not zero, counted from `first` on, as `u32` bits, and
    /// the values; with `winners` only where a winner is the place given. Gives the list's length; behind
    /// it the arrays have room for [`LIST_SLACK`].
    #[inline(always)]
    fn pick(
        winners: Option<(&[f32], u32)>,
        first: u32,
        values: &[f32],
        at: &mut [f32],
        picked: &mut [f32],
    ) -> usize {
        let mut len = 0;
        for (index, &value) in values.iter().enumerate() {
            if value != 0.0 && winners.is_none_or(|(all, place)| all[index].to_bits() == place) {
                at[len] = f32::from_bits(first + index as u32);
                picked[len] = value;
                len += 1;
            }
        }
        len
    }

    /// Runs `kernel` in a function of its own, for loops that come in many variants: what is inlined
    /// shares one frame on the stack, which without optimization is the sum of all.
    fn call<K: Kernel<Self>>(kernel: K);
}

/// A loop for [`Lanes::call`].
pub(crate) trait Kernel<L> {
    /// Runs it, with vectors of `L`; to be inlined.
    fn run(self);
}

/// Sixteen floats as two halves.
#[derive(Clone, Copy)]
pub(crate) struct Pair<L>(L, L);

impl<L: Lanes> Vector for Pair<L> {
    const LEN: usize = 2 * L::LEN;
    const UNROLLED: bool = <L as Vector>::UNROLLED;
    type Mask = (L::Mask, L::Mask);

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self(L::splat(x), L::splat(x))
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        Self(self.0.mul_add(a.0, b.0), self.1.mul_add(a.1, b.1))
    }

    #[inline(always)]
    fn add(self, a: Self) -> Self {
        Self(self.0.add(a.0), self.1.add(a.1))
    }

    #[inline(always)]
    fn sub(self, a: Self) -> Self {
        Self(self.0.sub(a.0), self.1.sub(a.1))
    }

    #[inline(always)]
    fn mul(self, a: Self) -> Self {
        Self(self.0.mul(a.0), self.1.mul(a.1))
    }

    #[inline(always)]
    fn inverse_root_guess(self) -> Self {
        Self(self.0.inverse_root_guess(), self.1.inverse_root_guess())
    }

    #[inline(always)]
    fn relu(self) -> Self {
        Self(self.0.relu(), self.1.relu())
    }

    #[inline(always)]
    fn exceeds(self, a: Self) -> Self::Mask {
        (self.0.exceeds(a.0), self.1.exceeds(a.1))
    }

    #[inline(always)]
    fn wins(self, a: Self) -> Self::Mask {
        (self.0.wins(a.0), self.1.wins(a.1))
    }

    #[inline(always)]
    fn larger(self, a: Self) -> Self {
        Self(self.0.larger(a.0), self.1.larger(a.1))
    }

    #[inline(always)]
    fn unless_nan(self, [a, b, c, d]: [Self; 4]) -> Self {
        Self(self.0.unless_nan([a.0, b.0, c.0, d.0]), self.1.unless_nan([a.1, b.1, c.1, d.1]))
    }

    #[inline(always)]
    fn same_bits(self, a: Self) -> Self::Mask {
        (self.0.same_bits(a.0), self.1.same_bits(a.1))
    }

    #[inline(always)]
    fn select(self, mask: Self::Mask, other: Self) -> Self {
        Self(self.0.select(mask.0, other.0), self.1.select(mask.1, other.1))
    }

    #[inline(always)]
    fn load_some(from: &[f32], count: usize) -> Self {
        let (first, others) = from[..count].split_at(count.min(L::LEN));
        Self(L::load_some(first, first.len()), L::load_some(others, others.len()))
    }

    #[inline(always)]
    unsafe fn read(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self(L::read(from), L::read(from.add(L::LEN))) }
    }

    #[inline(always)]
    unsafe fn write(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe {
            self.0.write(to);
            self.1.write(to.add(L::LEN));
        }
    }
}

/// Whether the target fuses a multiplication and an addition without being asked. Elsewhere each is a
/// call, which costs so much that unrolling wins little, and half of a program would be that.
const FUSED: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

/// `b += x * a`, rounded once.
#[inline(always)]
fn fuse(x: &[f32; LANES], a: &[f32; LANES], b: &mut [f32; LANES]) {
    for ((b, x), a) in b.iter_mut().zip(x).zip(a) {
        *b = x.mul_add(*a, *b);
    }
}

#[inline(never)]
fn fuse_apart(x: &[f32; LANES], a: &[f32; LANES], b: &mut [f32; LANES]) {
    fuse(x, a, b);
}

/// Lanes as plain arrays; vectorises where the target has fused multiply-add (aarch64), and is
/// correct, if slow, everywhere.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; LANES]);

impl Vector for Portable {
    const LEN: usize = LANES;
    const UNROLLED: bool = FUSED;
    type Mask = [bool; LANES];

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; LANES])
    }

    #[inline(always)]
    fn mul_add(self, a: Self, mut b: Self) -> Self {
        if FUSED {
            fuse(&self.0, &a.0, &mut b.0);
        } else {
            fuse_apart(&self.0, &a.0, &mut b.0);
        }
        b
    }

    #[inline(always)]
    fn add(self, a: Self) -> Self {
        let mut out = self.0;
        for (out, a) in out.iter_mut().zip(a.0) {
            *out += a;
        }
        Self(out)
    }

    #[inline(always)]
    fn sub(self, a: Self) -> Self {
        let mut out = self.0;
        for (out, a) in out.iter_mut().zip(a.0) {
            *out -= a;
        }
        Self(out)
    }

    #[inline(always)]
    fn mul(self, a: Self) -> Self {
        let mut out = self.0;
        for (out, a) in out.iter_mut().zip(a.0) {
            *out *= a;
        }
        Self(out)
    }

    #[inline(always)]
    fn inverse_root_guess(self) -> Self {
        Self(self.0.map(|x| f32::from_bits(ROOT_MAGIC.wrapping_sub(x.to_bits() >> 1))))
    }

    #[inline(always)]
    fn relu(self) -> Self {
        Self(self.0.map(|x| if x < 0.0 { 0.0 } else { x }))
    }

    #[inline(always)]
    fn exceeds(self, a: Self) -> Self::Mask {
        std::array::from_fn(|i| self.0[i] > a.0[i])
    }

    #[inline(always)]
    fn wins(self, a: Self) -> Self::Mask {
        std::array::from_fn(|i| self.0[i] > a.0[i] || self.0[i].is_nan())
    }

    #[inline(always)]
    fn larger(self, a: Self) -> Self {
        self.select(self.exceeds(a), a)
    }

    #[inline(always)]
    fn unless_nan(self, others: [Self; 4]) -> Self {
        let nan = |i: usize| others.iter().any(|other| other.0[i].is_nan());
        Self(std::array::from_fn(|i| if nan(i) { f32::NAN } else { self.0[i] }))
    }

    #[inline(always)]
    fn same_bits(self, a: Self) -> Self::Mask {
        std::array::from_fn(|i| self.0[i].to_bits() == a.0[i].to_bits())
    }

    #[inline(always)]
    fn select(self, mask: Self::Mask, other: Self) -> Self {
        Self(std::array::from_fn(|i| if mask[i] { self.0[i] } else { other.0[i] }))
    }

    #[inline(always)]
    unsafe fn read(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { from.cast::<[f32; LANES]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn write(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(self.0) }
    }
}

impl Lanes for Portable {
    type Wide = Pair<Self>;
    type Sixteenth = Self;
    const ROWS: usize = if FUSED { ROWS } else { 2 };
    const HELD: usize = 6;

    fn call<K: Kernel<Self>>(kernel: K) {
        kernel.run();
    }
}

/// The instruction sets that kernels exist for. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Path {
    /// Plain Rust.
    Portable,
    /// x86-64 with AVX2, FMA and POPCNT.
    Avx2,
    /// x86-64 with AVX-512 F, VL, BW and DQ.
    Avx512,
}

/// 0: not looked yet; otherwise 1 + the path.
static PATH: AtomicU8 = AtomicU8::new(0);

impl Path {
    /// The paths that this CPU has, the fastest first.
    #[must_use]
    pub fn all() -> &'static [Self] {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma")
            && std::arch::is_x86_feature_detected!("popcnt")
        {
            let wide = std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512vl")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512dq");
            return if wide {
                &[Self::Avx512, Self::Avx2, Self::Portable]
            } else {
                &[Self::Avx2, Self::Portable]
            };
        }
        &[Self::Portable]
    }

    /// The fastest path that this CPU has.
    #[must_use]
    pub fn best() -> Self {
        Self::all()[0]
    }

    /// The path in use: [`Path::best`], unless [`Path::force`] was called.
    #[inline]
    #[must_use]
    pub fn current() -> Self {
        match PATH.load(Ordering::Relaxed) {
            1 => Self::Portable,
            2 => Self::Avx2,
            3 => Self::Avx512,
            _ => {
                let best = Self::best();
                PATH.store(best.number(), Ordering::Relaxed);
                best
            }
        }
    }

    /// Makes this process use a slower path than the CPU's best: for tests of bit equality and for
    /// hunting miscompilations. `None` goes back to the best.
    ///
    /// # Panics
    /// If the CPU does not have it.
    pub fn force(path: Option<Self>) {
        let path = path.unwrap_or_else(Self::best);
        assert!(Self::all().contains(&path), "this CPU does not have {path:?}");
        PATH.store(path.number(), Ordering::Relaxed);
    }

    const fn number(self) -> u8 {
        match self {
            Self::Portable => 1,
            Self::Avx2 => 2,
            Self::Avx512 => 3,
        }
    }
}

/// Declares a function that runs `body::<L>(arguments)` with the lanes of the current path, `body`
/// being an `#[inline(always)]` function generic over `L: Lanes`.
macro_rules! vectorized {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) = $body:ident;)*) => {$(
        $(#[$meta])*
        #[allow(unsafe_code)]
        $vis fn $name($($arg: $type),*) {
            fn portable($($arg: $type),*) {
                $body::<$crate::kernel::simd::Portable>($($arg),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,popcnt")]
            fn avx2($($arg: $type),*) {
                $body::<$crate::kernel::simd::x86::Avx2>($($arg),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,popcnt")]
            fn avx512($($arg: $type),*) {
                $body::<$crate::kernel::simd::x86::Avx512>($($arg),*);
            }
            // SAFETY: `Path::current` names only what the CPU has.
            #[cfg(target_arch = "x86_64")]
            match $crate::kernel::simd::Path::current() {
                $crate::kernel::simd::Path::Avx512 => return unsafe { avx512($($arg),*) },
                $crate::kernel::simd::Path::Avx2 => return unsafe { avx2($($arg),*) },
                $crate::kernel::simd::Path::Portable => {}
            }
            portable($($arg),*);
        }
    )*};
}
pub(crate) use vectorized;
