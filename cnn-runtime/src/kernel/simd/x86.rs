//! x86-64's vectors. The types are only named by functions that [`super::vectorized`] makes, which
//! run after [`super::Path::all`] saw the CPU's support.

mod lists256;
mod lists512;

use std::arch::x86_64::{
    __m256, __m256i, __m512, __mmask16, _CMP_GT_OQ, _CMP_UNORD_Q, _kor_mask16, _mm256_add_ps,
    _mm256_blendv_ps, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_cmpeq_epi32,
    _mm256_cmpgt_epi32, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_maskload_ps, _mm256_max_ps,
    _mm256_mul_ps, _mm256_or_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32,
    _mm256_setzero_ps, _mm256_srli_epi32, _mm256_storeu_ps, _mm256_sub_epi32, _mm256_sub_ps,
    _mm512_add_ps, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask,
    _mm512_cmpeq_epi32_mask, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_blend_ps,
    _mm512_maskz_loadu_ps, _mm512_max_ps, _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_srli_epi32, _mm512_storeu_ps, _mm512_sub_epi32, _mm512_sub_ps,
};

use super::{COLUMNS, Kernel, Lanes, Left, Pair, ROOT_MAGIC, ROWS, Vector};

/// Eight floats where there is AVX2 with FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256);

/// Eight floats where there is AVX-512.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m256);

/// Sixteen floats where there is AVX-512.
#[derive(Clone, Copy)]
pub(crate) struct Wide512(__m512);

/// A [`Vector`] of a register type and its instructions.
macro_rules! vector {
    ($name:ident, $len:literal, $splat:ident, $mul_add:ident, $add:ident, $sub:ident, $mul:ident,
     $max:ident, $zero:ident, $read:ident, $some:ident, $write:ident,
     $bits:ident, $floats:ident, $shift:ident, $minus:ident, $integer:ident,
     $mask:ty, $compare:ident, $or:ident, $same:ident, $select:ident) => {
        impl Vector for $name {
            const LEN: usize = $len;
            type Mask = $mask;

            #[inline(always)]
            fn splat(x: f32) -> Self {
                // SAFETY: the CPU's support was seen, as for all below.
                Self(unsafe { $splat(x) })
            }

            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                // SAFETY: as above.
                Self(unsafe { $mul_add(self.0, a.0, b.0) })
            }

            #[inline(always)]
            fn add(self, a: Self) -> Self {
                // SAFETY: as above.
                Self(unsafe { $add(self.0, a.0) })
            }

            #[inline(always)]
            fn sub(self, a: Self) -> Self {
                // SAFETY: as above.
                Self(unsafe { $sub(self.0, a.0) })
            }

            #[inline(always)]
            fn mul(self, a: Self) -> Self {
                // SAFETY: as above.
                Self(unsafe { $mul(self.0, a.0) })
            }

            #[inline(always)]
            fn inverse_root_guess(self) -> Self {
                // SAFETY: as above.
                Self(unsafe {
                    let half = $shift::<1>($bits(self.0));
                    $floats($minus($integer(ROOT_MAGIC.cast_signed()), half))
                })
            }

            #[inline(always)]
            fn relu(self) -> Self {
                // The second operand is what comes out where one is NaN or both are zero.
                // SAFETY: as above.
                Self(unsafe { $max($zero(), self.0) })
            }

            #[inline(always)]
            fn exceeds(self, a: Self) -> Self::Mask {
                // SAFETY: as above.
                unsafe { $compare::<_CMP_GT_OQ>(self.0, a.0) }
            }

            #[inline(always)]
            fn wins(self, a: Self) -> Self::Mask {
                // SAFETY: as above.
                unsafe { $or(self.exceeds(a), $compare::<_CMP_UNORD_Q>(self.0, self.0)) }
            }

            #[inline(always)]
            fn larger(self, a: Self) -> Self {
                // SAFETY: as above.
                Self(unsafe { $max(self.0, a.0) })
            }

            #[inline(always)]
            fn unless_nan(self, [a, b, c, d]: [Self; 4]) -> Self {
                // SAFETY: as above.
                let nan = unsafe {
                    $or($compare::<_CMP_UNORD_Q>(a.0, b.0), $compare::<_CMP_UNORD_Q>(c.0, d.0))
                };
                Self::splat(f32::NAN).select(nan, self)
            }

            #[inline(always)]
            fn same_bits(self, a: Self) -> Self::Mask {
                // SAFETY: as above.
                unsafe { $same($bits(self.0), $bits(a.0)) }
            }

            #[inline(always)]
            fn select(self, mask: Self::Mask, other: Self) -> Self {
                // SAFETY: as above.
                Self(unsafe { $select(other.0, self.0, mask) })
            }

            #[inline(always)]
            fn load_some(from: &[f32], count: usize) -> Self {
                assert!(count <= from.len() && count <= $len);
                // SAFETY: just checked, and as above.
                Self(unsafe { $some(from.as_ptr(), count) })
            }

            #[inline(always)]
            unsafe fn read(from: *const f32) -> Self {
                // SAFETY: the caller's promise, and as above.
                Self(unsafe { $read(from) })
            }

            #[inline(always)]
            unsafe fn write(self, to: *mut f32) {
                // SAFETY: the caller's promise, and as above.
                unsafe { $write(to, self.0) }
            }
        }
    };
}

/// [`vector`] with AVX's names.
macro_rules! eight {
    ($name:ident) => {
        vector!(
            $name,
            8,
            _mm256_set1_ps,
            _mm256_fmadd_ps,
            _mm256_add_ps,
            _mm256_sub_ps,
            _mm256_mul_ps,
            _mm256_max_ps,
            _mm256_setzero_ps,
            _mm256_loadu_ps,
            some_256,
            _mm256_storeu_ps,
            _mm256_castps_si256,
            _mm256_castsi256_ps,
            _mm256_srli_epi32,
            _mm256_sub_epi32,
            _mm256_set1_epi32,
            __m256,
            _mm256_cmp_ps,
            _mm256_or_ps,
            same_256,
            _mm256_blendv_ps
        );
    };
}

eight!(Avx2);
eight!(Avx512);
vector!(
    Wide512,
    16,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_mul_ps,
    _mm512_max_ps,
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    some_512,
    _mm512_storeu_ps,
    _mm512_castps_si512,
    _mm512_castsi512_ps,
    _mm512_srli_epi32,
    _mm512_sub_epi32,
    _mm512_set1_epi32,
    __mmask16,
    _mm512_cmp_ps_mask,
    _kor_mask16,
    _mm512_cmpeq_epi32_mask,
    select_512
);

/// The first `count` floats of eight, and zeros: in one instruction, since a vector that was just put together
/// in memory has to wait for its parts.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn some_256(from: *const f32, count: usize) -> __m256 {
    let places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    let mask = _mm256_cmpgt_epi32(_mm256_set1_epi32((count as u32).cast_signed()), places);
    // SAFETY: the caller's promise that so many floats lie there; no others are read.
    unsafe { _mm256_maskload_ps(from, mask) }
}

/// The same of sixteen.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn some_512(from: *const f32, count: usize) -> __m512 {
    // SAFETY: as above.
    unsafe { _mm512_maskz_loadu_ps(((1_u32 << count) - 1) as __mmask16, from) }
}

/// `_mm256_cmpeq_epi32` as a mask of [`_mm256_blendv_ps`].
#[inline]
#[target_feature(enable = "avx2")]
fn same_256(a: __m256i, b: __m256i) -> __m256 {
    _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b))
}

/// `_mm512_mask_blend_ps` with the operands of `_mm256_blendv_ps`.
#[inline]
#[target_feature(enable = "avx512f")]
fn select_512(no: __m512, yes: __m512, mask: __mmask16) -> __m512 {
    _mm512_mask_blend_ps(mask, no, yes)
}

/// What [`Lanes`] does with instructions of its own, from a module of functions by these names.
macro_rules! lists {
    ($module:ident) => {
        const PICKS: bool = true;

        #[inline(always)]
        fn turn(square: &mut [[f32; COLUMNS]; COLUMNS]) {
            // SAFETY: the CPU's support was seen.
            unsafe { $module::turn_floats(square) }
        }

        #[inline(always)]
        unsafe fn list(
            left: Left<'_>,
            places: &mut [f32],
            values: &mut [f32],
            lens: &mut [usize; COLUMNS],
        ) {
            // SAFETY: the caller's promise, and the CPU's support was seen.
            unsafe { $module::list(left, places, values, lens) }
        }

        #[inline(always)]
        fn pick(
            winners: Option<(&[f32], u32)>,
            first: u32,
            values: &[f32],
            at: &mut [f32],
            picked: &mut [f32],
        ) -> usize {
            assert!(winners.is_none_or(|(winners, _)| winners.len() == values.len()));
            // SAFETY: just checked, and the CPU's support was seen.
            unsafe { $module::pick(winners, first, values, at, picked) }
        }
    };
}

/// Sixteen registers.
impl Lanes for Avx2 {
    type Wide = Pair<Self>;
    type Sixteenth = Self;
    const ROWS: usize = ROWS;
    const HELD: usize = 6;

    lists!(lists256);

    #[inline]
    fn call<K: Kernel<Self>>(kernel: K) {
        #[target_feature(enable = "avx2,fma,popcnt")]
        fn run<K: Kernel<Avx2>>(kernel: K) {
            kernel.run();
        }
        // SAFETY: the CPU's support was seen.
        unsafe { run(kernel) }
    }
}

/// Thirty-two registers of sixteen floats.
impl Lanes for Avx512 {
    type Wide = Wide512;
    type Sixteenth = Wide512;
    const ROWS: usize = 8;
    const PANELS: usize = 2;
    const HELD: usize = 18;

    lists!(lists512);

    #[inline]
    fn call<K: Kernel<Self>>(kernel: K) {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,popcnt")]
        fn run<K: Kernel<Avx512>>(kernel: K) {
            kernel.run();
        }
        // SAFETY: the CPU's support was seen.
        unsafe { run(kernel) }
    }
}
