//! The learning rate schedule.

use serde::{Deserialize, Serialize};

/// Linear warmup, then cosine decay to a floor (Loshchilov and Hutter 2017, arXiv 1608.03983).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Peak learning rate.
    pub peak: f64,
    /// Final learning rate.
    pub floor: f64,
    /// Number of warmup steps.
    pub warmup: u64,
    /// Total number of steps.
    pub steps: u64,
}

impl Schedule {
    /// The learning rate of a step, counted from zero.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let rest = self.steps.saturating_sub(self.warmup).max(1);
        let share = ((step - self.warmup) as f64 / rest as f64).min(1.0);
        self.floor + (self.peak - self.floor) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn warms_up_then_decays_to_the_floor() {
        let schedule = Schedule { peak: 1.0, floor: 0.1, warmup: 10, steps: 110 };
        assert_eq!([schedule.rate(0), schedule.rate(9), schedule.rate(10)], [0.1, 1.0, 1.0]);
        assert!((schedule.rate(60) - 0.55).abs() < 1e-12);
        assert!((schedule.rate(110) - 0.1).abs() < 1e-12 && (schedule.rate(5000) - 0.1).abs() < 1e-12);
        assert!((10..109).all(|step| schedule.rate(step + 1) < schedule.rate(step)));
        assert_eq!(Schedule { warmup: 0, ..schedule }.rate(0), 1.0);
    }
}
