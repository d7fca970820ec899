//! Calibration from labeled questions.

use crate::failure::Failure;
use crate::{answer, media};
use serde::Deserialize;
use serde_json::Value;
use smolvlm::{
    Calibration, Conversation, DecideOptions, Decision, Message, Question, QuestionKind, SmolVlm,
    expected_calibration_error,
};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Maximum size of a file of labels in bytes.
const MAX_FILE: u64 = 64 << 20;

/// Questions that are asked together.
const BATCH: usize = 64;

/// An invalid line of a file of labels.
#[derive(Debug, thiserror::Error)]
#[error("{}: line {line}: {problem}", path.display())]
pub struct LabelError {
    path: PathBuf,
    /// Number of the line, from 1.
    line: usize,
    problem: String,
}

/// A question with its correct answer.
#[derive(Deserialize)]
struct Label {
    #[serde(default)]
    media: Vec<String>,
    #[serde(flatten)]
    question: Question,
    answer: Value,
    #[serde(skip)]
    line: usize,
}

/// Asks the questions of a file, fits the temperatures to the correct answers and writes them. `load` loads the model
/// and is told whether questions have media.
pub fn run(labels: &Path, to: &Path, load: impl FnOnce(bool) -> Result<SmolVlm, Failure>) -> Result<(), Failure> {
    let read = read(labels)?;
    let model = load(read.iter().any(|label| !label.media.is_empty()))?;
    let mut labeled: Vec<(Decision, usize)> = Vec::with_capacity(read.len());
    for same in read.chunk_by(|a, b| a.media == b.media) {
        for labels_of_batch in same.chunks(BATCH) {
            let questions: Vec<Question> = labels_of_batch.iter().map(|label| label.question.clone()).collect();
            let conversation = conversation(&same[0].media, &model)?;
            let answers = model.decide(conversation, &questions, &DecideOptions::default())?;
            for (label, decision) in labels_of_batch.iter().zip(answers.decisions) {
                let correct = correct_option(&label.answer, &decision).ok_or_else(|| LabelError {
                    path: labels.to_owned(),
                    line: label.line,
                    problem: format!("the answer {} is not one of the possible ones", label.answer),
                })?;
                labeled.push((decision, correct));
            }
        }
    }
    let calibration = Calibration::fit(pairs(&labeled))?;
    calibration.save(to)?;
    Ok(answer::to_stdout(&table(&labeled, &calibration))?)
}

fn read(path: &Path) -> Result<Vec<Label>, Failure> {
    let failed = |source| Failure::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE {
        return Err(failed(std::io::Error::other(format!("more than {MAX_FILE} bytes of labels"))));
    }
    let lines = text.lines().zip(1..).filter(|(text, _)| !text.trim().is_empty());
    let labels = lines.map(|(text, line)| {
        let invalid = |problem| Failure::Label(LabelError { path: path.to_owned(), line, problem });
        let label: Label = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
        let question = std::slice::from_ref(&label.question);
        Question::validate(question).map_err(|error| invalid(error.to_string()))?;
        Ok(Label { line, ..label })
    });
    let labels: Vec<Label> = labels.collect::<Result<_, Failure>>()?;
    if labels.is_empty() {
        return Err(failed(std::io::Error::other("has no labels")));
    }
    Ok(labels)
}

fn conversation(media: &[String], model: &SmolVlm) -> Result<Conversation, Failure> {
    if media.is_empty() {
        return Ok(Conversation::default());
    }
    let places: Vec<OsString> = media.iter().map(OsString::from).collect();
    let mut message = Message::user();
    message.content = media::contents(&places, Vec::new(), false, model.processor())?;
    Ok(message.into())
}

/// The index of the correct answer: true or false, an option, or a number.
fn correct_option(answer: &Value, decision: &Decision) -> Option<usize> {
    let is = |text: &str| decision.options.iter().position(|option| option.option == text.trim());
    match answer {
        Value::Bool(yes) if decision.kind == QuestionKind::YesNo => is(if *yes { "yes" } else { "no" }),
        Value::String(text) => is(text),
        Value::Number(number) => {
            let number = number.as_f64()?;
            let near = |value: f64| (value - number).abs() <= 1e-9 * number.abs();
            decision.options.iter().position(|option| option.value.is_some_and(near))
        }
        _ => None,
    }
}

fn pairs(labeled: &[(Decision, usize)]) -> impl Iterator<Item = (&Decision, usize)> {
    labeled.iter().map(|(decision, correct)| (decision, *correct))
}

/// One line per kind of question.
fn table(labeled: &[(Decision, usize)], calibration: &Calibration) -> String {
    let mut table = format!(
        "{:<8}{:>8}{:>11}{:>13}{:>12}{:>13}\n",
        "kind", "labels", "accuracy", "temperature", "ECE before", "ECE after"
    );
    for kind in [QuestionKind::YesNo, QuestionKind::Choice, QuestionKind::Number] {
        let before: Vec<(Decision, usize)> =
            labeled.iter().filter(|(decision, _)| decision.kind == kind).cloned().collect();
        if before.is_empty() {
            continue;
        }
        let after: Vec<(Decision, usize)> =
            before.iter().map(|(decision, correct)| (decision.clone().calibrated(calibration), *correct)).collect();
        let right = before.iter().filter(|(decision, correct)| decision.best() == Some(*correct)).count();
        let [before_error, after_error] = [&before, &after].map(|labeled| expected_calibration_error(pairs(labeled)));
        table += &format!(
            "{kind:<8}{:>8}{:>9.1} %{:>13.2}{before_error:>12.3}{after_error:>13.3}\n",
            before.len(),
            100.0 * right as f64 / before.len() as f64,
            calibration.temperature(kind),
        );
    }
    table
}
