//! Memory read bandwidth.

use super::simd;
use super::stopwatch::best_together;
use std::hint::black_box;

/// Bytes that all threads together read in a pass: far more than caches hold.
const BYTES: usize = 512 << 20;

/// Number of independent accumulators, so that no load waits for one.
const SUMS: usize = 8;

/// Bandwidth in GB/s of sequential reads by all threads, each from its own part of one buffer.
pub(super) fn read(threads: usize) -> f64 {
    simd::read(threads).unwrap_or_else(|| read_with(threads, 1_u64, |values| fold(values, |a, b| a ^ b)))
}

/// [`read`] with a given type of values and a function that reads them all.
pub(super) fn read_with<T: Copy + Sync>(threads: usize, value: T, read: impl Fn(&[T]) -> Option<T> + Sync) -> f64 {
    let part = (BYTES / size_of::<T>() / threads).max(1);
    // The values are written first: untouched pages would all map to the same zero page.
    let values = vec![black_box(value); part * threads];
    let seconds = best_together(threads, |thread| {
        black_box(read(&values[thread * part..][..part]));
    });
    size_of_val(values.as_slice()) as f64 / seconds / 1e9
}

/// Reduces all values; `None` if there are none. Inlined, so that it is compiled for the target features of its caller.
#[inline(always)]
pub(super) fn fold<T: Copy>(values: &[T], combine: impl Fn(T, T) -> T) -> Option<T> {
    let (rounds, rest) = values.as_chunks::<SUMS>();
    let Some((first, rounds)) = rounds.split_first() else { return rest.iter().copied().reduce(combine) };
    let mut sums = *first;
    for round in rounds {
        for index in 0..SUMS {
            sums[index] = combine(sums[index], round[index]);
        }
    }
    sums.into_iter().chain(rest.iter().copied()).reduce(combine)
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn every_value_is_read() {
        for count in [0, 1, 7, 8, 9, 15, 16, 100] {
            let values: Vec<u64> = (1..=count).collect();
            let wanted = (count > 0).then(|| values.iter().sum());
            assert_eq!(fold(&values, |a, b| a + b), wanted, "{count} values");
        }
    }
}
