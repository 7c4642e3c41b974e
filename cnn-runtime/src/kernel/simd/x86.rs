//! x86-64's vectors. The types are only named by functions that [`super::vectorized`] makes, which
//! run after [`super::Path::all`] saw the CPU's support.

use std::arch::x86_64::{
    __m256, __m256i, __m512, __mmask16, _CMP_GT_OQ, _CMP_NEQ_UQ, _CMP_UNORD_Q, _kor_mask16,
    _mm256_add_ps, _mm256_blendv_ps, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_cmp_ps,
    _mm256_cmpeq_epi32, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_mul_ps,
    _mm256_or_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_srli_epi32,
    _mm256_storeu_ps, _mm256_sub_epi32, _mm256_sub_ps, _mm512_add_epi32, _mm512_add_ps,
    _mm512_and_si512, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask,
    _mm512_cmpeq_epi32_mask, _mm512_cmpneq_epi32_mask, _mm512_fmadd_ps, _mm512_i32gather_epi32,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_blend_ps, _mm512_mask_i32gather_epi32,
    _mm512_mask_i32gather_ps, _mm512_maskz_compress_ps, _mm512_maskz_loadu_epi32,
    _mm512_maskz_loadu_ps, _mm512_max_ps, _mm512_mul_ps, _mm512_mullo_epi32,
    _mm512_permutexvar_epi32, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setr_epi32,
    _mm512_setzero_ps, _mm512_srli_epi32, _mm512_storeu_ps, _mm512_sub_epi32, _mm512_sub_ps,
};

use super::sparse::list_pixels;
use super::{Kernel, LIST_SLACK, Lanes, Left, Pair, ROOT_MAGIC, ROWS, STOPPED, Vector};

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
     $max:ident, $zero:ident, $read:ident, $write:ident,
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

/// Sixteen registers.
impl Lanes for Avx2 {
    type Wide = Pair<Self>;
    const ROWS: usize = ROWS;
    const HELD: usize = 6;

    #[inline]
    fn call<K: Kernel<Self>>(kernel: K) {
        #[target_feature(enable = "avx2,fma")]
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
    const ROWS: usize = 16;
    const HELD: usize = 18;
    const PICKS: bool = true;

    #[inline(always)]
    unsafe fn list(left: Left<'_>, places: &mut [f32], values: &mut [f32]) -> usize {
        let Some(stride) = i32::try_from(left.stride).ok().filter(|&stride| stride < FARTHEST)
        else {
            // SAFETY: the caller's promise.
            return unsafe { list_pixels(left, places, values) };
        };
        // SAFETY: the caller's promise, and the CPU's support was seen.
        unsafe { list_sixteen(left, stride, places, values) }
    }

    #[inline(always)]
    fn pick(
        winners: Option<(&[f32], u32)>,
        values: &[f32],
        at: &mut [f32],
        picked: &mut [f32],
    ) -> usize {
        assert!(winners.is_none_or(|(winners, _)| winners.len() == values.len()));
        // SAFETY: just checked, and the CPU's support was seen.
        unsafe { pick_sixteen(winners, values, at, picked) }
    }

    #[inline]
    fn call<K: Kernel<Self>>(kernel: K) {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
        fn run<K: Kernel<Avx512>>(kernel: K) {
            kernel.run();
        }
        // SAFETY: the CPU's support was seen.
        unsafe { run(kernel) }
    }
}

/// The first of sixteen lanes, as many as are left.
const fn first(left: usize) -> u16 {
    if left >= 16 { u16::MAX } else { (1 << left) - 1 }
}

/// From which distance on sixteen of them are more than an index of a vector holds.
const FARTHEST: i32 = i32::MAX / 16;

/// [`list`](super::list) of sixteen pixels at a time, `stride` apart.
///
/// # Safety
/// As it checks, on a CPU that has AVX-512.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
#[inline]
unsafe fn list_sixteen(
    left: Left<'_>,
    stride: i32,
    places: &mut [f32],
    values: &mut [f32],
) -> usize {
    let (pixels, mut len) = (left.starts.len(), 0);
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let apart = _mm512_mullo_epi32(lanes, _mm512_set1_epi32(stride));
    let stopped = _mm512_set1_epi32(STOPPED.cast_signed());
    // SAFETY: the masks keep what is read within the pixels that there are; what is written starts at
    // most as far as the pixels before, and has room for a vector behind the last.
    unsafe {
        let near = _mm512_loadu_si512(left.distances.as_ptr().cast());
        for pixel in (0..pixels).step_by(16) {
            let (there, at) = (first(pixels - pixel), pixel * left.stride);
            let winners = left.winners.as_ptr().add(at).cast();
            let gradients = left.gradients.as_ptr().add(at);
            let winner = _mm512_mask_i32gather_epi32::<4>(stopped, there, apart, winners);
            let none = _mm512_setzero_ps();
            let gradient = _mm512_mask_i32gather_ps::<4>(none, there, apart, gradients);
            let starts = left.starts.as_ptr().add(pixel).cast();
            let start = _mm512_maskz_loadu_epi32(there, starts);
            let distance = if left.window <= 16 {
                _mm512_permutexvar_epi32(winner, near)
            } else {
                let place = _mm512_and_si512(winner, _mm512_set1_epi32(127));
                _mm512_i32gather_epi32::<4>(place, left.distances.as_ptr().cast())
            };
            let place = _mm512_castsi512_ps(_mm512_add_epi32(start, distance));
            // NaN is not zero.
            let live = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(gradient, none)
                & _mm512_cmpneq_epi32_mask(winner, stopped);
            _mm512_storeu_ps(places.as_mut_ptr().add(len), _mm512_maskz_compress_ps(live, place));
            _mm512_storeu_ps(
                values.as_mut_ptr().add(len),
                _mm512_maskz_compress_ps(live, gradient),
            );
            len += live.count_ones() as usize;
        }
    }
    len
}

/// [`Lanes::pick`] of sixteen values at a time.
///
/// # Safety
/// As it checks, on a CPU that has AVX-512.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
#[inline]
unsafe fn pick_sixteen(
    winners: Option<(&[f32], u32)>,
    values: &[f32],
    at: &mut [f32],
    picked: &mut [f32],
) -> usize {
    let mut len = 0;
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for first_value in (0..values.len()).step_by(16) {
        let there = first(values.len() - first_value);
        let number = _mm512_set1_epi32((first_value as u32).cast_signed());
        assert!(len + LIST_SLACK <= at.len().min(picked.len()));
        // SAFETY: the mask keeps what is read within the values; what is written has room.
        unsafe {
            let value = _mm512_maskz_loadu_ps(there, values.as_ptr().add(first_value));
            let mut live = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(value, _mm512_setzero_ps());
            if let Some((winners, place)) = winners {
                let winners = winners.as_ptr().add(first_value).cast();
                let winner = _mm512_maskz_loadu_epi32(there, winners);
                live &= _mm512_cmpeq_epi32_mask(winner, _mm512_set1_epi32(place.cast_signed()));
            }
            let number = _mm512_castsi512_ps(_mm512_add_epi32(lanes, number));
            _mm512_storeu_ps(at.as_mut_ptr().add(len), _mm512_maskz_compress_ps(live, number));
            _mm512_storeu_ps(picked.as_mut_ptr().add(len), _mm512_maskz_compress_ps(live, value));
            len += live.count_ones() as usize;
        }
    }
    len
}
