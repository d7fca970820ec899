//! The kernel for 4-bit weights, which differs between instruction sets in how bytes are multiplied.

/// Defines `q4_tile`, which multiplies 8-bit rows with 4-bit weights: with these instructions, for that many rows at a
/// time, by adding products of two pairs of vectors of bytes to a vector of sums, which the last expression turns into
/// 32-bit sums.
macro_rules! q4_kernel {
    (
        $(#[$meta:meta])*
        $features:literal, $rows:literal: $($many:literal)*,
        ($sum:ident, $columns:ident, $quads:ident) => $add:expr,
        $total:ident => $widened:expr
    ) => {
        #[expect(unsafe_code, reason = "installed only for processors with the instructions")]
        pub(super) fn q4_tile(
            a: Operand<'_>,
            q: QuantParams<'_>,
            panel: &[CacheLine],
            groups: usize,
            mut out: Tile<'_>,
        ) {
            for first in (0..a.rows).step_by($rows) {
                let sub_tile = SubTile::new(a, &mut out, first);
                let (q, panel) = (q.rows_from(first, groups), panel.as_ptr());
                // SAFETY: `micro` checked that panel, rows and parameters hold all groups, and `install` the
                // instructions.
                unsafe { by_rows!($rows.min(a.rows - first), q4_rows(sub_tile, panel, groups, q), $($many)*) }
            }
        }

        $(#[$meta])*
        #[target_feature(enable = $features)]
        #[allow(unsafe_code)]
        unsafe fn q4_rows<const R: usize, const V: usize>(
            sub_tile: SubTile,
            first: usize,
            panel: *const CacheLine,
            groups: usize,
            q: QuantParams<'_>,
        ) {
            /// Steps per group; two share a word, one in each nibble.
            const STEPS: usize = Q4_GROUP / 4;
            let nibble = _mm256_set1_epi32(0x0f0f_0f0f);
            let mut values = [[_mm256_setzero_ps(); V]; R];
            for group in 0..groups {
                let lines = panel.wrapping_add(group * Q4_LINES);
                let mut sums = [[_mm256_setzero_si256(); V]; R];
                for step in 0..rolled::<R>(STEPS / 2) {
                    sub_tile.prefetch(lines.wrapping_add(2 * AHEAD), step);
                    let mut columns = [[_mm256_setzero_si256(); 2]; V];
                    for (vector, columns) in columns.iter_mut().enumerate() {
                        // SAFETY: the step is in the group.
                        let packed = unsafe { weights(lines, step, first + vector) };
                        let later = _mm256_and_si256(_mm256_srli_epi32::<4>(packed), nibble);
                        *columns = [_mm256_and_si256(packed, nibble), later];
                    }
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let step = group * STEPS + step;
                        // SAFETY: both steps are in the row.
                        let $quads = unsafe { [sub_tile.word(row, step), sub_tile.word(row, step + STEPS / 2)] };
                        for (sum, $columns) in sums.iter_mut().zip(columns) {
                            let $sum = *sum;
                            *sum = $add;
                        }
                    }
                }
                // SAFETY: the last lines of a group hold its scales and minima.
                let (scales, minima) = unsafe {
                    let [scales, minima] = [lines.add(Q4_LINES - 2), lines.add(Q4_LINES - 1)];
                    (column_scales::<V>(scales, first), column_scales::<V>(minima, first))
                };
                for (row, (values, sums)) in values.iter_mut().zip(sums).enumerate() {
                    let index = row * groups + group;
                    let (scale, codes) = (_mm256_set1_ps(q.scale[index]), _mm256_set1_ps(q.offset[index] as f32));
                    for (vector, (value, $total)) in values.iter_mut().zip(sums).enumerate() {
                        let least = _mm256_mul_ps(codes, minima[vector]);
                        let group = _mm256_fmadd_ps(_mm256_cvtepi32_ps($widened), scales[vector], least);
                        *value = _mm256_fmadd_ps(group, scale, *value);
                    }
                }
            }
            // SAFETY: the sub-tile has room for `R` rows.
            unsafe { sub_tile.store(&values, first) };
        }
    };
}
