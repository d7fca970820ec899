//! Progress on stderr: a bar in a terminal, otherwise a line from time to time.

use super::output::Answer;
use crate::say;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

/// Time between lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Length of the bar's scale.
const SCALE: u64 = 10_000;

/// Counts of a run, and their display.
pub struct Progress {
    /// In a terminal.
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Instant,
    rows: u64,
    failed: u64,
    images: u64,
    /// Fraction of the data set up to the first row that was answered, and up to the last one.
    positions: Option<(f64, f64)>,
}

impl Progress {
    /// Starts the clock.
    pub fn new() -> Self {
        let style =
            ProgressStyle::with_template("{bar:24} {percent}% {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = stderr().is_terminal().then(|| ProgressBar::new(SCALE).with_style(style));
        let now = Instant::now();
        Self { bar, started: now, last_line: now, rows: 0, failed: 0, images: 0, positions: None }
    }

    /// Counts a row with its images. `position` is the fraction of the data set up to it. The first error is shown.
    pub fn add(&mut self, index: u64, answer: &Answer, images: u64, position: f64) {
        if let Some(error) = &answer.error {
            if self.failed == 0 {
                let show = || say::note(format_args!("row {index} failed, as others may: {error}"));
                self.bar.as_ref().map_or_else(show, |bar| bar.suspend(show));
            }
            self.failed += 1;
        }
        self.rows += 1;
        self.images += images;
        let (first, last) = self.positions.unwrap_or((position, position));
        self.positions = Some((first.min(position), last.max(position)));
    }

    /// Updates the display.
    pub fn tick(&mut self) {
        if let Some(bar) = &self.bar {
            let (_, last) = self.positions.unwrap_or_default();
            bar.set_position((last * SCALE as f64) as u64);
            bar.set_message(self.text());
        } else if self.last_line.elapsed() >= LINE_INTERVAL {
            self.last_line = Instant::now();
            say::progress(self.text());
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Counts, rates, and the time that is left.
    pub fn text(&self) -> String {
        let elapsed = self.started.elapsed();
        let rate = |count: u64| count as f64 / elapsed.as_secs_f64().max(1e-9);
        let failed = if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        let images = if self.images > 0 { format!(", {:.1} images/s", rate(self.images)) } else { String::new() };
        let left = self.positions.and_then(|positions| time_left(elapsed, positions));
        let left = left.map_or_else(String::new, |left| format!(", {} left", HumanDuration(left)));
        format!("{} rows{failed}, {:.1} rows/s{images}{left}", self.rows, rate(self.rows))
    }
}

/// The time for the rest of a data set, if it takes as long as the fractions from the first to the last position; none
/// at the start and at the end.
fn time_left(elapsed: Duration, (first, last): (f64, f64)) -> Option<Duration> {
    if last <= first || last >= 1.0 {
        return None;
    }
    Duration::try_from_secs_f64(elapsed.as_secs_f64() * (1.0 - last) / (last - first)).ok()
}

#[cfg(test)]
mod tests {
    use super::{Answer, Progress, time_left};
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn time_left_is_proportional_to_the_rest() {
        let ten = Duration::from_secs(10);
        assert_eq!(time_left(ten, (0.0, 0.25)), Some(Duration::from_secs(30)));
        // The first half was finished before.
        assert_eq!(time_left(ten, (0.5, 0.75)), Some(ten));
        assert_eq!(time_left(ten, (0.5, 0.5)), None);
        assert_eq!(time_left(ten, (0.5, 1.0)), None);
        assert_eq!(time_left(ten, (0.0, f64::MIN_POSITIVE)), None);
    }

    #[test]
    fn counts_are_shown() {
        let mut progress = Progress::new();
        assert!(progress.text().starts_with("0 rows, 0.0 rows/s"));
        progress.add(0, &Answer::failed(json!(0), "missing".to_owned()), 2, 0.1);
        let text = progress.text();
        assert!(text.starts_with("1 rows, 1 failed, ") && text.contains(" images/s"), "{text}");
    }
}
