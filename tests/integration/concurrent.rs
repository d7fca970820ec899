//! Concurrent requests: each answer equals that of the same request run alone.

use rayon::prelude::*;
use smolvlm::{Conversation, Dtype, Event, Generation, Message, Options, Rgb, SamplingParams, SmolVlm, Source};
use smolvlm_tests::{Checkpoint, checkpoints, exact, lcg_bytes, with_absolute_paths};
use std::time::Duration;

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

/// A request of a random mix, and how the client behaves.
struct Mixed {
    conversation: Conversation,
    params: SamplingParams,
    /// Events after which the client drops the stream; none if it waits for the end.
    dropped_after: Option<usize>,
    /// Milliseconds before it is sent.
    delay: u64,
}

/// Requests of random lengths, images, sampling parameters, texts and beams.
fn mixed(seed: u64, count: usize) -> Vec<Mixed> {
    let mut numbers = lcg_bytes(seed, 64 * count).into_iter();
    let mut below = |limit: u8| usize::from(numbers.next().unwrap() % limit);
    let picture = |seed: usize, [width, height]: [u32; 2]| {
        Rgb::new(width, height, lcg_bytes(seed as u64, (3 * width * height) as usize)).unwrap()
    };
    let request = |_| {
        let mut message = Message::user();
        for _ in 0..below(3) {
            // Few pictures, so that requests share tiles.
            message = message.image(picture(below(3), [[24, 24], [40, 17], [64, 64]][below(3)]));
        }
        message = message.text("one more word ".repeat(1 + below(12)));
        let tokens = 1 + below(40);
        let params = match below(5) {
            0 => SamplingParams::sampling().temperature(1.5).seed(below(200) as u64),
            1 => SamplingParams::sampling().seed(below(200) as u64).num_return_sequences(3),
            2 => SamplingParams::greedy().num_beams(3),
            _ => SamplingParams::greedy(),
        };
        let is_single = params.num_beams == 1 && params.num_return_sequences == 1;
        Mixed {
            conversation: message.into(),
            params: params.max_new_tokens(tokens),
            dropped_after: (is_single && below(4) == 0).then(|| below(6)),
            delay: 3 * below(10) as u64,
        }
    };
    (0..count).map(request).collect()
}

/// Whatever runs beside it, is cancelled beside it, or has left pages behind, each request has the answer that it has
/// alone.
#[test]
fn mixed_requests_equal_the_same_requests_alone() {
    let checkpoint = checkpoint("gqa-256m");
    for (seed, dtype) in [(1, Dtype::F32), (2, Dtype::Bf16), (3, Dtype::Q8), (4, Dtype::Q4)] {
        let requests = mixed(seed, 40);
        let options = Options { dtype, threads: Some(THREADS), ..exact() };
        let without_caches = Options { feature_cache_bytes: 0, prefix_cache_bytes: 0, ..options.clone() };
        let alone = SmolVlm::load(Source::directory(checkpoint.model()), without_caches).unwrap();
        let tokens = |answers: Vec<Generation>| answers.into_iter().map(|answer| answer.token_ids).collect::<Vec<_>>();
        let wanted: Vec<Vec<Vec<u32>>> = requests
            .iter()
            .map(|Mixed { conversation, params, .. }| {
                tokens(alone.batch(std::slice::from_ref(conversation), params.clone()).unwrap())
            })
            .collect();
        // Few tokens of finished requests are kept, so that their pages are reused.
        let options = Options { prefix_cache_bytes: 100_000, ..options };
        let model = SmolVlm::load(Source::directory(checkpoint.model()), options).unwrap();
        std::thread::scope(|scope| {
            for (number, (request, wanted)) in requests.iter().zip(&wanted).enumerate() {
                let model = model.clone();
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(request.delay));
                    let (conversation, params) = (request.conversation.clone(), request.params.clone());
                    if let Some(events) = request.dropped_after {
                        let stream = model.stream(conversation, params).unwrap();
                        stream.take(events).for_each(|event| drop(event.unwrap()));
                        return;
                    }
                    let found = tokens(model.batch(&[conversation], params).unwrap());
                    assert_eq!(&found, wanted, "{dtype:?}, request {number}");
                });
            }
        });
    }
}

/// A request that fails while others run does not change their answers.
#[test]
fn failing_requests_do_not_disturb_others() {
    let checkpoint = checkpoint("gqa-256m");
    let model = load(&checkpoint, Dtype::F32);
    let question = || Conversation::from(Message::user().text("What is it?"));
    let wanted = model.generate(question(), params()).unwrap().token_ids;
    // No token is left to choose from.
    let every_token = 0..model.config().text.vocab_size as u32;
    let banned = params().do_sample(true).suppress_tokens(every_token);
    std::thread::scope(|scope| {
        for number in 0..16 {
            let (model, wanted, banned) = (model.clone(), wanted.clone(), banned.clone());
            scope.spawn(move || match number % 2 {
                0 => assert_eq!(model.generate(question(), params()).unwrap().token_ids, wanted),
                _ => assert!(model.generate(question(), banned).is_err()),
            });
        }
    });
    assert_eq!(model.generate(question(), params()).unwrap().token_ids, wanted);
}

/// Generation needs the threads that its caller would hold.
#[test]
fn generation_inside_the_threads_of_a_model_is_an_error() {
    let model = load(&checkpoint("gqa-256m"), Dtype::F32);
    let inside = model.on_threads(|| Ok::<_, smolvlm::Error>(model.chat(Message::user().text("What is it?"))));
    assert!(matches!(inside.unwrap(), Err(smolvlm::Error::InsideThreads)));
    assert!(model.chat(Message::user().text("What is it?")).is_ok());
}
