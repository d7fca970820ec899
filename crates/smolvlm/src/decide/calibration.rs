//! Calibration of probabilities with temperatures fitted to labeled decisions.

use super::decision::Decision;
use super::question::QuestionKind;
use crate::Error;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Maximum size of a calibration file in bytes.
const MAX_FILE: u64 = 1 << 16;
/// Bins of confidence in the expected calibration error.
const BINS: usize = 10;

/// A temperature for each kind of question, by which log-probabilities are divided before they are compared: above 1
/// for a model that is too sure of its answers, below 1 for one that is not sure enough. Answers do not change, only
/// their probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calibration {
    /// Of yes/no questions.
    pub yes_no: f64,
    /// Of questions with several options.
    pub choice: f64,
    /// Of questions for a number.
    pub number: f64,
}

impl Default for Calibration {
    /// No calibration: all temperatures are 1.
    fn default() -> Self {
        Self { yes_no: 1.0, choice: 1.0, number: 1.0 }
    }
}

impl Calibration {
    /// The smallest and the largest temperature.
    pub const TEMPERATURES: [f64; 2] = [0.05, 20.0];

    /// The temperature of a kind of question.
    pub fn temperature(&self, kind: QuestionKind) -> f64 {
        match kind {
            QuestionKind::YesNo => self.yes_no,
            QuestionKind::Choice => self.choice,
            QuestionKind::Number => self.number,
        }
    }

    /// Checks that all temperatures are from 0.05 to 20.
    ///
    /// # Errors
    ///
    /// [`Error::Calibration`].
    pub fn validate(&self) -> Result<(), Error> {
        let [min, max] = Self::TEMPERATURES;
        for kind in [QuestionKind::YesNo, QuestionKind::Choice, QuestionKind::Number] {
            let temperature = self.temperature(kind);
            if !(min..=max).contains(&temperature) {
                let message = format!("the temperature {kind} is {temperature}; it must be from {min} to {max}");
                return Err(Error::Calibration { message });
            }
        }
        Ok(())
    }

    /// Fits the temperature of each kind of question to decisions with the index of their correct option: the one that
    /// makes the correct options most likely (Guo et al. 2017, "On Calibration of Modern Neural Networks"). A weak
    /// prior toward 1 keeps the temperature finite if all answers are correct; without labels the result is 1.
    ///
    /// # Errors
    ///
    /// [`Error::Calibration`] for an index without an option.
    pub fn fit<'d>(labeled: impl IntoIterator<Item = (&'d Decision, usize)>) -> Result<Self, Error> {
        let labeled: Vec<(&Decision, usize)> = labeled.into_iter().collect();
        if let Some((decision, label)) = labeled.iter().find(|(decision, label)| *label >= decision.options.len()) {
            let count = decision.options.len();
            return Err(Error::Calibration { message: format!("label {label} of a decision with {count} options") });
        }
        let fit = |kind| {
            let of_kind: Vec<_> = labeled.iter().copied().filter(|(decision, _)| decision.kind == kind).collect();
            1.0 / fitted_inverse(&of_kind)
        };
        Ok(Self {
            yes_no: fit(QuestionKind::YesNo),
            choice: fit(QuestionKind::Choice),
            number: fit(QuestionKind::Number),
        })
    }

    /// Reads a JSON file such as `{"yes_no": 1.4, "choice": 0.9, "number": 1.0}`; absent temperatures are 1.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] and [`Error::Calibration`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
        read.map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let calibration: Self = serde_json::from_str(&text)
            .map_err(|error| Error::Calibration { message: format!("{}: {error}", path.display()) })?;
        calibration.validate()?;
        Ok(calibration)
    }

    /// Writes a JSON file that [`load`](Self::load) reads.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::Write { path: path.to_owned(), source };
        let json = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))?;
        smolvlm_files::write(path, format!("{json}\n").as_bytes()).map_err(failed)
    }
}

/// The inverse temperature β that minimizes the negative log-likelihood of the correct options plus (β - 1)² / 2, which
/// is convex: the zero of its derivative.
fn fitted_inverse(labeled: &[(&Decision, usize)]) -> f64 {
    let derivative = |beta: f64| {
        let excess = labeled.iter().map(|(decision, label)| {
            let logprobs = || decision.options.iter().map(|option| option.logprob);
            let max = logprobs().fold(f64::NEG_INFINITY, f64::max);
            let weight = |logprob: f64| (beta * (logprob - max)).exp();
            let mean =
                logprobs().map(|logprob| weight(logprob) * logprob).sum::<f64>() / logprobs().map(weight).sum::<f64>();
            mean - decision.options[*label].logprob
        });
        excess.sum::<f64>() + beta - 1.0
    };
    let [mut high, mut low] = Calibration::TEMPERATURES.map(f64::recip);
    // Bisection down to the precision of a double.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if derivative(middle) > 0.0 { high = middle } else { low = middle }
    }
    f64::midpoint(low, high)
}

/// The expected calibration error of decisions with the index of their correct option: the mean difference between
/// the probability of the answers and the share of correct ones, over ten bins of equal width weighted by their
/// decisions. 0 without decisions.
pub fn expected_calibration_error<'d>(labeled: impl IntoIterator<Item = (&'d Decision, usize)>) -> f64 {
    let mut bins = [(0.0, 0.0); BINS];
    let mut count = 0.0;
    for (decision, label) in labeled {
        let bin = ((decision.probability * BINS as f64) as usize).min(BINS - 1);
        bins[bin].0 += decision.probability;
        bins[bin].1 += f64::from(decision.best() == Some(label));
        count += 1.0;
    }
    let differences = bins.iter().map(|(confidence, correct): &(f64, f64)| (confidence - correct).abs());
    differences.sum::<f64>() / f64::max(count, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::question::Question;

    fn decision(probability: f64) -> Decision {
        let question = Question::yes_no("?");
        let answers = question.answers().map_err(|problem| problem.problem).unwrap();
        Decision::new(&question, answers, &[probability.ln(), (1.0 - probability).ln()], &Calibration::default())
    }

    /// Decisions for yes with this probability, of which a share is correct.
    fn labeled(probability: f64, share: f64, count: usize) -> Vec<(Decision, usize)> {
        let correct = (share * count as f64).round() as usize;
        (0..count).map(|index| (decision(probability), usize::from(index >= correct))).collect()
    }

    fn pairs(labeled: &[(Decision, usize)]) -> impl Iterator<Item = (&Decision, usize)> {
        labeled.iter().map(|(decision, label)| (decision, *label))
    }

    #[test]
    fn overconfident_decisions_get_a_higher_temperature() {
        let decisions = labeled(0.99, 0.8, 1000);
        let calibration = Calibration::fit(pairs(&decisions)).unwrap();
        // logit(0.99) / logit(0.8).
        assert!((calibration.yes_no - 3.31).abs() < 0.05, "{calibration:?}");
        assert_eq!((calibration.choice, calibration.number), (1.0, 1.0));
        let after: Vec<(Decision, usize)> =
            decisions.iter().map(|(decision, label)| (decision.clone().calibrated(&calibration), *label)).collect();
        let [before, after] = [&decisions, &after].map(|decisions| expected_calibration_error(pairs(decisions)));
        assert!((before - 0.19).abs() < 1e-9 && after < 0.01, "{before} {after}");
    }

    #[test]
    fn calibrated_decisions_keep_their_temperature() {
        let calibration = Calibration::fit(pairs(&labeled(0.7, 0.7, 1000))).unwrap();
        assert!((calibration.yes_no - 1.0).abs() < 0.01, "{calibration:?}");
    }

    #[test]
    fn decisions_that_are_all_correct_or_wrong_give_a_valid_temperature() {
        for share in [0.0, 1.0] {
            let calibration = Calibration::fit(pairs(&labeled(0.9, share, 64))).unwrap();
            calibration.validate().unwrap();
        }
        assert_eq!(Calibration::fit([]).unwrap().yes_no, Calibration::default().yes_no);
    }

    #[test]
    fn labels_without_an_option_are_rejected() {
        assert!(matches!(Calibration::fit([(&decision(0.5), 2)]), Err(Error::Calibration { .. })));
    }

    #[test]
    fn files_are_read_back_and_validated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calibration.json");
        let calibration = Calibration { yes_no: 1.5, choice: 0.3, number: 7.0 };
        calibration.save(&path).unwrap();
        assert_eq!(Calibration::load(&path).unwrap(), calibration);
        std::fs::write(&path, r#"{"choice": 2}"#).unwrap();
        assert_eq!(Calibration::load(&path).unwrap(), Calibration { choice: 2.0, ..Calibration::default() });
        for text in ["", "1", r#"{"choice": 0}"#, r#"{"choice": -1}"#, r#"{"choice": 1e9}"#, r#"{"coice": 1}"#] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(Calibration::load(&path), Err(Error::Calibration { .. })), "{text}");
        }
        assert!(matches!(Calibration::load(folder.path()), Err(Error::Read { .. })));
    }
}
