//! Comparison of chat templates and typed control tokens with transformers 5.24.0 (tests/golden/processing_chat.py).

use std::path::{Path, PathBuf};

use serde_json::Value;
use smolvlm_processor::{
    ChatTemplate, Content, Conversation, ImageSource, Media, MediaPlan, Processor, RenderOptions, TokenBytes,
    tokenizer_from_json,
};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)
}

fn cases(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(golden("processing").join(name)).unwrap();
    serde_json::from_str::<Value>(&text).unwrap().as_array().unwrap().clone()
}

/// The processor of a golden checkpoint, optionally with another template.
fn processor(template: Option<&str>) -> Processor {
    let own = Processor::from_directory(&golden("gqa-256m/model")).unwrap();
    let Some(template) = template else { return own };
    let special = own.special_tokens().clone();
    let limits = own.limits().clone();
    Processor::from_parts(own.config().clone(), own.tokenizer().clone(), special, Some(template), limits).unwrap()
}

fn conversation(case: &Value) -> Conversation {
    let mut conversation = Conversation::from_json(&case["messages"].to_string()).unwrap();
    for content in conversation.messages.iter_mut().flat_map(|message| &mut message.content) {
        if let Content::Image(ImageSource::Path(path)) = content {
            *path = golden("").join(&*path);
        }
    }
    conversation
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn templates() {
    for case in cases("chat_templates.json") {
        let template = case["template"].as_str().unwrap();
        let (processor, conversation) = (processor(Some(template)), conversation(&case));
        let flag = |key: &str| case.get(key).is_some();
        let options = match (flag("add_generation_prompt"), flag("continue_final_message")) {
            (true, _) => RenderOptions::answer(),
            (_, true) => RenderOptions::continue_final(),
            _ => RenderOptions::plain(),
        };
        assert_eq!(processor.render(&conversation, &options).unwrap(), case["text"].as_str().unwrap(), "{case}");
        let template = ChatTemplate::new(template, 1_000_000).unwrap();
        assert_eq!(template.has_generation_blocks(), case.get("assistant_mask").is_some(), "{case}");
    }
}

#[test]
fn assistant_spans_match_the_reference() {
    let mut compared = 0;
    for case in cases("chat_templates.json").iter().filter(|case| case.get("assistant_mask").is_some()) {
        let (processor, conversation) = (processor(case["template"].as_str()), conversation(case));
        let options = RenderOptions::plain();
        let batch = processor.process(std::slice::from_ref(&conversation), &options).unwrap();
        assert_eq!(batch.input_ids, ids(&case["input_ids"]), "{case}");
        let media: Vec<MediaPlan> = batch.all_media().map(Media::plan).collect();
        let (prompt, spans) = processor.assistant_spans(&conversation, &options, &media).unwrap().unwrap();
        assert_eq!(prompt, batch.prompts[0]);
        let encoding = processor.tokenizer().encode(prompt, false).unwrap();
        let covered = |(start, end): (usize, usize)| spans.iter().any(|span| start < span.end && end > span.start);
        let mask: Vec<u32> = encoding.get_offsets().iter().map(|&offsets| covered(offsets).into()).collect();
        assert_eq!(mask, ids(&case["assistant_mask"]), "{case}");
        compared += 1;
    }
    assert!(compared >= 5);
    let plain =
        processor(None).assistant_spans(&conversation(&cases("control_tokens.json")[0]), &RenderOptions::plain(), &[]);
    assert_eq!(plain.unwrap(), None);
}

#[test]
fn typed_control_tokens_match_the_reference() {
    for case in cases("control_tokens.json") {
        let (processor, conversation) = (processor(case["template"].as_str()), conversation(&case));
        // The case with its own template was rendered without a generation prompt.
        let options = if case["template"].is_string() { RenderOptions::plain() } else { RenderOptions::answer() };
        let options = options.sanitized();
        let batch = processor.process(std::slice::from_ref(&conversation), &options).unwrap();
        assert_eq!(batch.input_ids, ids(&case["input_ids"]), "{}", case["name"]);
        let estimate = processor.estimate(&conversation, &options).unwrap();
        assert_eq!(estimate.prompt_tokens, batch.len, "{}", case["name"]);
        assert!(!batch.prompts[0].contains(['\u{f0000}', '\u{f0001}']));
    }
}

/// Compares the byte representation of tokens, in which the reference looks for stop strings.
#[test]
fn stop_string_matches_in_token_bytes_match_the_reference() {
    let text = std::fs::read_to_string(golden("processing/stop_strings.json")).unwrap();
    let golden_cases: Value = serde_json::from_str(&text).unwrap();
    let stops: Vec<Vec<String>> = serde_json::from_value(golden_cases["stop_strings"].clone()).unwrap();
    let mut compared = 0;
    for case in golden_cases.as_object().unwrap().values().filter(|case| case.is_object()) {
        let tokenizer = std::fs::read_to_string(golden(case["tokenizer"].as_str().unwrap())).unwrap();
        let tokenizer = tokenizer_from_json(&tokenizer).unwrap();
        let bytes = TokenBytes::new(tokenizer.clone());
        let pieces: Vec<Vec<u8>> = ids(&case["ids"]).iter().map(|&id| bytes.get(id).unwrap()).collect();
        for (stops, expected) in stops.iter().zip(case["ends"].as_array().unwrap()) {
            let ends_within = |count: &u32| {
                let text = pieces[..*count as usize].concat();
                let before = text.len() - pieces[*count as usize - 1].len();
                stops.iter().map(String::as_bytes).any(|stop| {
                    let ends = text.windows(stop.len()).enumerate().filter(|(_, window)| *window == stop);
                    ends.map(|(start, _)| start + stop.len()).any(|end| end > before)
                })
            };
            let found: Vec<u32> = (1..=pieces.len() as u32).filter(ends_within).collect();
            assert_eq!(found, ids(expected), "{stops:?} in {case}");
            compared += found.len();
        }
    }
    assert!(compared > 50);
}
