//! Questions with a known set of answers.

use serde::{Deserialize, Serialize};
use smolvlm_processor::cardinal;
use std::fmt;
use std::ops::RangeInclusive;

/// Maximum length of an option in bytes.
const MAX_OPTION_BYTES: usize = 256;
/// Maximum number of decimals of a number.
const MAX_DECIMALS: usize = 6;
/// Maximum absolute value of a number, for which all decimals are exact.
const MAX_NUMBER: f64 = 1e9;
/// The largest number that is also recognized as a word.
const MAX_WORD: f64 = 20.0;

/// A question with a known set of answers.
///
/// In JSON:
///
/// - `{"type": "yes_no", "question": "Is there a dog?"}`
/// - `{"type": "choice", "question": "Which animal is it?", "options": ["a cat", "a dog"]}`
/// - `{"type": "number", "question": "How many dogs are there?", "min": 0, "max": 10}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Question {
    /// A question that is answered with yes or no.
    YesNo {
        /// The text.
        question: String,
    },
    /// A question that is answered with one of several texts.
    Choice {
        /// The text.
        question: String,
        /// The answers, at least one and at most 1024.
        options: Vec<String>,
    },
    /// A question that is answered with a number.
    Number {
        /// The text.
        question: String,
        /// The smallest answer.
        min: f64,
        /// The largest answer.
        max: f64,
        /// The distance of consecutive answers, at most 1024 of them; 1 unless given.
        #[serde(default = "one")]
        step: f64,
    },
}

fn one() -> f64 {
    1.0
}

/// The kind of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum QuestionKind {
    /// Yes or no.
    YesNo,
    /// One of several options.
    Choice,
    /// A number in a range.
    Number,
}

impl fmt::Display for QuestionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::YesNo => "yes_no",
            Self::Choice => "choice",
            Self::Number => "number",
        })
    }
}

/// A possible answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Possible {
    pub(super) text: String,
    /// The value of a number.
    pub(super) value: Option<f64>,
    /// The texts that are this answer.
    pub(super) spellings: Vec<String>,
}

/// An invalid field of a question.
pub(super) struct Problem {
    pub(super) field: &'static str,
    pub(super) problem: String,
}

impl Question {
    /// Maximum number of questions at once.
    pub const MAX_QUESTIONS: usize = 256;
    /// Maximum number of possible answers to a question.
    pub const MAX_OPTIONS: usize = 1024;

    /// A question that is answered with yes or no.
    pub fn yes_no(question: impl Into<String>) -> Self {
        Self::YesNo { question: question.into() }
    }

    /// A question that is answered with one of several texts.
    pub fn choice<T: Into<String>>(question: impl Into<String>, options: impl IntoIterator<Item = T>) -> Self {
        Self::Choice { question: question.into(), options: options.into_iter().map(Into::into).collect() }
    }

    /// A question that is answered with an integer in a range.
    pub fn integer(question: impl Into<String>, range: RangeInclusive<i32>) -> Self {
        let (min, max) = range.into_inner();
        Self::Number { question: question.into(), min: min.into(), max: max.into(), step: 1.0 }
    }

    /// The kind of question.
    pub fn kind(&self) -> QuestionKind {
        match self {
            Self::YesNo { .. } => QuestionKind::YesNo,
            Self::Choice { .. } => QuestionKind::Choice,
            Self::Number { .. } => QuestionKind::Number,
        }
    }

    /// The text.
    pub fn text(&self) -> &str {
        match self {
            Self::YesNo { question } | Self::Choice { question, .. } | Self::Number { question, .. } => question,
        }
    }

    /// The possible answers.
    pub(super) fn answers(&self) -> Result<Vec<Possible>, Problem> {
        if self.text().trim().is_empty() {
            return Err(Problem { field: "question", problem: "must not be empty".to_owned() });
        }
        match self {
            Self::YesNo { .. } => Ok(["yes", "no"].map(|text| Possible::text(text.to_owned())).into()),
            Self::Choice { options, .. } => choices(options).map_err(|problem| Problem { field: "options", problem }),
            Self::Number { min, max, step, .. } => numbers(*min, *max, *step),
        }
    }
}

impl Possible {
    /// A text, with either case of its first letter.
    fn text(text: String) -> Self {
        Self { spellings: cases(&text), value: None, text }
    }

    fn number(value: f64, decimals: usize) -> Self {
        let text = format!("{value:.decimals$}");
        let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        let text = if text == "-0" { "0" } else { text }.to_owned();
        let mut spellings = vec![text.clone()];
        if value.fract() == 0.0 && (0.0..=MAX_WORD).contains(&value) {
            spellings.extend(cases(&cardinal(value as usize)));
        }
        Self { text, value: Some(value), spellings }
    }
}

/// A text with its first letter as it is, in lower and in upper case.
fn cases(text: &str) -> Vec<String> {
    let mut letters = text.chars();
    let first = letters.next();
    let with = |first: String| format!("{first}{}", letters.as_str());
    let mut cases = vec![text.to_owned()];
    cases.extend(first.map(|first| with(first.to_lowercase().collect())));
    cases.extend(first.map(|first| with(first.to_uppercase().collect())));
    cases.sort();
    cases.dedup();
    cases
}

fn choices(options: &[String]) -> Result<Vec<Possible>, String> {
    if options.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if options.len() > Question::MAX_OPTIONS {
        return Err(format!("{} entries; the limit is {}", options.len(), Question::MAX_OPTIONS));
    }
    let choices = options.iter().enumerate().map(|(index, option)| {
        let text = option.trim();
        if text.is_empty() {
            return Err(format!("entry {index} is empty"));
        }
        if text.len() > MAX_OPTION_BYTES {
            return Err(format!("entry {index} has {} bytes; the limit is {MAX_OPTION_BYTES}", text.len()));
        }
        Ok(Possible::text(text.to_owned()))
    });
    choices.collect()
}

fn numbers(min: f64, max: f64, step: f64) -> Result<Vec<Possible>, Problem> {
    let invalid = |field, problem: String| Problem { field, problem };
    for (field, value) in [("min", min), ("max", max), ("step", step)] {
        if value.is_nan() || value.abs() > MAX_NUMBER {
            return Err(invalid(field, format!("must be from {} to {MAX_NUMBER}, not {value}", -MAX_NUMBER)));
        }
    }
    if min > max {
        return Err(invalid("max", format!("must be at least min, {min}, not {max}")));
    }
    let exact = |decimals: usize| {
        let scale = 10_f64.powi(decimals as i32);
        let is_exact = |value: f64| ((value * scale).round() / scale - value).abs() <= 4.0 * f64::EPSILON * value.abs();
        is_exact(min) && is_exact(step)
    };
    let Some(decimals) = (0..=MAX_DECIMALS).find(|&decimals| exact(decimals)).filter(|_| step > 0.0) else {
        let problem = format!("must be positive and have, like min, at most {MAX_DECIMALS} decimals, not {step}");
        return Err(invalid("step", problem));
    };
    // A little more, because the quotient is rounded.
    let count = ((max - min) / step + 1e-6).floor() + 1.0;
    if count > Question::MAX_OPTIONS as f64 {
        return Err(invalid("max", format!("{count} numbers; the limit is {}", Question::MAX_OPTIONS)));
    }
    Ok((0..count as usize).map(|index| Possible::number(min + index as f64 * step, decimals)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(question: &Question) -> Vec<String> {
        let answers = question.answers().map_err(|problem| problem.problem).unwrap();
        answers.into_iter().map(|answer| answer.text).collect()
    }

    fn problem(question: &Question) -> (&'static str, String) {
        let Err(Problem { field, problem }) = question.answers() else { panic!("{question:?} is valid") };
        (field, problem)
    }

    fn number(min: f64, max: f64, step: f64) -> Question {
        Question::Number { question: "How many?".to_owned(), min, max, step }
    }

    #[test]
    fn numbers_have_no_more_decimals_than_needed() {
        assert_eq!(texts(&Question::integer("?", -1..=2)), ["-1", "0", "1", "2"]);
        assert_eq!(texts(&number(0.0, 1.0, 0.25)), ["0", "0.25", "0.5", "0.75", "1"]);
        assert_eq!(texts(&number(-0.1, 0.1, 0.1)), ["-0.1", "0", "0.1"]);
        assert_eq!(texts(&number(0.0, 30.0, 10.0)), ["0", "10", "20", "30"]);
        assert_eq!(texts(&number(3.0, 3.0, 1.0)), ["3"]);
        assert_eq!(texts(&number(0.0, 0.3, 0.1)).last().unwrap(), "0.3");
        assert_eq!(texts(&number(600_000_000.5, 600_000_002.5, 1.0))[..2], ["600000000.5", "600000001.5"]);
    }

    #[test]
    fn small_numbers_are_also_words() {
        let answers = Question::integer("?", 2..=21).answers().map_err(|problem| problem.problem).unwrap();
        assert_eq!(answers[0].spellings, ["2", "Two", "two"]);
        assert_eq!(answers[19].spellings, ["21"]);
    }

    #[test]
    fn spellings_differ_in_the_case_of_the_first_letter() {
        assert_eq!(cases("a Red one"), ["A Red one", "a Red one"]);
        assert_eq!(cases("STOP"), ["STOP", "sTOP"]);
        assert_eq!(cases("7"), ["7"]);
        assert_eq!(cases("été"), ["Été", "été"]);
    }

    #[test]
    fn invalid_questions_name_the_field() {
        assert_eq!(problem(&Question::yes_no(" \n")).0, "question");
        assert_eq!(problem(&Question::choice::<&str>("?", [])).0, "options");
        assert!(problem(&Question::choice("?", ["a", " "])).1.contains("entry 1"));
        assert_eq!(problem(&Question::choice("?", vec!["a"; Question::MAX_OPTIONS + 1])).0, "options");
        assert_eq!(problem(&Question::choice("?", ["a".repeat(300)])).0, "options");
        for (field, min, max, step) in [
            ("min", f64::NAN, 1.0, 1.0),
            ("max", 0.0, f64::INFINITY, 1.0),
            ("max", 1.0, 0.0, 1.0),
            ("max", 0.0, 5000.0, 1.0),
            ("step", 0.0, 1.0, 0.0),
            ("step", 0.0, 1.0, -1.0),
            ("step", 0.0, 1.0, f64::NAN),
            ("step", 0.0, 1.0, 1.0 / 3.0),
            ("step", 0.0, 1.0, 1e-300),
        ] {
            assert_eq!(problem(&number(min, max, step)).0, field, "{min} {max} {step}");
        }
    }

    #[test]
    fn questions_are_read_from_json() {
        let json = r#"{"type": "number", "question": "How many?", "min": 0, "max": 3}"#;
        assert_eq!(serde_json::from_str::<Question>(json).unwrap(), Question::integer("How many?", 0..=3));
        let json = serde_json::to_string(&Question::choice("Which?", ["a", "b"])).unwrap();
        assert_eq!(json, r#"{"type":"choice","question":"Which?","options":["a","b"]}"#);
        assert!(serde_json::from_str::<Question>(r#"{"type": "other", "question": "?"}"#).is_err());
    }
}
