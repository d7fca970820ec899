//! Concurrent requests: each answer equals that of the same request run alone.

use rayon::prelude::*;
use smolvlm::{Conversation, Dtype, Event, Options, SamplingParams, SmolVlm, Source};
use smolvlm_tests::{Checkpoint, checkpoints, exact, with_absolute_paths};

const THREADS: usize = 2;

fn checkpoint(name: &str) -> Checkpoint {
    checkpoints().into_iter().find(|checkpoint| checkpoint.name == name).unwrap()
}

fn load(checkpoint: &Checkpoint, dtype: Dtype) -> SmolVlm {
    let options = Options { dtype, threads: Some(THREADS), feature_cache_bytes: 0, ..exact() };
    SmolVlm::load(Source::directory(checkpoint.model()), options).unwrap()
}

/// Returns every conversation of a checkpoint's goldens.
fn conversations(checkpoint: &Checkpoint) -> Vec<Conversation> {
    let cases = checkpoint.cases();
    let json = cases.iter().map(|case| with_absolute_paths(&case.expected["conversations"]).to_string());
    json.flat_map(|json| Conversation::many_from_json(&json).unwrap()).collect()
}

fn params() -> SamplingParams {
    SamplingParams::greedy().max_new_tokens(6)
}

/// Returns the answer; requests with odd numbers use a stream.
fn answer(model: &SmolVlm, number: usize, conversation: &Conversation) -> Vec<u32> {
    if number.is_multiple_of(2) {
        return model.generate(conversation.clone(), params()).unwrap().token_ids;
    }
    let last = model.stream(conversation.clone(), params()).unwrap().last();
    match last {
        Some(Ok(Event::Finished(generation))) => generation.token_ids,
        other => panic!("a stream ended with {other:?}"),
    }
}

#[test]
fn concurrent_answers_equal_sequential_ones() {
    let checkpoint = checkpoint("gqa-256m");
    let conversations = conversations(&checkpoint);
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Q8, Dtype::Q4] {
        let model = load(&checkpoint, dtype);
        let alone: Vec<Vec<u32>> = conversations.iter().map(|conversation| answer(&model, 0, conversation)).collect();
        let model = &model;
        std::thread::scope(|scope| {
            for caller in 0..4 {
                let (conversations, alone) = (&conversations, &alone);
                scope.spawn(move || {
                    // A different order for each caller.
                    for step in 0..conversations.len() {
                        let number = (step * (2 * caller + 1) + caller) % conversations.len();
                        let found = answer(model, step + caller, &conversations[number]);
                        assert_eq!(found, alone[number], "{dtype:?}, caller {caller}, conversation {number}");
                    }
                });
            }
        });
    }
}

#[test]
fn parallel_iterator_over_two_models() {
    let models = ["gqa-256m", "mha-2b"].map(|name| {
        let checkpoint = checkpoint(name);
        let model = load(&checkpoint, Dtype::F32);
        let wanted: Vec<(Conversation, Vec<u32>)> = conversations(&checkpoint)
            .into_iter()
            .map(|conversation| (conversation.clone(), answer(&model, 0, &conversation)))
            .collect();
        (model, wanted)
    });
    let requests: Vec<_> =
        models.iter().flat_map(|(model, wanted)| wanted.iter().map(move |wanted| (model, wanted))).collect();
    requests.par_iter().enumerate().for_each(|(number, (model, (conversation, wanted)))| {
        assert_eq!(&answer(model, number, conversation), wanted, "request {number}");
    });
}
