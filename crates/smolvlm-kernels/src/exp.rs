//! Exponential functions for vectorized loops.

/// `e^x` without branches, tables or calls, so that loops vectorize. The relative error is below 2e-7 from -87 to 88;
/// smaller arguments give `e^-87`, larger ones infinity.
///
/// Range reduction `x = n ln 2 + r` and a polynomial for `e^r` (Cephes, `expf.c`).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5 * 2^23 rounds to an integer; between the two, the lowest bits hold that integer.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const BIAS: u32 = 127 << 23;
    let x = x.clamp(-87.0, 89.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(BIAS));
    (p * r * r + r + 1.0) * power
}

/// `2^x` for `x` up to 0, computed like [`exp`]. The relative error is below 3e-7 down to -126; smaller arguments give
/// 0, NaN gives NaN.
#[inline(always)]
pub(crate) fn exp2<const FUSED: bool>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    // Taylor series of e^(r ln 2), for r from -0.5 to 0.5.
    const TERMS: [f32; 6] =
        [1.540_353e-4, 1.333_355_8e-3, 9.618_129e-3, 5.550_411e-2, 2.402_265e-1, std::f32::consts::LN_2];
    let clamped = if x < -127.0 { -127.0 } else { x };
    let shifted = clamped + ROUND;
    let r = clamped - (shifted - ROUND);
    let mut p = TERMS[0];
    for term in &TERMS[1..] {
        p = if FUSED { p.mul_add(r, *term) } else { p * r + *term };
    }
    p = if FUSED { p.mul_add(r, 1.0) } else { p * r + 1.0 };
    // The bit pattern for 2^-127 is that of 0.
    p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}

#[cfg(test)]
mod tests {
    use super::{exp, exp2};

    #[test]
    fn exp_is_accurate_over_its_range() {
        let mut worst = 0.0_f64;
        for step in 0..=1_750_000 {
            let x = -87.0 + step as f32 * 1e-4;
            let wanted = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) / wanted - 1.0).abs());
        }
        assert!(worst < 2e-7, "{worst:e}");
    }

    #[test]
    fn exp2_is_accurate_below_zero() {
        for step in 0..=1_260_000 {
            let x = -126.0 + step as f32 * 1e-4;
            let wanted = f64::from(x).exp2();
            let worst = (f64::from(exp2::<false>(x)) / wanted - 1.0)
                .abs()
                .max((f64::from(exp2::<true>(x)) / wanted - 1.0).abs());
            assert!(worst < 3e-7, "{x}: {worst:e}");
        }
        assert_eq!(exp2::<true>(0.0), 1.0);
        assert_eq!([exp2::<true>(-128.0), exp2::<false>(f32::NEG_INFINITY)], [0.0; 2]);
        assert!(exp2::<true>(f32::NAN).is_nan());
    }

    #[test]
    fn exp_saturates_at_the_ends_of_its_range() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!([exp(200.0), exp(f32::INFINITY)], [f32::INFINITY; 2]);
        assert!(exp(f32::NAN).is_nan());
        for small in [-88.0, -1e30, f32::NEG_INFINITY] {
            assert_eq!(exp(small), exp(-87.0));
        }
    }
}
