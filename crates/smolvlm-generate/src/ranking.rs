//! Selection of the largest scores without sorting all of them.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A score and its index in the row. Ordered by score; on ties the earlier index is greater.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ranked {
    pub(crate) score: f32,
    pub(crate) index: usize,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = self.score.partial_cmp(&other.score).unwrap_or(Ordering::Equal);
        by_score.then_with(|| other.index.cmp(&self.index))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

/// The `count` largest scores in descending order. NaN is skipped.
pub(crate) fn largest(scores: impl IntoIterator<Item = f32>, count: usize) -> Vec<Ranked> {
    let mut heap = BinaryHeap::new();
    for (index, score) in scores.into_iter().enumerate() {
        if score.is_nan() {
            continue;
        }
        if heap.len() < count {
            heap.push(Reverse(Ranked { score, index }));
        } else if let Some(mut least) = heap.peek_mut()
            && score > least.0.score
        {
            *least = Reverse(Ranked { score, index });
        }
    }
    heap.into_sorted_vec().into_iter().map(|Reverse(ranked)| ranked).collect()
}

/// Visits items in the order of `compare` while `visit` returns true, sorting little more than those. The visited items
/// end up in order at the front.
pub(crate) fn visit_in_order<T>(
    items: &mut [T],
    compare: impl Fn(&T, &T) -> Ordering,
    mut visit: impl FnMut(&T) -> bool,
) {
    let (mut rest, mut chunk) = (items, 64);
    while !rest.is_empty() {
        let count = chunk.min(rest.len());
        if count < rest.len() {
            rest.select_nth_unstable_by(count - 1, &compare);
        }
        let (next, others) = rest.split_at_mut(count);
        next.sort_unstable_by(&compare);
        if !next.iter().all(&mut visit) {
            return;
        }
        rest = others;
        chunk *= 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(scores: &[f32], count: usize) -> Vec<usize> {
        largest(scores.iter().copied(), count).iter().map(|ranked| ranked.index).collect()
    }

    #[test]
    fn largest_are_in_descending_order() {
        let scores = [2.0, 1.0, 0.5, -1.0, 3.0, 0.0, -2.0, 2.5];
        assert_eq!(indices(&scores, 3), [4, 7, 0]);
        assert_eq!(indices(&scores, 20), [4, 7, 0, 1, 2, 5, 3, 6]);
        assert_eq!(indices(&scores, 0), [0; 0]);
    }

    #[test]
    fn ties_prefer_the_first_and_nan_is_skipped() {
        assert_eq!(indices(&[1.0, 2.0, 1.0, 2.0, 1.0], 3), [1, 3, 0]);
        assert_eq!(indices(&[0.0, -0.0, 0.0], 2), [0, 1]);
        assert_eq!(indices(&[f32::NAN, f32::NEG_INFINITY, f32::NAN, 1.0], 3), [3, 1]);
    }

    #[test]
    fn visited_prefix_is_sorted() {
        let mut items: Vec<u32> = (0..3000_u32).map(|i| i.wrapping_mul(2_654_435_761) % 1009).collect();
        let mut sorted = items.clone();
        sorted.sort_unstable();
        for stop in [1, 63, 64, 65, 600, 3000] {
            let mut seen = Vec::new();
            visit_in_order(&mut items, Ord::cmp, |&item| {
                seen.push(item);
                seen.len() < stop
            });
            assert_eq!(seen, sorted[..stop]);
            assert_eq!(items[..stop], sorted[..stop]);
        }
    }
}
