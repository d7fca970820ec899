//! Continues a text with a small bigram model, greedily, by sampling and by beam search: `bigram [SEED]`.

use smolvlm_generate::{BeamSearch, BeamStep, Error, Sampler, SamplingParams, StopRule};

/// The vocabulary; the last entry is the end token.
const WORDS: [&str; 6] = ["the", "cat", "sees", "a", "dog", "."];
const END: u32 = 5;
/// Number of tokens that the model can process.
const CONTEXT: usize = 32;

/// The model: logits of the word after `word`.
fn logits(word: u32) -> [f32; 6] {
    let after_noun = [-3.0, -3.0, 2.0, -3.0, -3.0, 1.5];
    let after_article = [-3.0, 2.0, -3.0, -3.0, 1.8, -3.0];
    match WORDS[word as usize] {
        "the" | "a" => after_article,
        "cat" | "dog" => after_noun,
        _ => [2.0, -2.0, -3.0, 1.9, -2.0, -1.0],
    }
}

fn main() -> Result<(), Error> {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let prompt = [0, 1];
    let common = |params: SamplingParams| params.max_new_tokens(12).eos_token_ids([END]);

    show("greedy", &generate(&prompt, &common(SamplingParams::greedy()))?);
    show("no word pair twice", &generate(&prompt, &common(SamplingParams::greedy().no_repeat_ngram_size(2)))?);
    show("sampled", &generate(&prompt, &common(SamplingParams::sampling().temperature(0.8).seed(seed)))?);
    // Without a length penalty the score is the probability of the whole text.
    let beams = SamplingParams::greedy().num_beams(3).length_penalty(0.0);
    show("most likely of 3 beams", &search(&prompt, &common(beams))?);
    Ok(())
}

/// Generates token by token.
fn generate(prompt: &[u32], params: &SamplingParams) -> Result<Vec<u32>, Error> {
    params.validate()?;
    let mut sampler = Sampler::new(params, 0);
    let mut stop = StopRule::new(params, prompt.len(), CONTEXT - prompt.len());
    let mut ids = prompt.to_vec();
    loop {
        let mut row = logits(ids[ids.len() - 1]);
        let choice = sampler.sample(&ids, prompt.len(), &mut row)?;
        ids.push(choice.token);
        if stop.observe(choice.token).is_some() {
            return Ok(ids);
        }
    }
}

/// Keeps several continuations and returns the most likely one.
fn search(prompt: &[u32], params: &SamplingParams) -> Result<Vec<u32>, Error> {
    let mut search = BeamSearch::new(params, prompt, WORDS.len())?;
    let mut last = vec![prompt[prompt.len() - 1]; search.beams()];
    loop {
        let rows: Vec<f32> = last.iter().flat_map(|&word| logits(word)).collect();
        match search.advance(&rows, &mut |_| Ok(false))? {
            // A model with a KV cache would also reorder its rows by the parents.
            BeamStep::Continue { tokens, .. } => last = tokens,
            BeamStep::Done => break,
        }
    }
    let best = search.finish().remove(0);
    Ok([prompt, &best.tokens].concat())
}

fn show(name: &str, ids: &[u32]) {
    let words: Vec<&str> = ids.iter().map(|&id| WORDS[id as usize]).collect();
    println!("{name}: {}", words.join(" "));
}
