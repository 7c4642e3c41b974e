//! The transforms of a column, and those of a tile, which are made of them: first of all its columns, then of
//! all rows of what came out.
//!
//! Of F(2x2, 3x3) they are those of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks"
//! (2016), section 4.1; of F(2x2, 2x2) `d0 g0 + d1 g1 = (d0 - d1) g0 + d1 (g0 + g1)` and the same from the
//! other end. Their factors are 0, 1/2 and 1.
//!
//! F(4x4, 3x3) is the same construction (Toom and Cook's) at the points 0, +-sqrt(1/2), +-sqrt(2) and
//! infinity. With points whose product is 1 the factors of all transforms stay near 1, and so do rounding
//! errors: Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep
//! Neural Networks" (2020), compare choices.
//!
//! So is F(4x4, 2x2), at +-3/8, +-5/4 and infinity: of such points those with the smallest rounding errors
//! whose factors are exact.
//!
//! Columns of a tile's inputs have `S` values, of its outputs `M`, of a kernel `K = S + 1 - M`. `S` says
//! which algorithm it is: 3 is F(2x2, 2x2), 4 F(2x2, 3x3), 5 F(4x4, 2x2), 6 F(4x4, 3x3).

use crate::kernel::simd::{Vector, unrolled_for};

/// A transform of a column of `A` values to one of `B`. Not a closure, whose body would not be compiled for
/// the instruction set of its caller.
pub(super) trait Transform<const A: usize, const B: usize> {
    fn column<W: Vector>(x: [W; A]) -> [W; B];
}

/// `T x Tt` of a tile in rows.
#[inline(always)]
pub(super) fn of_tile<T: Transform<A, B>, W: Vector, const A: usize, const B: usize>(
    x: [[W; A]; A],
) -> [[W; B]; B] {
    let (mut rows, mut tile) = ([[x[0][0]; A]; B], [[x[0][0]; B]; B]);
    unrolled_for!(W: [0 1 2 3 4 5] A, j => {
        let mut column = [x[0][j]; A];
        unrolled_for!(W: [0 1 2 3 4 5] A, i => column[i] = x[i][j]);
        let column = T::column(column);
        unrolled_for!(W: [0 1 2 3 4 5] B, i => rows[i][j] = column[i]);
    });
    unrolled_for!(W: [0 1 2 3 4 5] B, i => tile[i] = T::column(rows[i]));
    tile
}

/// The inner points; the outer ones are twice as far out.
const INNER: f32 = std::f32::consts::FRAC_1_SQRT_2;

/// The points of F(4x4, 2x2), and their squares.
const NEAR: f32 = 3.0 / 8.0;
const FAR: f32 = 5.0 / 4.0;
const NEAR2: f32 = NEAR * NEAR;
const FAR2: f32 = FAR * FAR;

/// `factor * x`.
#[inline(always)]
fn times<W: Vector>(factor: f32, x: W) -> W {
    W::splat(factor).mul(x)
}

/// `factor * x + y`.
#[inline(always)]
fn plus<W: Vector>(factor: f32, x: W, y: W) -> W {
    W::splat(factor).mul_add(x, y)
}

/// `even + factor * odd` and `even - factor * odd`.
#[inline(always)]
fn both<W: Vector>(even: W, factor: f32, odd: W) -> [W; 2] {
    [plus(factor, odd, even), plus(-factor, odd, even)]
}

/// `Bt`: inputs to places.
pub(super) struct Differences;

impl<const S: usize> Transform<S, S> for Differences {
    #[inline(always)]
    fn column<W: Vector>(d: [W; S]) -> [W; S] {
        let mut places = d;
        if S == 3 {
            places[0] = d[0].sub(d[1]);
            places[2] = d[2].sub(d[1]);
        } else if S == 4 {
            places[0] = d[0].sub(d[2]);
            places[1] = d[1].add(d[2]);
            places[2] = d[2].sub(d[1]);
            places[3] = d[1].sub(d[3]);
        } else if S == 5 {
            let (even, odd) = (plus(-FAR2, d[0], d[2]), plus(-FAR2, d[1], d[3]));
            [places[0], places[1]] = both(odd, NEAR, even);
            let (even, odd) = (plus(-NEAR2, d[0], d[2]), plus(-NEAR2, d[1], d[3]));
            [places[2], places[3]] = both(odd, FAR, even);
            places[4] = plus(NEAR2 * FAR2, d[0], plus(-(NEAR2 + FAR2), d[2], d[4]));
        } else {
            places[0] = plus(-2.5, d[2], d[0].add(d[4]));
            let (even, odd) = (plus(-2.0, d[2], d[4]), plus(-2.0, d[1], d[3]));
            [places[1], places[2]] = both(even, INNER, odd);
            let (even, odd) = (plus(-0.5, d[2], d[4]), plus(-0.5, d[1], d[3]));
            [places[3], places[4]] = both(even, 2.0 * INNER, odd);
            places[5] = plus(-2.5, d[3], d[1].add(d[5]));
        }
        places
    }
}

/// `At`: places to outputs.
pub(super) struct Totals;

impl<const S: usize, const M: usize> Transform<S, M> for Totals {
    #[inline(always)]
    fn column<W: Vector>(m: [W; S]) -> [W; M] {
        let mut outputs = [m[0]; M];
        if S == 3 {
            outputs[0] = m[0].add(m[1]);
            outputs[1] = m[1].add(m[2]);
        } else if S == 4 {
            outputs[0] = m[0].add(m[1]).add(m[2]);
            outputs[1] = m[1].sub(m[2]).sub(m[3]);
        } else if S == 5 {
            let (near, far) = (m[0].add(m[1]), m[2].add(m[3]));
            outputs[0] = near.add(far);
            outputs[2] = plus(FAR2, far, times(NEAR2, near));
            let (near, far) = (m[0].sub(m[1]), m[2].sub(m[3]));
            outputs[1] = plus(FAR, far, times(NEAR, near));
            outputs[3] = plus(FAR * FAR2, far, plus(NEAR * NEAR2, near, m[4]));
        } else {
            let (inner, outer) = (m[1].add(m[2]), m[3].add(m[4]));
            outputs[0] = m[0].add(inner).add(outer);
            outputs[2] = plus(2.0, outer, times(0.5, inner));
            let (inner, outer) = (m[1].sub(m[2]), m[3].sub(m[4]));
            outputs[1] = times(INNER, plus(2.0, outer, inner));
            outputs[3] = plus(INNER, plus(4.0, outer, times(0.5, inner)), m[5]);
        }
        outputs
    }
}

/// `G`: taps to places.
pub(super) struct Means;

impl<const K: usize, const S: usize> Transform<K, S> for Means {
    #[inline(always)]
    fn column<W: Vector>(g: [W; K]) -> [W; S] {
        let mut places = [g[0]; S];
        if S == 3 {
            places[1] = g[0].add(g[1]);
            places[2] = g[1];
        } else if S == 4 {
            let (ends, middle) = (times(0.5, g[0].add(g[2])), times(0.5, g[1]));
            places[1] = ends.add(middle);
            places[2] = ends.sub(middle);
            places[3] = g[2];
        } else if S == 5 {
            let factor = 0.5 / (NEAR2 - FAR2);
            [places[0], places[1]] = both(times(factor, g[1]), factor / NEAR, g[0]);
            [places[2], places[3]] = both(times(-factor, g[1]), -factor / FAR, g[0]);
            places[4] = g[1];
        } else {
            let even = times(-2.0 / 3.0, plus(0.5, g[2], g[0]));
            [places[1], places[2]] = both(even, -2.0 / 3.0 * INNER, g[1]);
            let even = times(1.0 / 6.0, plus(2.0, g[2], g[0]));
            [places[3], places[4]] = both(even, INNER / 3.0, g[1]);
            places[5] = g[2];
        }
        places
    }
}

/// `A`: outputs' gradients to places. Of F(2x2, 3x3) the last has the other sign, for which it would take
/// one step more.
pub(super) struct Spread;

impl<const M: usize, const S: usize> Transform<M, S> for Spread {
    #[inline(always)]
    fn column<W: Vector>(dy: [W; M]) -> [W; S] {
        let mut places = [dy[0]; S];
        if S == 4 {
            places[1] = dy[0].add(dy[1]);
            places[2] = dy[0].sub(dy[1]);
            places[3] = dy[1];
        } else {
            let (even, odd) = (plus(0.5, dy[2], dy[0]), plus(0.5, dy[3], dy[1]));
            [places[1], places[2]] = both(even, INNER, odd);
            let (even, odd) = (plus(2.0, dy[2], dy[0]), plus(2.0, dy[3], dy[1]));
            [places[3], places[4]] = both(even, 2.0 * INNER, odd);
            places[5] = dy[3];
        }
        places
    }
}

/// `Gt`: sums at places to a kernel's gradient. Of F(2x2, 3x3) the last has the other sign.
pub(super) struct Taps;

impl<const S: usize, const K: usize> Transform<S, K> for Taps {
    #[inline(always)]
    fn column<W: Vector>(m: [W; S]) -> [W; K] {
        let mut taps = [m[0]; K];
        if S == 4 {
            let sum = times(0.5, m[1].add(m[2]));
            taps[0] = m[0].add(sum);
            taps[1] = times(0.5, m[1].sub(m[2]));
            taps[2] = sum.sub(m[3]);
        } else {
            let (inner, outer) = (m[1].add(m[2]), m[3].add(m[4]));
            taps[0] = plus(1.0 / 6.0, outer, plus(-2.0 / 3.0, inner, m[0]));
            taps[2] = plus(1.0 / 3.0, outer.sub(inner), m[5]);
            let (inner, outer) = (m[1].sub(m[2]), m[3].sub(m[4]));
            taps[1] = plus(INNER / 3.0, outer, times(-2.0 / 3.0 * INNER, inner));
        }
        taps
    }
}
