//! bf16 conversions.

/// Rounds to bf16, to nearest, ties to even, and returns its bits. NaN stays NaN.
#[inline(always)]
pub(crate) fn round(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    // Rounding must not turn a NaN into infinity: keep its high half and set the quiet bit.
    let nan = (bits >> 16) | 0x40;
    (if value.is_nan() { nan } else { rounded }) as u16
}

/// The value of a bf16 as f32.
#[inline(always)]
pub(crate) fn wide(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::{round, wide};

    #[test]
    fn rounds_like_the_half_crate() {
        let mut state = 1_u32;
        for _ in 0..200_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            for value in [f32::from_bits(state), f32::from_bits((state & 0xffff_0000) | 0x8000)] {
                let wanted = half::bf16::from_f32(value);
                assert_eq!(round(value), wanted.to_bits(), "{value:e}");
                assert!(value.is_nan() || wide(round(value)) == wanted.to_f32());
            }
        }
    }
}
