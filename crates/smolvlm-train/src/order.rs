//! The order in which samples are visited.

use crate::random::Random;

/// Sample indices by position: epoch after epoch, each shuffled differently.
#[derive(Debug)]
pub(crate) struct Order {
    len: Option<u64>,
    seed: Option<u64>,
    epoch: Option<(u64, Vec<u64>)>,
}

impl Order {
    /// An order shuffled by the seed, or sequential without one. Without a length, position and index are the same.
    pub(crate) fn new(len: Option<u64>, seed: Option<u64>) -> Self {
        Self { len, seed, epoch: None }
    }

    /// The sample index at a position.
    pub(crate) fn at(&mut self, position: u64) -> u64 {
        let Some(len) = self.len.filter(|&len| len > 0) else { return position };
        let (epoch, place) = (position / len, position % len);
        let Some(seed) = self.seed else { return place };
        if self.epoch.as_ref().is_none_or(|(current, _)| *current != epoch) {
            let mut numbers: Vec<u64> = (0..len).collect();
            let mut random = Random::new(seed, epoch);
            for end in (1..numbers.len()).rev() {
                numbers.swap(end, random.below(end as u64 + 1) as usize);
            }
            self.epoch = Some((epoch, numbers));
        }
        self.epoch.as_ref().and_then(|(_, numbers)| numbers.get(place as usize).copied()).unwrap_or(place)
    }
}

#[cfg(test)]
mod tests {
    use super::Order;

    #[test]
    fn every_epoch_visits_every_sample_in_a_different_order() {
        let mut order = Order::new(Some(50), Some(7));
        let epochs: Vec<Vec<u64>> = (0..3).map(|epoch| (0..50).map(|at| order.at(epoch * 50 + at)).collect()).collect();
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..50).collect::<Vec<u64>>());
        }
        assert_ne!(epochs[0], epochs[1]);
        // The order does not depend on the first position asked for.
        assert_eq!(Order::new(Some(50), Some(7)).at(120), epochs[2][20]);
        assert_ne!(Order::new(Some(50), Some(8)).at(120), epochs[2][20]);
    }

    #[test]
    fn order_without_length_or_seed_is_sequential() {
        assert_eq!(Order::new(None, Some(1)).at(1 << 40), 1 << 40);
        assert_eq!(Order::new(Some(10), None).at(23), 3);
    }
}
