//! Every generation parameter against the reference, and features that have no goldens.

use serde_json::Value;
use smolvlm::config::GenerationConfig;
use smolvlm::{
    Conversation, Dtype, Event, FinishReason, Generation, LoopGuard, Message, Options, SamplingParams, SmolVlm, Source,
};
use smolvlm_tests::{Checkpoint, checkpoints, exact, rows, with_absolute_paths};

/// Scores of beams are sums of log-probabilities over a dozen tokens, in f32.
const SCORE_TOLERANCE: f64 = 2e-4;

fn checkpoint(name: &str) -> Checkpoint {
    checkpoints().into_iter().find(|checkpoint| checkpoint.name == name).unwrap()
}

fn load(checkpoint: &Checkpoint, options: Options) -> SmolVlm {
    SmolVlm::load(Source::directory(checkpoint.model()), options).unwrap()
}

fn model() -> SmolVlm {
    load(&checkpoint("gqa-256m"), Options { image_splitting: Some(false), ..exact() })
}

fn conversations(case: &Value) -> Vec<Conversation> {
    Conversation::many_from_json(&with_absolute_paths(&case["conversations"]).to_string()).unwrap()
}

fn question(words: &str) -> Conversation {
    Message::user().text(words).into()
}

#[test]
fn greedy_and_beams_equal_the_reference() {
    let mut count = 0;
    for checkpoint in checkpoints() {
        let cases = checkpoint.generation_cases();
        for splitting in [None, Some(false)] {
            let wanted = |case: &Value| case["image_processor"]["do_image_splitting"].as_bool() == splitting;
            let cases: Vec<&(String, Value)> = cases.iter().filter(|(_, case)| wanted(case)).collect();
            if cases.is_empty() {
                continue;
            }
            let model = load(&checkpoint, Options { image_splitting: splitting, ..exact() });
            let file = GenerationConfig::from_directory(&checkpoint.model(), model.config()).unwrap();
            for (name, case) in cases {
                count += 1;
                let params = GenerationConfig::from_json(&case["params"].to_string()).unwrap().or(file.clone());
                check(&model, name, case, &SamplingParams::from_config(&params));
            }
        }
    }
    assert!(count > 300, "only {count} cases");
}

fn check(model: &SmolVlm, name: &str, case: &Value, params: &SamplingParams) {
    let conversations = conversations(case);
    // The reference includes the padding of a batch in total lengths; here each row behaves as if it ran alone.
    let padded = case["params"]["max_length"].is_number() || case["params"]["min_length"].is_number();
    let answers: Vec<Generation> = if padded {
        let lengths: Vec<usize> = conversations.iter().map(|conversation| prompt_tokens(model, conversation)).collect();
        let longest = lengths.iter().max().copied().unwrap();
        let alone = conversations.iter().zip(lengths).flat_map(|(conversation, length)| {
            let mut params = params.clone();
            let padding = longest - length;
            params.max_length = params.max_length.map(|length| length - padding);
            params.min_length = params.min_length.saturating_sub(padding);
            model.batch(std::slice::from_ref(conversation), params).unwrap()
        });
        alone.collect()
    } else {
        model.batch(&conversations, params.clone()).unwrap()
    };
    let tokens: Vec<&[u32]> = answers.iter().map(|answer| &*answer.token_ids).collect();
    assert_eq!(tokens, rows::<u32>(&case["generated"]), "{name}");
    let texts: Vec<&str> = answers.iter().map(|answer| &*answer.text).collect();
    assert_eq!(serde_json::json!(texts), case["text"], "{name}");
    if let Some(scores) = case["sequences_scores"].as_array() {
        for (answer, score) in answers.iter().zip(scores) {
            let (found, score) = (f64::from(answer.score.unwrap()), score.as_f64().unwrap());
            assert!((found - score).abs() < SCORE_TOLERANCE * score.abs().max(1.0), "{name}: {found}, not {score}");
        }
    }
}

fn prompt_tokens(model: &SmolVlm, conversation: &Conversation) -> usize {
    model.processor().estimate(conversation, &Default::default()).unwrap().prompt_tokens
}

#[test]
fn same_seed_samples_the_same_text_in_any_batch() {
    let model = model();
    let params = |seed| SamplingParams::sampling().temperature(1.5).top_k(0).max_new_tokens(12).seed(seed);
    let alone = model.generate(question("One two"), params(7)).unwrap();
    assert_eq!(model.generate(question("One two"), params(7)).unwrap().token_ids, alone.token_ids);
    assert_ne!(model.generate(question("One two"), params(8)).unwrap().token_ids, alone.token_ids);
    let batch = model.batch(&[question("One two"), question("Something else, longer")], params(7)).unwrap();
    assert_eq!(batch[0].token_ids, alone.token_ids);
}

#[test]
fn several_sequences_per_prompt() {
    let model = model();
    let params = SamplingParams::sampling().temperature(1.5).top_k(0).max_new_tokens(8).seed(1).num_return_sequences(3);
    let answers = model.batch(&[question("One"), question("Two, and longer")], params).unwrap();
    assert_eq!(answers.len(), 6);
    assert_eq!([0, 1, 2].map(|text| answers[text].prompt_tokens), [answers[0].prompt_tokens; 3]);
    assert_ne!(answers[0].token_ids, answers[1].token_ids);
    assert!(answers[3].prompt_tokens > answers[0].prompt_tokens);
}

#[test]
fn log_probabilities_of_every_token() {
    let model = model();
    let answer = model.generate(question("One"), SamplingParams::greedy().max_new_tokens(5).logprobs(3)).unwrap();
    assert_eq!(answer.logprobs.len(), answer.token_ids.len());
    for (token, logprobs) in answer.token_ids.iter().zip(&answer.logprobs) {
        assert_eq!(logprobs.top.len(), 3);
        // In greedy decoding, the chosen token is the most likely one.
        assert_eq!(logprobs.top[0], (*token, logprobs.logprob));
        assert!(logprobs.top.is_sorted_by(|a, b| a.1 >= b.1) && logprobs.logprob < 0.0);
    }
    assert!(model.generate(question("One"), SamplingParams::greedy()).unwrap().logprobs.is_empty());
}

#[test]
fn chunked_prefill_gives_the_same_tokens() {
    let image = smolvlm_tests::golden_root().join("media/landscape.png");
    let model = load(&checkpoint("gqa-256m"), exact());
    let conversations = [
        Conversation::from(Message::user().image(&*image).text("What is it?")),
        question("Short"),
        question("Longer, this"),
    ];
    let params = SamplingParams::greedy().max_new_tokens(10);
    let whole = model.batch(&conversations, params.clone()).unwrap();
    for chunk in [1, 7, 64, 100_000] {
        let answers = model.batch(&conversations, params.clone().prefill_chunk(chunk)).unwrap();
        for (answer, whole) in answers.iter().zip(&whole) {
            assert_eq!(answer.token_ids, whole.token_ids, "chunks of {chunk}");
        }
    }
}

#[test]
fn drafted_tokens_change_no_text() {
    let texts = ["abc abc abc abc", "One, two, three. One, two, three. One,", "unique"];
    let conversations: Vec<Conversation> = texts.map(question).into();
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Q8, Dtype::Q4] {
        let model = load(&checkpoint("gqa-256m"), Options { dtype, ..exact() });
        let greedy = SamplingParams::greedy().max_new_tokens(90);
        let sampling = SamplingParams::sampling().seed(5).temperature(0.3).max_new_tokens(40);
        let penalized = greedy.clone().repetition_penalty(1.05).max_new_tokens(40);
        let several = sampling.clone().num_return_sequences(3);
        for params in [greedy.clone(), sampling, penalized, several, greedy.stop_strings(["a"])] {
            let plain = model.batch(&conversations, params.clone().prompt_lookup_num_tokens(0)).unwrap();
            assert!(plain.iter().all(|answer| answer.timings.accepted_drafts == 0));
            for max in [1, 4, 15] {
                let drafted = model.batch(&conversations, params.clone().prompt_lookup_num_tokens(max)).unwrap();
                let of = |answers: &[Generation]| -> Vec<(Vec<u32>, String, FinishReason)> {
                    answers.iter().map(|a| (a.token_ids.clone(), a.text.clone(), a.finish_reason)).collect()
                };
                assert_eq!(of(&drafted), of(&plain), "{dtype} {max}");
            }
        }
    }
}

#[test]
fn drafts_save_steps_of_repetitive_text() {
    let model = load(&checkpoint("gqa-256m"), exact());
    // The random model has a choice of two tokens.
    let banned = (0..model.config().text.vocab_size as u32).filter(|id| ![40, 41].contains(id));
    let params = SamplingParams::greedy().max_new_tokens(150).suppress_tokens(banned);
    let answer = model.generate(question("One"), params.clone()).unwrap();
    let timings = answer.timings;
    assert_eq!(timings.decode_tokens, 149);
    assert!(timings.decode_steps < 75, "{timings:?}");
    assert_eq!(timings.decode_steps + timings.accepted_drafts, 149);
    let stats = model.engine_stats();
    assert_eq!((stats.decode_tokens, stats.accepted_drafts), (149, timings.accepted_drafts as u64));
    assert!(stats.drafted_tokens >= stats.accepted_drafts);

    let mut streamed = String::new();
    for event in model.stream(question("One"), params.clone()).unwrap() {
        if let Event::Text(text) = event.unwrap() {
            streamed.push_str(&text);
        }
    }
    assert_eq!(streamed, answer.text);
    // Log-probabilities are streamed token by token.
    assert_eq!(model.generate(question("One"), params.logprobs(0)).unwrap().timings.accepted_drafts, 0);
}

#[test]
fn cached_image_features_give_the_same_tokens() {
    let image = smolvlm_tests::golden_root().join("media/landscape.png");
    let question = || Conversation::from(Message::user().image(&*image).text("What is it?"));
    let params = || SamplingParams::greedy().max_new_tokens(10);
    let without = load(&checkpoint("gqa-256m"), Options { feature_cache_bytes: 0, ..exact() });
    let expected = without.generate(question(), params()).unwrap().token_ids;
    let model = load(&checkpoint("gqa-256m"), Options { vision_batch: Some(4), ..exact() });
    for _ in 0..2 {
        let answers = model.batch(&[question(), question()], params()).unwrap();
        assert_eq!([&answers[0].token_ids, &answers[1].token_ids], [&expected, &expected]);
    }
}

#[test]
fn loop_guard_stops_endless_repetition() {
    let model = model();
    // Only one token is allowed, so the text repeats immediately.
    let biased = smolvlm::generate::SequenceBias { tokens: vec![300], bias: 1e4 };
    let params = SamplingParams::greedy().max_new_tokens(400).sequence_bias([biased]);
    let endless = model.generate(question("One"), params.clone()).unwrap();
    assert_eq!((endless.finish_reason, endless.token_ids.len()), (FinishReason::Length, 400));
    let guarded = model.generate(question("One"), params.loop_guard(LoopGuard::default())).unwrap();
    assert_eq!(guarded.finish_reason, FinishReason::Repetition);
    assert!(guarded.token_ids.len() < 400 && guarded.token_ids.iter().all(|&token| token == 300));
}

#[test]
fn time_limit_and_cancellation_stop_generation() {
    let model = model();
    let params = SamplingParams::greedy().max_new_tokens(2000);
    let timed = model.generate(question("One"), params.clone().max_time(std::time::Duration::ZERO)).unwrap();
    assert_eq!((timed.finish_reason, timed.token_ids.len()), (FinishReason::Time, 1));

    let mut stream = model.stream(question("One"), params.clone()).unwrap();
    let cancel = stream.cancel_handle();
    let mut text = String::new();
    while text.is_empty() {
        match stream.next().unwrap().unwrap() {
            Event::Text(delta) => text.push_str(&delta),
            other => panic!("{other:?}"),
        }
    }
    cancel.cancel();
    let mut events: Vec<Event> = stream.map(Result::unwrap).collect();
    let Some(Event::Finished(answer)) = events.pop() else { panic!("no last event") };
    assert_eq!(answer.finish_reason, FinishReason::Cancelled);
    for event in events {
        if let Event::Text(delta) = event {
            text.push_str(&delta);
        }
    }
    assert_eq!(answer.text, text);

    // Cancelled at once: after a few tokens at most.
    let stream = model.stream(question("One"), params).unwrap();
    stream.cancel_handle().cancel();
    let Some(Ok(Event::Finished(answer))) = stream.last() else { panic!("no last event") };
    assert_eq!(answer.finish_reason, FinishReason::Cancelled);
    assert!(answer.token_ids.len() < 1000);
}

#[test]
fn special_tokens_are_kept_on_request() {
    let model = model();
    // The global-image marker, then the end.
    let biased = |token, bias| smolvlm::generate::SequenceBias { tokens: vec![token], bias };
    let params = SamplingParams::greedy().max_new_tokens(2).sequence_bias([biased(512, 1e4)]);
    let skipped = model.generate(question("One"), params.clone()).unwrap();
    assert_eq!((skipped.token_ids.len(), skipped.text.as_str()), (2, ""));
    let kept = model.generate(question("One"), params.skip_special_tokens(false)).unwrap();
    assert_eq!(kept.text, "<global-img><global-img>");
}

#[test]
fn hidden_states_do_not_depend_on_other_rows() {
    let model = model();
    let image = smolvlm_tests::golden_root().join("media/square.png");
    let conversations = [question("One"), Message::user().image(&*image).text("What?").into()];
    let together = model.hidden_states(&conversations).unwrap();
    for (conversation, row) in conversations.iter().zip(&together) {
        let alone = model.hidden_states(std::slice::from_ref(conversation)).unwrap().remove(0);
        assert_eq!((&alone.token_ids, &alone.states.shape), (&row.token_ids, &row.states.shape));
        assert_eq!(alone.states.shape, [alone.token_ids.len(), model.config().text.hidden_size]);
        let largest = alone.states.data.iter().fold(0_f32, |most, value| most.max(value.abs()));
        for (a, b) in alone.states.data.iter().zip(&row.states.data) {
            assert!((a - b).abs() <= 1e-5 * largest, "{a} and {b}");
        }
        assert_eq!(alone.mean().len(), model.config().text.hidden_size);
    }
}

#[test]
fn long_conversations_are_refused_or_truncated() {
    let words = "many words ".repeat(60);
    let mut messages = vec![Message::system().text("Be brief.")];
    for _ in 0..40 {
        messages.extend([Message::user().text(&words), Message::assistant().text(&words)]);
    }
    messages.push(Message::user().text("And now?"));
    let conversation = Conversation::new(messages);
    let params = SamplingParams::greedy().max_new_tokens(4);
    let model = model();
    let context = model.config().text.max_position_embeddings;
    let error = model.generate(conversation.clone(), params.clone()).unwrap_err().to_string();
    assert!(error.contains(&format!("context length is {context}")), "{error}");
    let options = Options { truncation: smolvlm::Truncation::DropOldest, ..exact() };
    let answer = load(&checkpoint("gqa-256m"), options).generate(conversation, params).unwrap();
    assert!(answer.prompt_tokens <= context - 4 && answer.prompt_tokens > context / 2, "{}", answer.prompt_tokens);
}

#[test]
fn stream_refuses_several_sequences() {
    let model = model();
    for params in [SamplingParams::greedy().num_beams(2), SamplingParams::sampling().num_return_sequences(2)] {
        let error = model.stream(question("One"), params).err().unwrap().to_string();
        assert!(error.contains("use batch"), "{error}");
    }
}
