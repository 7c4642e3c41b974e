//! Squares turned, and lists of what is not zero by vectors that leave out lanes, with AVX-512.

use std::arch::x86_64::{
    __m512, _CMP_NEQ_UQ, _mm512_add_epi32, _mm512_and_si512, _mm512_castpd_ps, _mm512_castps_pd,
    _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_cmpeq_epi32_mask,
    _mm512_cmpneq_epi32_mask, _mm512_i32gather_epi32, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_maskz_compress_ps, _mm512_maskz_loadu_epi32, _mm512_maskz_loadu_ps,
    _mm512_permutexvar_epi32, _mm512_set1_epi32, _mm512_setr_epi32, _mm512_setzero_ps,
    _mm512_shuffle_f32x4, _mm512_storeu_ps, _mm512_unpackhi_pd, _mm512_unpackhi_ps,
    _mm512_unpacklo_pd, _mm512_unpacklo_ps,
};

use super::super::{COLUMNS, LIST_SLACK, Left, STOPPED};

/// The first of sixteen lanes, as many as are left.
const fn first(left: usize) -> u16 {
    if left >= 16 { u16::MAX } else { (1 << left) - 1 }
}

/// Turns a square, sixteen lanes of sixteen vectors: unpacked in pairs, then in fours, then by quarters.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,popcnt")]
#[inline]
fn turn(mut square: [__m512; COLUMNS]) -> [__m512; COLUMNS] {
    let from = square;
    for i in (0..COLUMNS).step_by(2) {
        square[i] = _mm512_unpacklo_ps(from[i], from[i + 1]);
        square[i + 1] = _mm512_unpackhi_ps(from[i], from[i + 1]);
    }
    let from = square;
    for i in (0..COLUMNS).step_by(4) {
        for half in 0..2 {
            let (upper, lower) = (from[i + half], from[i + 2 + half]);
            let (upper, lower) = (_mm512_castps_pd(upper), _mm512_castps_pd(lower));
            square[i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(upper, lower));
            square[i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(upper, lower));
        }
    }
    // Quarter `q` of vector `4 r + c` now holds column `4 q + c` of rows `4 r` to `4 r + 3`.
    let from = square;
    for c in 0..4 {
        let (a, b, d, e) = (from[c], from[4 + c], from[8 + c], from[12 + c]);
        let (ab_even, ab_odd) =
            (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
        let (de_even, de_odd) =
            (_mm512_shuffle_f32x4::<0x88>(d, e), _mm512_shuffle_f32x4::<0xdd>(d, e));
        square[c] = _mm512_shuffle_f32x4::<0x88>(ab_even, de_even);
        square[8 + c] = _mm512_shuffle_f32x4::<0xdd>(ab_even, de_even);
        square[4 + c] = _mm512_shuffle_f32x4::<0x88>(ab_odd, de_odd);
        square[12 + c] = _mm512_shuffle_f32x4::<0xdd>(ab_odd, de_odd);
    }
    square
}

/// [`Lanes::turn`](super::Lanes::turn).
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,popcnt")]
#[inline]
pub(super) fn turn_floats(square: &mut [[f32; COLUMNS]; COLUMNS]) {
    let mut rows = [_mm512_setzero_ps(); COLUMNS];
    for (to, row) in rows.iter_mut().zip(&*square) {
        // SAFETY: a row has sixteen floats.
        *to = unsafe { _mm512_loadu_ps(row.as_ptr()) };
    }
    for (to, column) in square.iter_mut().zip(turn(rows)) {
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), column) };
    }
}

/// [`list`](super::super::list) of sixteen pixels at a time, read pixel by pixel and turned.
///
/// # Safety
/// As it checks, on a CPU that has AVX-512.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,popcnt")]
#[inline]
pub(super) unsafe fn list(
    left: Left<'_>,
    places: &mut [f32],
    values: &mut [f32],
    lens: &mut [usize; COLUMNS],
) {
    let (pixels, room) = (left.starts.len(), left.starts.len() + LIST_SLACK);
    let stopped = _mm512_set1_epi32(STOPPED.cast_signed());
    let some = first(left.channels);
    *lens = [0; COLUMNS];
    // SAFETY: the masks keep what is read within the pixels and channels that there are; what is
    // written starts at most as far as the pixels before, and has room for a vector behind the last.
    unsafe {
        let near = _mm512_loadu_si512(left.distances.as_ptr().cast());
        for pixel in (0..pixels).step_by(COLUMNS) {
            let there = first(pixels - pixel);
            let (mut winners, mut gradients) =
                ([_mm512_setzero_ps(); COLUMNS], [_mm512_setzero_ps(); COLUMNS]);
            for i in 0..COLUMNS.min(pixels - pixel) {
                let at = (pixel + i) * left.stride;
                winners[i] = _mm512_maskz_loadu_ps(some, left.winners.as_ptr().add(at));
                gradients[i] = _mm512_maskz_loadu_ps(some, left.gradients.as_ptr().add(at));
            }
            let (winners, gradients) = (turn(winners), turn(gradients));
            let starts = left.starts.as_ptr().add(pixel).cast();
            let start = _mm512_maskz_loadu_epi32(there, starts);
            for channel in 0..left.channels {
                let (winner, gradient) =
                    (_mm512_castps_si512(winners[channel]), gradients[channel]);
                let distance = if left.window <= 16 {
                    _mm512_permutexvar_epi32(winner, near)
                } else {
                    let place = _mm512_and_si512(winner, _mm512_set1_epi32(127));
                    _mm512_i32gather_epi32::<4>(place, left.distances.as_ptr().cast())
                };
                let place = _mm512_castsi512_ps(_mm512_add_epi32(start, distance));
                // NaN is not zero; pixels that are not there have gradients of zero.
                let live = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(gradient, _mm512_setzero_ps())
                    & _mm512_cmpneq_epi32_mask(winner, stopped);
                let to = channel * room + lens[channel];
                let place = _mm512_maskz_compress_ps(live, place);
                _mm512_storeu_ps(places.as_mut_ptr().add(to), place);
                let gradient = _mm512_maskz_compress_ps(live, gradient);
                _mm512_storeu_ps(values.as_mut_ptr().add(to), gradient);
                lens[channel] += live.count_ones() as usize;
            }
        }
    }
}

/// [`Lanes::pick`](super::Lanes::pick) of sixteen values at a time.
///
/// # Safety
/// As it checks, on a CPU that has AVX-512.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,popcnt")]
#[inline]
pub(super) unsafe fn pick(
    winners: Option<(&[f32], u32)>,
    first_number: u32,
    values: &[f32],
    at: &mut [f32],
    picked: &mut [f32],
) -> usize {
    let mut len = 0;
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for first_value in (0..values.len()).step_by(16) {
        let there = first(values.len() - first_value);
        let number = _mm512_set1_epi32((first_number + first_value as u32).cast_signed());
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
