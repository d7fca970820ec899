//! Arguments of `smolvlm decide`.

use super::Model;
use clap::Args;
use smolvlm::Question;
use std::ffi::OsString;
use std::path::PathBuf;

/// Arguments of `smolvlm decide`.
#[derive(Debug, Args)]
#[command(after_help = DECIDE)]
pub struct Decide {
    /// Images and videos, detected by content, in the order of the prompt: files, folders of frames, URLs, or - for
    /// stdin
    #[arg(value_name = "MEDIA")]
    pub media: Vec<OsString>,
    /// Question that is answered with yes or no; repeatable
    #[arg(long, value_name = "QUESTION", required_unless_present_any = ["choose", "number", "fit"])]
    pub yes_no: Vec<String>,
    /// Question and its possible answers, as in "Which animal is it?: a cat | a dog"; repeatable
    #[arg(long, value_name = "QUESTION: A | B", value_parser = choice)]
    pub choose: Vec<Question>,
    /// Question and the range of its answer, as in "How many dogs are there?: 0..10" or "How full is it?: 0..1 by 0.1";
    /// repeatable
    #[arg(long, value_name = "QUESTION: MIN..MAX", value_parser = number)]
    pub number: Vec<Question>,
    /// Treat every file as a video, regardless of its content
    #[arg(long)]
    pub as_video: bool,
    /// One JSON object per question and line: question, type, answer, probability, coverage, options with logprob and
    /// probability; for numbers also expected, the mean
    #[arg(long)]
    pub json: bool,
    /// JSON file with the temperatures of the probabilities, written by --fit
    #[arg(long, value_name = "FILE")]
    pub calibration: Option<PathBuf>,
    /// Fit the temperatures to the labeled questions of a JSONL file, write them to the file of --calibration, and
    /// print the accuracy and the expected calibration error before and after
    #[arg(
        long,
        value_name = "FILE",
        requires = "calibration",
        conflicts_with_all = ["media", "yes_no", "choose", "number", "json"]
    )]
    pub fit: Option<PathBuf>,
    #[command(flatten)]
    pub model: Model,
}

/// Explanation of the output and of the file of `--fit`.
const DECIDE: &str = "\
Answers come in the order yes/no, choose, number. Probabilities are computed from the logits and normalized over \
the possible answers; no text is generated. Images are encoded once for all questions.

A line of the file of --fit is a question with its media and correct answer:
  {\"media\": [\"a.jpg\"], \"type\": \"yes_no\", \"question\": \"Is there a dog?\", \"answer\": true}
  {\"media\": [\"a.jpg\"], \"type\": \"choice\", \"question\": \"Which animal is it?\", \"options\": [\"a cat\", \"a dog\"], \
\"answer\": \"a dog\"}
  {\"media\": [\"a.jpg\"], \"type\": \"number\", \"question\": \"How many dogs are there?\", \"min\": 0, \"max\": 10, \
\"answer\": 2}
Consecutive lines with the same media are asked together. 64 lines of each kind are enough.";

impl Decide {
    /// All questions in the order of the output.
    pub fn questions(&self) -> Vec<Question> {
        let yes_no = self.yes_no.iter().map(Question::yes_no);
        yes_no.chain(self.choose.iter().cloned()).chain(self.number.iter().cloned()).collect()
    }
}

/// Parses `QUESTION: A | B`. The question ends at the last colon before the first bar.
fn choice(text: &str) -> Result<Question, String> {
    let first = text.find('|').unwrap_or(text.len());
    let (question, _) = split(&text[..first]).ok_or("expected \"QUESTION: ANSWER | ANSWER\"")?;
    let options = text[question.len()..].trim_start_matches(':').split('|');
    Ok(Question::choice(question.trim(), options.map(str::trim)))
}

/// Parses `QUESTION: MIN..MAX` or `QUESTION: MIN..MAX by STEP`.
fn number(text: &str) -> Result<Question, String> {
    let expected = "expected \"QUESTION: MIN..MAX\" or \"QUESTION: MIN..MAX by STEP\"";
    let (question, range) = split(text).ok_or(expected)?;
    let (range, step) = range.split_once(" by ").unwrap_or((range, "1"));
    let (min, max) = range.split_once("..").ok_or(expected)?;
    let value = |text: &str| text.trim().parse::<f64>().map_err(|_| format!("'{}' is not a number", text.trim()));
    let question = question.trim().to_owned();
    Ok(Question::Number { question, min: value(min)?, max: value(max)?, step: value(step)? })
}

/// Splits a text at its last colon that a space follows, otherwise at its last colon.
fn split(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once(": ").or_else(|| text.rsplit_once(':'))
}

#[cfg(test)]
mod tests {
    use super::{choice, number};
    use smolvlm::Question;

    #[test]
    fn questions_are_parsed() {
        assert_eq!(choice("Which?: a | b c|d").unwrap(), Question::choice("Which?", ["a", "b c", "d"]));
        assert_eq!(choice("When: now?: 12:30 | 13:00").unwrap(), Question::choice("When: now?", ["12:30", "13:00"]));
        assert_eq!(choice("Which?:a|b").unwrap(), Question::choice("Which?", ["a", "b"]));
        assert_eq!(number("How many?: 0..10").unwrap(), Question::integer("How many?", 0..=10));
        let full = Question::Number { question: "How full?".to_owned(), min: -1.5, max: 1.0, step: 0.5 };
        assert_eq!(number("How full?: -1.5..1 by 0.5").unwrap(), full);
        assert!(choice("Which?").is_err() && choice("a | b").is_err());
        for text in ["How many?", "0..10", "How many?: 10", "How many?: a..b", "How many?: 0..1 by x"] {
            assert!(number(text).is_err(), "{text}");
        }
    }
}
