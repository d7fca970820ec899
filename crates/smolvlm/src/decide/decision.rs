//! Answers with probabilities.

use super::calibration::Calibration;
use super::forms::log_sum;
use super::question::{Possible, Question, QuestionKind};
use serde::Serialize;

/// The answer to a [`Question`], with the probability of each possible answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Decision {
    /// The question.
    pub question: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: QuestionKind,
    /// The most likely answer: `yes` or `no`, an option, or a number.
    pub answer: String,
    /// The probability of that answer.
    pub probability: f64,
    /// The mean of a number, weighted by probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<f64>,
    /// The probability that the model answers with any of the options at all, before they are compared with each
    /// other. If it is low, the options do not fit the question, or the question does not fit the model.
    pub coverage: f64,
    /// All possible answers, in the order of the question; yes before no.
    pub options: Vec<OptionScore>,
}

/// A possible answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OptionScore {
    /// The answer.
    pub option: String,
    /// The value of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The log-probability that the model's text starts with it: the sum over its tokens. Not divided by their number,
    /// because answers of any length are events of the same distribution. Upper and lower case of the first letter, and
    /// numbers in digits and words, are added up. Text that starts with several options counts for the longest.
    pub logprob: f64,
    /// The probability among the options.
    pub probability: f64,
}

impl Decision {
    pub(super) fn new(
        question: &Question,
        answers: Vec<Possible>,
        logprobs: &[f64],
        calibration: &Calibration,
    ) -> Self {
        let options = answers.into_iter().zip(logprobs).map(|(answer, &logprob)| OptionScore {
            option: answer.text,
            value: answer.value,
            logprob,
            probability: 0.0,
        });
        let decision = Self {
            question: question.text().to_owned(),
            kind: question.kind(),
            answer: String::new(),
            probability: 0.0,
            expected: None,
            coverage: log_sum(logprobs).exp().min(1.0),
            options: options.collect(),
        };
        decision.calibrated(calibration)
    }

    /// The same decision with another calibration. The most likely answer stays the same.
    #[must_use]
    pub fn calibrated(mut self, calibration: &Calibration) -> Self {
        let temperature = calibration.temperature(self.kind);
        let scaled: Vec<f64> = self.options.iter().map(|option| option.logprob / temperature).collect();
        let log_sum = log_sum(&scaled);
        for (option, scaled) in self.options.iter_mut().zip(scaled) {
            option.probability = (scaled - log_sum).exp();
        }
        if let Some(best) = self.best().and_then(|best| self.options.get(best)) {
            (self.answer, self.probability) = (best.option.clone(), best.probability);
        }
        let means = self.options.iter().map(|option| Some(option.value? * option.probability));
        self.expected = means.sum();
        self
    }

    /// Index of the most likely answer, the first of equal ones.
    pub fn best(&self) -> Option<usize> {
        let later = |best: usize, index: usize| self.options[index].logprob > self.options[best].logprob;
        (0..self.options.len()).reduce(|best, index| if later(best, index) { index } else { best })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(question: &Question, logprobs: &[f64], calibration: &Calibration) -> Decision {
        let answers = question.answers().map_err(|problem| problem.problem).unwrap();
        Decision::new(question, answers, logprobs, calibration)
    }

    #[test]
    fn probabilities_are_those_among_the_options() {
        let logprobs = [0.1_f64.ln(), 0.3_f64.ln()];
        let decision = decide(&Question::yes_no("?"), &logprobs, &Calibration::default());
        assert!((decision.options[0].probability - 0.25).abs() < 1e-12);
        assert!((decision.coverage - 0.4).abs() < 1e-12);
        assert_eq!((decision.answer.as_str(), decision.expected), ("no", None));
        assert_eq!(decision.probability, decision.options[1].probability);
    }

    #[test]
    fn temperature_moves_probabilities_but_not_the_answer() {
        let question = Question::choice("?", ["a", "b", "c"]);
        let sharp = decide(&question, &[-3.0, -1.0, -2.0], &Calibration::default());
        let flat = sharp.clone().calibrated(&Calibration { choice: 10.0, ..Calibration::default() });
        assert!(flat.probability < sharp.probability && flat.answer == "b" && sharp.answer == "b");
        assert_eq!(flat.coverage, sharp.coverage);
        assert!((flat.options.iter().map(|option| option.probability).sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(flat.calibrated(&Calibration::default()), sharp);
    }

    #[test]
    fn numbers_have_an_expected_value() {
        let even = [-1.0; 5];
        let decision = decide(&Question::integer("?", 0..=4), &even, &Calibration::default());
        assert!((decision.expected.unwrap() - 2.0).abs() < 1e-12);
        // The first of equal answers.
        assert_eq!(decision.answer, "0");
    }

    #[test]
    fn very_unlikely_options_still_have_probabilities() {
        let decision = decide(&Question::yes_no("?"), &[-9999.0, -9999.0], &Calibration::default());
        assert!((decision.probability - 0.5).abs() < 1e-9);
        assert_eq!((decision.answer.as_str(), decision.coverage), ("yes", 0.0));
    }
}
