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

/// Prints a table with a row for each kind and a column for each format.
pub fn run(args: &Score) -> Result<(), Box<dyn Error>> {
    let rows = Kind::ALL.into_iter().map(|kind| (kind, Split::Test));
    let rows: Vec<(Kind, Split)> = rows.chain(HELD_OUT.map(|kind| (kind, Split::HeldOut))).collect();
    let mut columns = Vec::new();
    for dtype in &args.dtype {
        let image_splitting = args.no_image_splitting.then_some(false);
        let options = Options { dtype: dtype.parse::<Dtype>()?, image_splitting, ..Options::default() };
        let model = SmolVlm::load(Source::directory(&args.checkpoint), options)?;
        let column = rows.iter().map(|(kind, split)| right(&model, *kind, *split, args));
        columns.push(column.collect::<Result<Vec<u64>, _>>()?);
    }
    println!("| {} of each kind | {} |", args.questions, args.dtype.join(" | "));
    println!("|---|{}", "---|".repeat(columns.len()));
    for (index, (kind, split)) in rows.iter().enumerate() {
        let what = if *split == Split::HeldOut { ", held out" } else { "" };
        let share = |column: &Vec<u64>| format!("{:.1} %", 100.0 * column[index] as f64 / args.questions as f64);
        println!("| {}{what} | {} |", kind.as_str(), columns.iter().map(share).collect::<Vec<_>>().join(" | "));
    }
    Ok(())
}

/// How many questions of a kind are answered rightly.
fn right(model: &SmolVlm, kind: Kind, split: Split, args: &Score) -> Result<u64, Box<dyn Error>> {
    const BATCH: u64 = 8;
    let (mut right, mut shown) = (0, 0);
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
                right += 1;
            } else if shown < args.show {
                shown += 1;
                eprintln!("{}: {} {:?}, not {:?}", kind.as_str(), turn.question, answer, turn.answer);
            }
        }
    }
    Ok(right)
}
