//! Precision of the coefficients of a progressive image.

use super::frame::{Frame, Process, ScanHeader};

/// Zigzag positions whose precision is tracked: the DC coefficient and those that smoothing estimates.
pub(crate) const TRACKED: usize = 10;

/// Number of missing low bits per coefficient; -1 for those not in any scan so far.
pub(crate) type Missing = [i32; TRACKED];

/// Missing bits of each component, now and before its most recent scan.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    pub(crate) now: Vec<Missing>,
    pub(crate) before: Vec<Missing>,
    /// Last MCU row for which the most recent scan had data.
    pub(crate) last_row: usize,
    /// Number of scans so far.
    pub(crate) scans: u32,
}

impl Progress {
    pub(crate) fn new(frame: &Frame) -> Self {
        let count = frame.components.len();
        Self { now: vec![[-1; TRACKED]; count], before: vec![[0; TRACKED]; count], last_row: 0, scans: 0 }
    }

    /// Records the contents of the next scan.
    pub(crate) fn scan(&mut self, frame: &Frame, scan: &ScanHeader) {
        self.scans = scan.number;
        if frame.process != Process::Progressive {
            return;
        }
        for slot in &scan.slots {
            let (now, before) = (&mut self.now[slot.component], &mut self.before[slot.component]);
            // The state of the DC coefficient is kept only by scans that contain it.
            let start = usize::from(scan.ss.min(1));
            for (before, now) in before[start..].iter_mut().zip(&now[start..]) {
                *before = if scan.number > 1 { *now } else { 0 };
            }
            for missing in now.iter_mut().take(usize::from(scan.se) + 1).skip(scan.ss.into()) {
                *missing = scan.al.into();
            }
        }
    }

    /// The missing bits for smoothing in an MCU row, for each component, or `None` if smoothing is not applied: all
    /// bits are known, or too few.
    pub(crate) fn missing(&self, frame: &Frame) -> Option<Smoothing> {
        const STEPS: [usize; TRACKED] = [0, 1, 8, 16, 9, 2, 3, 10, 17, 24];
        let usable = frame.process == Process::Progressive
            && frame.components.iter().zip(&self.now).all(|(component, now)| {
                let steps = component.quantization.as_ref();
                now[0] >= 0 && steps.is_some_and(|steps| STEPS.iter().all(|&index| steps[index] != 0))
            });
        let useful = self.now.iter().any(|now| now[1..].iter().any(|&missing| missing != 0));
        let before = if self.scans > 1 { self.before.clone() } else { vec![[-1; TRACKED]; self.before.len()] };
        (usable && useful).then(|| Smoothing { now: self.now.clone(), before, last_row: self.last_row })
    }
}

/// Input of smoothing.
#[derive(Debug, Clone)]
pub(crate) struct Smoothing {
    now: Vec<Missing>,
    before: Vec<Missing>,
    last_row: usize,
}

impl Smoothing {
    /// Missing bits of a component in an MCU row. For rows that the last scan did not reach, the previous state is
    /// used.
    pub(crate) fn missing(&self, component: usize, row: usize) -> &Missing {
        if row > self.last_row { &self.before[component] } else { &self.now[component] }
    }
}
