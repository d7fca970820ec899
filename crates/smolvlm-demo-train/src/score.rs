//! Scores of a checkpoint: new questions of every kind, and those about combinations it has never seen.

use crate::lessons;
use clap::Args;
use smolvlm::{Dtype, Options, SamplingParams, SmolVlm, Source};
use smolvlm_world::{Kind, Split, Turn, is_right, sample};
use std::error::Error;
use std::path::PathBuf;

/// Kinds of questions in which a held-out combination matters.
const HELD_OUT: [Kind; 4] = [Kind::Describe, Kind::Colour, Kind::Shape, Kind::Place];

/// Options of scoring.
#[derive(Debug, Args)]
pub struct Score {
    /// Folder of a checkpoint
    checkpoint: PathBuf,
    /// Questions of each kind
    #[arg(long, default_value_t = 200)]
    questions: u64,
    /// Number formats, as in the command line's `--dtype`
    #[arg(long, num_args = 1.., default_values_t = ["f32".to_owned()])]
    dtype: Vec<String>,
    /// Stills as one tile, without those that show small text
    #[arg(long)]
    no_image_splitting: bool,
    /// Show answers that are wrong, at most so many a kind
    #[arg(long, default_value_t = 0)]
    show: usize,
}

/// Answers to the questions of a kind.
struct Answered {
    right: usize,
    texts: Vec<String>,
}

/// Prints a table with a row for each kind and a column for each format; the last row counts the answers that are the first
/// format's, word for word.
pub fn run(args: &Score) -> Result<(), Box<dyn Error>> {
    let rows = Kind::ALL.into_iter().map(|kind| (kind, Split::Test));
    let rows: Vec<(Kind, Split)> = rows.chain(HELD_OUT.map(|kind| (kind, Split::HeldOut))).collect();
    let mut columns = Vec::new();
    for dtype in &args.dtype {
        let image_splitting = args.no_image_splitting.then_some(false);
        let options = Options { dtype: dtype.parse::<Dtype>()?, image_splitting, ..Options::default() };
        let model = SmolVlm::load(Source::directory(&args.checkpoint), options)?;
        let column = rows.iter().map(|(kind, split)| ask(&model, *kind, *split, args));
        columns.push(column.collect::<Result<Vec<Answered>, _>>()?);
    }
    println!("| {} of each kind | {} |", args.questions, args.dtype.join(" | "));
    println!("|---|{}", "---|".repeat(columns.len()));
    for (index, (kind, split)) in rows.iter().enumerate() {
        let what = if *split == Split::HeldOut { ", held out" } else { "" };
        let share = |column: &Vec<Answered>| percent(column[index].right, column[index].texts.len());
        println!("| {}{what} | {} |", kind.as_str(), columns.iter().map(share).collect::<Vec<_>>().join(" | "));
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

/// Asks all questions of a kind.
fn ask(model: &SmolVlm, kind: Kind, split: Split, args: &Score) -> Result<Answered, Box<dyn Error>> {
    const BATCH: u64 = 8;
    let (mut found, mut shown) = (Answered { right: 0, texts: Vec::new() }, 0);
    for start in (0..args.questions).step_by(BATCH as usize) {
        let (mut turns, mut conversations): (Vec<Turn>, Vec<_>) = (Vec::new(), Vec::new());
        for index in start..args.questions.min(start + BATCH) {
            let sample = sample(kind, split, index);
            turns.extend(sample.turns.first().cloned());
            conversations.push(lessons::conversation(sample, false)?);
        }
        let answers = model.batch(&conversations, SamplingParams::greedy().max_new_tokens(96))?;
        for (turn, answer) in turns.iter().zip(answers) {
            let answer = answer.text();
            if is_right(turn, answer) {
                found.right += 1;
            } else if shown < args.show {
                shown += 1;
                eprintln!("{}: {} {:?}, not {:?}", kind.as_str(), turn.question, answer, turn.answer);
            }
            found.texts.push(answer.to_owned());
        }
    }
    Ok(found)
}
