//! Pixels, prompts and tokens of conversations, compared exactly with the reference.

use serde_json::{Value, json};
use smolvlm::processor::{Conversation, Media, MediaPlan, Processor, TileGrid};
use smolvlm::{Options, SmolVlm, Source};
use smolvlm_tests::{Case, Checkpoint, Trials, assert_pixels, assert_prompts, exact, rows, with_absolute_paths};
use std::sync::Arc;

/// Parses the conversations of a case.
fn conversations(case: &Case) -> Vec<Conversation> {
    Conversation::many_from_json(&with_absolute_paths(&case.expected["conversations"]).to_string()).unwrap()
}

/// Returns the override of the checkpoint's image splitting; no case overrides anything else.
fn image_splitting(case: &Case) -> Option<bool> {
    let overrides = case.expected["image_processor"].as_object().unwrap();
    assert!(overrides.keys().all(|key| key == "do_image_splitting"), "{}: {overrides:?}", case.name);
    overrides.get("do_image_splitting").and_then(Value::as_bool)
}

fn options(case: &Case) -> Options {
    Options { image_splitting: image_splitting(case), ..exact() }
}

fn processor(checkpoint: &Checkpoint, case: &Case) -> Processor {
    SmolVlm::load_processor(Source::directory(checkpoint.model()), &options(case), &mut |_| {}).unwrap()
}

/// Adds the trials of every conversation without videos.
pub fn add(trials: &mut Trials, cases: &[Arc<(Checkpoint, Case)>]) {
    let cases: Vec<_> = cases.iter().filter(|case| !case.1.has_videos).cloned().collect();
    trials.add_cases("prompts_ids_and_pixels", &cases, prompts_ids_and_pixels);
    trials.add_cases("greedy_tokens_and_text", &cases, greedy_tokens_and_text);
}

fn prompts_ids_and_pixels(checkpoint: &Checkpoint, case: &Case) {
    let expected = &case.expected;
    let batch = assert_prompts(case, &processor(checkpoint, case), &conversations(case));
    let grid = |media: &Media| match media.plan() {
        MediaPlan::Image(grid) => grid,
        other => panic!("{}: {other:?}", case.name),
    };
    let grids = |side: fn(&TileGrid) -> u32| -> Vec<Vec<u32>> {
        batch.media.iter().map(|row| row.iter().map(|media| side(&grid(media))).collect()).collect()
    };
    assert_eq!(grids(|grid| grid.rows), rows::<u32>(&expected["rows"]), "{}", case.name);
    assert_eq!(grids(|grid| grid.cols), rows::<u32>(&expected["cols"]), "{}", case.name);
    assert_pixels(case, &batch);
}

fn greedy_tokens_and_text(checkpoint: &Checkpoint, case: &Case) {
    let model = SmolVlm::load(Source::directory(checkpoint.model()), options(case)).unwrap();
    let limit = case.expected["max_new_tokens"].as_u64().unwrap() as usize;
    let params = model.sampling().max_new_tokens(limit);
    let conversations = conversations(case);
    let expected = rows::<u32>(&case.expected["generated"]);

    let answers = model.batch(&conversations, params.clone()).unwrap();
    let tokens: Vec<&[u32]> = answers.iter().map(|answer| &*answer.token_ids).collect();
    assert_eq!(tokens, expected, "{}", case.name);
    let texts: Vec<&str> = answers.iter().map(|answer| &*answer.text).collect();
    assert_eq!(json!(texts), case.expected["text"], "{}", case.name);

    // Each row alone, streamed, gives the same answer.
    for (conversation, answer) in conversations.into_iter().zip(&answers) {
        let mut streamed = String::new();
        for event in model.stream(conversation, params.clone()).unwrap() {
            match event.unwrap() {
                smolvlm::Event::Text(delta) => {
                    assert!(!delta.contains('\u{fffd}') || answer.text.contains('\u{fffd}'), "{delta:?}");
                    streamed.push_str(&delta);
                }
                smolvlm::Event::Finished(alone) => {
                    assert_eq!(alone.token_ids, answer.token_ids, "{}", case.name);
                    assert_eq!(alone.prompt_tokens, answer.prompt_tokens, "{}", case.name);
                }
                _ => {}
            }
        }
        assert_eq!(streamed, answer.text, "{}", case.name);
    }
}
