//! `smolvlm generate`: conversations in, answers out.

use crate::args::Generate;
use crate::failure::Failure;
use crate::output::print_timings;
use serde_json::{Value, json};
use smolvlm::Generation;
use std::io::Write;

/// Answers all conversations as one batch and prints them in order.
pub fn run(args: &Generate) -> Result<(), Failure> {
    let conversations = args.input.read()?;
    let model = args.model.load()?;
    let mut params = model.sampling();
    if let Some(limit) = args.max_new_tokens {
        params = params.max_new_tokens(limit);
    }
    let answers = model.batch(&conversations, params)?;

    let mut stdout = std::io::stdout().lock();
    for answer in &answers {
        if args.json {
            writeln!(stdout, "{}", as_json(answer))?;
        } else {
            writeln!(stdout, "{}", answer.text())?;
            print_timings(answer.prompt_tokens, answer.token_ids.len(), &answer.timings);
        }
    }
    Ok(())
}

fn as_json(answer: &Generation) -> Value {
    let timings = &answer.timings;
    json!({
        "text": answer.text,
        "token_ids": answer.token_ids,
        "prompt_tokens": answer.prompt_tokens,
        "finish_reason": answer.finish_reason.as_str(),
        "timings": {
            "process_s": timings.process.as_secs_f64(),
            "vision_s": timings.vision.as_secs_f64(),
            "prefill_s": timings.prefill.as_secs_f64(),
            "decode_s": timings.decode.as_secs_f64(),
            "decode_steps": timings.decode_steps,
        },
    })
}
