//! Accuracy of a checkpoint on new questions of each kind, and on held-out combinations.

use crate::conversation;
use clap::Args;
use smolvlm::{Dtype, Options, SamplingParams, SmolVlm, Source};
use smolvlm_synth::{Kind, Sample, Split, Turn, close_up, few_characters, is_right, sample};
use std::error::Error;
use std::path::PathBuf;

/// Kinds of questions that ask about a held-out combination.
const HELD_OUT: [Kind; 4] = [Kind::Describe, Kind::Color, Kind::Shape, Kind::Place];

/// Options of `score`.
#[derive(Debug, Args)]
pub struct Score {
    /// Folder of a checkpoint
    checkpoint: PathBuf,
    /// Number of questions of each kind
    #[arg(long, default_value_t = 200)]
    questions: u64,
    /// Number formats, as in `smolvlm --dtype`
    #[arg(long, num_args = 1.., default_values_t = ["f32".to_owned()])]
    dtype: Vec<String>,
    /// Only rows whose name has this prefix
    #[arg(long, default_value = "")]
    only: String,
    /// Images as one tile; reading is tested on close-ups
    #[arg(long)]
    no_image_splitting: bool,
    /// Maximum number of wrong answers to show per kind
    #[arg(long, default_value_t = 0)]
    show: usize,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    New(Kind),
    HeldOut(Kind),
    /// Text to be read in one tile.
    CloseUp,
    FewCharacters,
}

/// Answers to the questions of a row.
struct Answered {
    right: usize,
    texts: Vec<String>,
}

impl Row {
    /// All rows of the table.
    fn all(no_image_splitting: bool) -> Vec<Self> {
        let small = [Self::CloseUp, Self::FewCharacters];
        let kinds = Kind::ALL.into_iter().filter(|&kind| kind != Kind::Read || !no_image_splitting).map(Self::New);
        let rows = kinds.chain(HELD_OUT.map(Self::HeldOut));
        if no_image_splitting { rows.chain(small).collect() } else { rows.collect() }
    }

    fn name(self) -> String {
        match self {
            Self::New(kind) => kind.as_str().to_owned(),
            Self::HeldOut(kind) => format!("{}, held out", kind.as_str()),
            Self::CloseUp => "read, close-ups".to_owned(),
            Self::FewCharacters => "read, one to three characters".to_owned(),
        }
    }

    /// The sample of a question.
    fn sample(self, index: u64) -> Sample {
        let mut reading = match self {
            Self::New(kind) => return sample(kind, Split::Test, index),
            Self::HeldOut(kind) => return sample(kind, Split::HeldOut, index),
            Self::CloseUp => close_up(Split::Test, index),
            Self::FewCharacters => few_characters(Split::Test, index),
        };
        reading.turns.retain(|turn| turn.kind == Kind::Read);
        reading
    }
}

/// Prints a table with a row per kind and a column per format; the last row is the percentage of answers identical to
/// those of the first format.
pub fn run(args: &Score) -> Result<(), Box<dyn Error>> {
    let mut rows = Row::all(args.no_image_splitting);
    rows.retain(|row| row.name().starts_with(&args.only));
    let mut columns = Vec::new();
    for dtype in &args.dtype {
        let image_splitting = args.no_image_splitting.then_some(false);
        let options = Options { dtype: dtype.parse::<Dtype>()?, image_splitting, ..Options::default() };
        let model = SmolVlm::load(Source::directory(&args.checkpoint), options)?;
        let column = rows.iter().map(|&row| ask(&model, row, args));
        columns.push(column.collect::<Result<Vec<Answered>, _>>()?);
    }
    println!("| {} of each kind | {} |", args.questions, args.dtype.join(" | "));
    println!("|---|{}", "---|".repeat(columns.len()));
    for (index, row) in rows.iter().enumerate() {
        let share = |column: &Vec<Answered>| percent(column[index].right, column[index].texts.len());
        println!("| {} | {} |", row.name(), columns.iter().map(share).collect::<Vec<_>>().join(" | "));
    }
    let texts = |column: &[Answered]| -> Vec<String> { column.iter().flat_map(|kind| kind.texts.clone()).collect() };
    let first = columns.first().map(|column| texts(column)).unwrap_or_default();
    let same = columns.iter().map(|column| {
        let same = texts(column).iter().zip(&first).filter(|(text, first)| text == first).count();
        percent(same, first.len())
    });
    println!("| same answer as in {} | {} |", args.dtype[0], same.collect::<Vec<_>>().join(" | "));
    Ok(())
}

fn percent(part: usize, whole: usize) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}

/// Asks all questions of a row and checks the answers.
fn ask(model: &SmolVlm, row: Row, args: &Score) -> Result<Answered, Box<dyn Error>> {
    const BATCH: u64 = 8;
    let (mut found, mut shown) = (Answered { right: 0, texts: Vec::new() }, 0);
    for start in (0..args.questions).step_by(BATCH as usize) {
        let (mut turns, mut conversations): (Vec<Turn>, Vec<_>) = (Vec::new(), Vec::new());
        for index in start..args.questions.min(start + BATCH) {
            let sample = row.sample(index);
            turns.extend(sample.turns.first().cloned());
            conversations.push(conversation::from_sample(sample, false)?);
        }
        let answers = model.batch(&conversations, SamplingParams::greedy().max_new_tokens(96))?;
        for (turn, answer) in turns.iter().zip(answers) {
            let answer = answer.text();
            if is_right(turn, answer) {
                found.right += 1;
            } else if shown < args.show {
                shown += 1;
                eprintln!("{}: {} {:?}, not {:?}", row.name(), turn.question, answer, turn.answer);
            }
            found.texts.push(answer.to_owned());
        }
    }
    Ok(found)
}
