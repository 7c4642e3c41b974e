//! The one module with `unsafe`: vector lanes, the choice of CPU path, and the inner loops that
//! read without bounds checks after one check up front.
//!
//! Every kernel is written once, generic over [`Lanes`], and instantiated for each path. Sums run
//! in the order in which the code says, with fused multiply-adds on every path, so that all paths
//! give the same bits.

#![allow(unsafe_code)]

mod channels;
mod sparse;
mod tile;

use std::sync::atomic::{AtomicU8, Ordering};

pub(crate) use channels::{ChannelTile, channel_tile, store_channels};
pub(crate) use sparse::{Patch, STOPPED, gather, list, scatter};
pub(crate) use tile::{COLUMNS, ROWS, Tile, load_columns, store_rows, tile, with_rows};

/// Floats in one [`Lanes`] value, on every path.
pub(crate) const LANES: usize = 8;

/// Eight floats that are worked on together.
pub(crate) trait Lanes: Copy {
    /// Eight times `x`.
    fn splat(x: f32) -> Self;
    /// `self * a + b`, rounded once.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// `max(self, 0)`; NaN and -0 stay.
    fn relu(self) -> Self;
    /// Reads eight floats.
    ///
    /// # Safety
    /// `from` is valid for reads of eight floats.
    unsafe fn read(from: *const f32) -> Self;
    /// Writes eight floats.
    ///
    /// # Safety
    /// `to` is valid for writes of eight floats.
    unsafe fn write(self, to: *mut f32);

    /// Reads the first eight floats of `from`.
    #[inline(always)]
    fn load(from: &[f32]) -> Self {
        let from: &[f32; LANES] = from[..LANES].try_into().expect("eight floats");
        // SAFETY: an array of eight floats is readable.
        unsafe { Self::read(from.as_ptr()) }
    }

    /// Writes to the first eight floats of `to`.
    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        let to: &mut [f32; LANES] = (&mut to[..LANES]).try_into().expect("eight floats");
        // SAFETY: an array of eight floats is writable.
        unsafe { self.write(to.as_mut_ptr()) }
    }
}

/// Lanes as plain arrays; vectorises where the target has fused multiply-add (aarch64), and is
/// correct, if slow, everywhere.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; LANES]);

impl Lanes for Portable {
    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; LANES])
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        let mut out = b.0;
        for ((out, x), a) in out.iter_mut().zip(self.0).zip(a.0) {
            *out = x.mul_add(a, *out);
        }
        Self(out)
    }

    #[inline(always)]
    fn relu(self) -> Self {
        Self(self.0.map(|x| if x < 0.0 { 0.0 } else { x }))
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

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2 {
    //! AVX2 with FMA.

    use std::arch::x86_64::{
        __m256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_set1_ps, _mm256_setzero_ps,
        _mm256_storeu_ps,
    };

    use super::{LANES, Lanes};

    /// Lanes in a 256-bit register. Only named by functions that [`super::vectorized`] makes, which
    /// run after [`super::Path::best`] saw the CPU's support.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256);

    const _: () = assert!(size_of::<Avx2>() == LANES * 4);

    impl Lanes for Avx2 {
        #[inline(always)]
        fn splat(x: f32) -> Self {
            // SAFETY: see `Avx2`.
            Self(unsafe { _mm256_set1_ps(x) })
        }

        #[inline(always)]
        fn mul_add(self, a: Self, b: Self) -> Self {
            // SAFETY: see `Avx2`.
            Self(unsafe { _mm256_fmadd_ps(self.0, a.0, b.0) })
        }

        #[inline(always)]
        fn relu(self) -> Self {
            // The second operand is what comes out where one is NaN or both are zero.
            // SAFETY: see `Avx2`.
            Self(unsafe { _mm256_max_ps(_mm256_setzero_ps(), self.0) })
        }

        #[inline(always)]
        unsafe fn read(from: *const f32) -> Self {
            // SAFETY: the caller's promise, and `Avx2`.
            Self(unsafe { _mm256_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn write(self, to: *mut f32) {
            // SAFETY: the caller's promise, and `Avx2`.
            unsafe { _mm256_storeu_ps(to, self.0) }
        }
    }
}

/// The instruction sets that kernels exist for. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Path {
    /// Plain Rust.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
}

/// 0: not looked yet; otherwise 1 + the path.
static PATH: AtomicU8 = AtomicU8::new(0);

impl Path {
    /// The fastest path that this CPU has.
    #[must_use]
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
        {
            return Self::Avx2;
        }
        Self::Portable
    }

    /// The path in use: [`Path::best`], unless [`Path::force_portable`] was called.
    #[inline]
    #[must_use]
    pub fn current() -> Self {
        match PATH.load(Ordering::Relaxed) {
            1 => Self::Portable,
            2 => Self::Avx2,
            _ => Self::choose(Self::best()),
        }
    }

    /// Makes this process use plain Rust even where the CPU can do more: for tests of bit equality
    /// and for hunting miscompilations. `false` goes back to the best path.
    pub fn force_portable(on: bool) {
        Self::choose(if on { Self::Portable } else { Self::best() });
    }

    fn choose(self) -> Self {
        PATH.store(if self == Self::Portable { 1 } else { 2 }, Ordering::Relaxed);
        self
    }
}

/// Declares a function that runs `body::<L>(arguments)` with the lanes of the current path, `body`
/// being an `#[inline(always)]` function generic over `L: Lanes`.
macro_rules! vectorized {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) = $body:ident;)*) => {$(
        $(#[$meta])*
        #[allow(unsafe_code)]
        $vis fn $name($($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) {
                    $body::<$crate::kernel::simd::avx2::Avx2>($($arg),*);
                }
                if $crate::kernel::simd::Path::current() == $crate::kernel::simd::Path::Avx2 {
                    // SAFETY: `Path::current` is `Avx2` only where the CPU has AVX2 and FMA.
                    return unsafe { avx2($($arg),*) };
                }
            }
            $body::<$crate::kernel::simd::Portable>($($arg),*);
        }
    )*};
}
pub(crate) use vectorized;
