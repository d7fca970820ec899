//! `smolvlm generate`: answers conversations.

use crate::args::Generate;
use crate::conversations::{Entry, Queue, error_message};
use crate::failure::Failure;
use crate::{answer, panics, say};
use serde_json::{Value, json};
use smolvlm::processor::Processor;
use smolvlm::{Error, Generation, SamplingParams, SmolVlm};

/// Answers conversations in batches and prints the answers in order, after each batch. Failures of single conversations
/// are printed to stderr and do not stop the others.
pub fn run(args: &Generate) -> Result<(), Failure> {
    let queue = Queue::open(&args.input.conversation)?;
    let model = args.model.load()?;
    let params = args.sampling.params(&model, false)?;
    let mut has_failed = false;
    let mut show = |index: usize, outcome: Result<Vec<Generation>, Failure>| -> Result<(), Failure> {
        match outcome {
            Ok(answers) if args.json => answers.iter().try_for_each(|answer| {
                Ok(answer::to_stdout(&format!("{}\n", as_json(index, answer, model.processor())?))?)
            }),
            Ok(answers) => answer::print(&model, &answers),
            Err(failure) => {
                has_failed = true;
                say::error(error_message(index, failure.with_first_cause(panics::first_backend_panic())));
                Ok(())
            }
        }
    };
    loop {
        let batch = queue.batch(args.batch_size.into());
        if batch.is_empty() {
            return if has_failed { Err(Failure::Reported) } else { Ok(()) };
        }
        answer_batch(&model, batch, &params, &mut show)?;
    }
}

/// Answers a batch and shows each answer or error with the conversation's index.
fn answer_batch(
    model: &SmolVlm,
    batch: Vec<Entry>,
    params: &SamplingParams,
    show: &mut dyn FnMut(usize, Result<Vec<Generation>, Failure>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut conversations = Vec::with_capacity(batch.len());
    let read = batch.into_iter().map(|Entry { index, conversation, .. }| {
        (index, conversation.map(|conversation| conversations.push(conversation)))
    });
    let read: Vec<(usize, Result<(), Failure>)> = read.collect();
    // If the batch fails, each conversation is run separately.
    let together = if conversations.len() > 1 { model.batch(&conversations, params.clone()).ok() } else { None };
    let mut together = together.map(Vec::into_iter);
    let mut conversations = conversations.iter();
    let mut next = || match (&mut together, conversations.next()) {
        (Some(answers), _) => Ok(answers.by_ref().take(params.num_return_sequences.max(1)).collect()),
        (None, Some(conversation)) => Ok(model.batch(std::slice::from_ref(conversation), params.clone())?),
        (None, None) => Ok(Vec::new()),
    };
    read.into_iter().try_for_each(|(index, read)| show(index, read.and_then(|()| next())))
}

fn as_json(index: usize, answer: &Generation, processor: &Processor) -> Result<Value, Error> {
    let timings = &answer.timings;
    let mut object = json!({
        "conversation": index,
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
            "decode_tokens": timings.decode_tokens,
            "accepted_drafts": timings.accepted_drafts,
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

/// The log-probabilities of each token and of the most likely alternatives.
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
