//! The speed of drafted tokens on given texts, as if the model generated them: a benchmark.
//! `cargo run --release -p smolvlm --example replay -- MODEL DTYPE TEXT_FILE...`

use smolvlm::generate::PromptLookup;
use smolvlm::model::{Error as ModelError, KeepLogits, StepInput};
use smolvlm::{Dtype, Options, SmolVlm, Source};
use std::error::Error;
use std::time::Instant;

/// Tokens at the start of a text that are the prompt.
const PROMPT: usize = 32;
/// Tokens of a text that are replayed at most.
const MAX_TOKENS: usize = 600;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, dtype, files @ ..] = arguments.as_slice() else {
        return Err("usage: replay MODEL DTYPE TEXT_FILE...".into());
    };
    let dtype: Dtype = dtype.parse()?;
    let model = SmolVlm::load(Source::parse(model)?, Options { dtype, ..Options::default() })?;
    println!("| text | tokens | accepted per step | tokens/s | without drafts | ratio |");
    println!("|---|---|---|---|---|---|");
    for file in files {
        let mut ids = model.processor().encode(&std::fs::read_to_string(file)?)?;
        ids.truncate(PROMPT + MAX_TOKENS);
        if ids.len() <= PROMPT + 1 {
            return Err(format!("{file} is shorter than {} tokens", PROMPT + 2).into());
        }
        // In turns, for the load of the machine changes.
        let mut seconds = [f64::INFINITY; 2];
        let mut steps = 0;
        for _ in 0..2 {
            for (seconds, max) in seconds.iter_mut().zip([0, 15]) {
                let start = Instant::now();
                steps = replay(&model, &ids, max)?;
                *seconds = seconds.min(start.elapsed().as_secs_f64());
            }
        }
        let count = (ids.len() - PROMPT) as f64;
        let [without, with] = seconds.map(|seconds| count / seconds);
        let accepted = count / steps as f64 - 1.0;
        println!("| {file} | {count} | {accepted:.2} | {with:.1} | {without:.1} | {:.2} |", with / without);
    }
    Ok(())
}

/// Steps through a text that is known, as the engine would if it generated it; returns their number.
fn replay(model: &SmolVlm, ids: &[u32], max_drafts: usize) -> Result<usize, ModelError> {
    model.on_threads(|| {
        let network = model.model();
        let mut sequences = network.new_sequences(ids.len() + max_drafts);
        let sequence = sequences.add();
        let prompt = StepInput { logits: KeepLogits::None, ..StepInput::text(sequence, &ids[..PROMPT - 1]) };
        network.step(&mut sequences, &[prompt])?;
        let (mut lookup, mut known, mut steps) = (PromptLookup::new(max_drafts), PROMPT, 0);
        while known < ids.len() {
            let draft = lookup.draft(&ids[..known], (ids.len() - known - 1).min(max_drafts));
            let tokens = [&ids[known - 1..known], &draft].concat();
            let input = StepInput { logits: KeepLogits::All, ..StepInput::generated(sequence, &tokens) };
            network.step(&mut sequences, &[input])?;
            let accepted = draft.iter().zip(&ids[known..]).take_while(|(draft, id)| draft == id).count();
            known += accepted + 1;
            sequences.truncate(sequence, known - 1);
            steps += 1;
        }
        Ok(steps)
    })
}
