//! Squares turned, and lists of what is not zero by permutations that close the gaps, with AVX2.

use std::arch::x86_64::{
    __m256, __m256i, _CMP_NEQ_UQ, _mm_cvtsi64_si128, _mm256_add_epi32, _mm256_and_ps,
    _mm256_and_si256, _mm256_andnot_si256, _mm256_castpd_ps, _mm256_castps_pd, _mm256_castps_si256,
    _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_cmpeq_epi32, _mm256_cmpgt_epi32,
    _mm256_cvtepu8_epi32, _mm256_i32gather_epi32, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_maskload_epi32, _mm256_maskload_ps, _mm256_movemask_ps, _mm256_permute2f128_ps,
    _mm256_permutevar8x32_epi32, _mm256_permutevar8x32_ps, _mm256_set1_epi32, _mm256_setr_epi32,
    _mm256_setzero_ps, _mm256_storeu_ps, _mm256_unpackhi_pd, _mm256_unpackhi_ps,
    _mm256_unpacklo_pd, _mm256_unpacklo_ps,
};

use super::super::{COLUMNS, LANES, LIST_SLACK, Left, STOPPED};

/// For each set of lanes, bits of a mask: a byte for each of them in order, then zeros.
static CLOSED: [u64; 256] = {
    let (mut table, mut mask) = ([0; 256], 0);
    while mask < table.len() {
        let (mut lane, mut at) = (0, 0);
        while lane < LANES as u64 {
            if mask >> lane & 1 == 1 {
                table[mask] |= lane << (8 * at);
                at += 1;
            }
            lane += 1;
        }
        mask += 1;
    }
    table
};

/// The lanes `0`, `1`, … as numbers.
#[target_feature(enable = "avx2,fma,popcnt")]
#[inline]
fn lanes() -> __m256i {
    _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)
}

/// A mask of the first lanes, as many as are `left`.
#[target_feature(enable = "avx2,fma,popcnt")]
#[inline]
fn first(left: usize) -> __m256i {
    _mm256_cmpgt_epi32(_mm256_set1_epi32((left.min(LANES) as u32).cast_signed()), lanes())
}

/// The lanes that `mask` names, in order, for [`_mm256_permutevar8x32_ps`], and how many.
#[target_feature(enable = "avx2,fma,popcnt")]
#[inline]
fn close(mask: __m256) -> (__m256i, usize) {
    let mask = _mm256_movemask_ps(mask).cast_unsigned() as u8;
    let order = _mm_cvtsi64_si128(CLOSED[usize::from(mask)].cast_signed());
    (_mm256_cvtepu8_epi32(order), mask.count_ones() as usize)
}

/// Where floats are not zero; NaN is not.
#[target_feature(enable = "avx2,fma,popcnt")]
#[inline]
fn not_zero(floats: __m256) -> __m256 {
    _mm256_cmp_ps::<_CMP_NEQ_UQ>(floats, _mm256_setzero_ps())
}

/// Turns a square, eight lanes of eight vectors: unpacked in pairs, then in fours, then by halves.
#[target_feature(enable = "avx2,fma,popcnt")]
#[inline]
fn turn(mut square: [__m256; LANES]) -> [__m256; LANES] {
    let from = square;
    for i in (0..LANES).step_by(2) {
        square[i] = _mm256_unpacklo_ps(from[i], from[i + 1]);
        square[i + 1] = _mm256_unpackhi_ps(from[i], from[i + 1]);
    }
    let from = square;
    for i in (0..LANES).step_by(4) {
        for half in 0..2 {
            let (upper, lower) = (from[i + half], from[i + 2 + half]);
            let (upper, lower) = (_mm256_castps_pd(upper), _mm256_castps_pd(lower));
            square[i + 2 * half] = _mm256_castpd_ps(_mm256_unpacklo_pd(upper, lower));
            square[i + 2 * half + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(upper, lower));
        }
    }
    // Half `h` of vector `4 r + c` now holds column `4 h + c` of rows `4 r` to `4 r + 3`.
    let from = square;
    for c in 0..4 {
        square[c] = _mm256_permute2f128_ps::<0x20>(from[c], from[4 + c]);
        square[4 + c] = _mm256_permute2f128_ps::<0x31>(from[c], from[4 + c]);
    }
    square
}

/// [`Lanes::turn`](super::Lanes::turn), by quarters.
#[target_feature(enable = "avx2,fma,popcnt")]
#[inline]
pub(super) fn turn_floats(square: &mut [[f32; COLUMNS]; COLUMNS]) {
    let from = *square;
    for row in [0, LANES] {
        for column in [0, LANES] {
            let mut quarter = [_mm256_setzero_ps(); LANES];
            for i in 0..LANES {
                // SAFETY: a row has twice as many floats as there are lanes.
                quarter[i] = unsafe { _mm256_loadu_ps(from[row + i].as_ptr().add(column)) };
            }
            let quarter = turn(quarter);
            for i in 0..LANES {
                let to = square[column + i].as_mut_ptr();
                // SAFETY: as above.
                unsafe { _mm256_storeu_ps(to.add(row), quarter[i]) };
            }
        }
    }
}

/// [`list`](super::super::list) of eight pixels and channels at a time, read pixel by pixel and turned.
///
/// # Safety
/// As it checks, on a CPU that has AVX2.
#[target_feature(enable = "avx2,fma,popcnt")]
#[inline]
pub(super) unsafe fn list(
    left: Left<'_>,
    places: &mut [f32],
    values: &mut [f32],
    lens: &mut [usize; COLUMNS],
) {
    let (pixels, room) = (left.starts.len(), left.starts.len() + LIST_SLACK);
    let stopped = _mm256_set1_epi32(STOPPED.cast_signed());
    *lens = [0; COLUMNS];
    // SAFETY: the masks keep what is read within the pixels and channels that there are; what is
    // written starts at most as far as the pixels before, and has room for a vector behind the last.
    unsafe {
        let near = _mm256_loadu_si256(left.distances.as_ptr().cast());
        for pixel in (0..pixels).step_by(LANES) {
            let starts = left.starts.as_ptr().add(pixel).cast();
            let start = _mm256_maskload_epi32(starts, first(pixels - pixel));
            for channel in (0..left.channels).step_by(LANES) {
                let some = first(left.channels - channel);
                let (mut winners, mut gradients) =
                    ([_mm256_setzero_ps(); LANES], [_mm256_setzero_ps(); LANES]);
                for i in 0..LANES.min(pixels - pixel) {
                    let at = (pixel + i) * left.stride + channel;
                    winners[i] = _mm256_maskload_ps(left.winners.as_ptr().add(at), some);
                    gradients[i] = _mm256_maskload_ps(left.gradients.as_ptr().add(at), some);
                }
                let (winners, gradients) = (turn(winners), turn(gradients));
                for i in 0..LANES.min(left.channels - channel) {
                    let (winner, gradient) = (_mm256_castps_si256(winners[i]), gradients[i]);
                    let distance = if left.window <= LANES {
                        _mm256_permutevar8x32_epi32(near, winner)
                    } else {
                        let place = _mm256_and_si256(winner, _mm256_set1_epi32(127));
                        _mm256_i32gather_epi32::<4>(left.distances.as_ptr().cast(), place)
                    };
                    let place = _mm256_castsi256_ps(_mm256_add_epi32(start, distance));
                    // Pixels that are not there have gradients of zero.
                    let gone = _mm256_cmpeq_epi32(winner, stopped);
                    let live = _mm256_castps_si256(not_zero(gradient));
                    let live = _mm256_castsi256_ps(_mm256_andnot_si256(gone, live));
                    let (order, count) = close(live);
                    let to = (channel + i) * room + lens[channel + i];
                    let place = _mm256_permutevar8x32_ps(place, order);
                    _mm256_storeu_ps(places.as_mut_ptr().add(to), place);
                    let gradient = _mm256_permutevar8x32_ps(gradient, order);
                    _mm256_storeu_ps(values.as_mut_ptr().add(to), gradient);
                    lens[channel + i] += count;
                }
            }
        }
    }
}

/// [`Lanes::pick`](super::Lanes::pick) of eight values at a time.
///
/// # Safety
/// As it checks, on a CPU that has AVX2.
#[target_feature(enable = "avx2,fma,popcnt")]
#[inline]
pub(super) unsafe fn pick(
    winners: Option<(&[f32], u32)>,
    first_number: u32,
    values: &[f32],
    at: &mut [f32],
    picked: &mut [f32],
) -> usize {
    let mut len = 0;
    for first_value in (0..values.len()).step_by(LANES) {
        let there = first(values.len() - first_value);
        let number = _mm256_set1_epi32((first_number + first_value as u32).cast_signed());
        assert!(len + LANES <= at.len().min(picked.len()));
        // SAFETY: the mask keeps what is read within the values; what is written has room.
        unsafe {
            let value = _mm256_maskload_ps(values.as_ptr().add(first_value), there);
            let mut live = not_zero(value);
            if let Some((winners, place)) = winners {
                let winners = winners.as_ptr().add(first_value).cast();
                let winner = _mm256_maskload_epi32(winners, there);
                let won = _mm256_cmpeq_epi32(winner, _mm256_set1_epi32(place.cast_signed()));
                live = _mm256_and_ps(live, _mm256_castsi256_ps(won));
            }
            let (order, count) = close(live);
            let number = _mm256_castsi256_ps(_mm256_add_epi32(lanes(), number));
            let number = _mm256_permutevar8x32_ps(number, order);
            _mm256_storeu_ps(at.as_mut_ptr().add(len), number);
            _mm256_storeu_ps(picked.as_mut_ptr().add(len), _mm256_permutevar8x32_ps(value, order));
            len += count;
        }
    }
    len
}
