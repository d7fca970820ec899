//! `smolvlm generate`: conversations in, answers out.

use crate::answer;
use crate::args::Generate;
use crate::failure::Failure;
use serde_json::{Value, json};
use smolvlm::processor::Processor;
use smolvlm::{Error, Generation};
use std::io::Write;

/// Answers all conversations as one batch and prints them in order.
pub fn run(args: &Generate) -> Result<(), Failure> {
    let conversations = args.input.read()?;
    let model = args.model.load()?;
    let params = args.sampling.params(&model, false)?;
    let answers = model.batch(&conversations, params)?;
    if !args.json {
        return answer::print(&model, &answers);
    }
    let mut stdout = std::io::stdout().lock();
    for answer in &answers {
        writeln!(stdout, "{}", as_json(answer, model.processor())?)?;
    }
    Ok(())
}

fn as_json(answer: &Generation, processor: &Processor) -> Result<Value, Error> {
    let timings = &answer.timings;
    let mut object = json!({
        "text": answer.text,
        "token_ids": answer.token_ids,
        "prompt_tokens": answer.prompt_tokens,
        "cached_tokens": answer.cached_tokens,
        "finish_reason": answer.finish_reason.as_str(),
        "timings": {
            "process_s": timings.process.as_secs_f64(),
            "vision_s": timings.vision.as_secs_f64(),
            "prefill_s": timings.prefill.as_secs_f64(),
            "decode_s": timings.decode.as_secs_f64(),
            "decode_steps": timings.decode_steps,
        },
    });
    if let Some(score) = answer.score {
        object["score"] = json!(score);
    }
    if !answer.notes.is_empty() {
        object["notes"] = json!(answer.notes.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    if !answer.logprobs.is_empty() {
        object["logprobs"] = logprobs(answer, processor)?;
    }
    Ok(object)
}

/// Every token with its log-probability and those of its likeliest rivals.
fn logprobs(answer: &Generation, processor: &Processor) -> Result<Value, Error> {
    let token = |id: u32, logprob: f32| -> Result<Value, Error> {
        Ok(json!({"token_id": id, "token": processor.decode(&[id], false)?, "logprob": logprob}))
    };
    let mut tokens = Vec::with_capacity(answer.logprobs.len());
    for (&id, logprobs) in answer.token_ids.iter().zip(&answer.logprobs) {
        let mut entry = token(id, logprobs.logprob)?;
        entry["top"] = logprobs.top.iter().map(|&(id, logprob)| token(id, logprob)).collect::<Result<_, _>>()?;
        tokens.push(entry);
    }
    Ok(tokens.into())
}
