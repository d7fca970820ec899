//! Prompts of document models, SmolDocling and granite-docling, compared with transformers 5.24.0: their tokenizers,
//! control tokens and chat templates differ from those of SmolVLM.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use smolvlm_config::{GenerationConfig, ModelConfig};
use smolvlm_processor::{Content, Conversation, ImageSource, Processor, RenderOptions, TextDeltas, TokenBytes};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)
}

/// Name and processor of each checkpoint.
fn checkpoints() -> [(&'static str, Processor); 2] {
    ["smoldocling", "granite-docling"]
        .map(|name| (name, Processor::from_directory(&golden(name).join("model")).unwrap()))
}

/// The cases of a checkpoint with the checkpoint's own image processor.
fn cases(checkpoint: &str) -> Vec<Value> {
    let folders = fs::read_dir(golden(checkpoint)).unwrap().map(|entry| entry.unwrap().path());
    let files = folders.map(|folder| folder.join("case.json")).filter(|file| file.is_file());
    let cases = files.map(|file| serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap());
    cases.filter(|case: &Value| case["image_processor"] == serde_json::json!({})).collect()
}

fn conversations(case: &Value) -> Vec<Conversation> {
    let mut conversations = Conversation::many_from_json(&case["conversations"].to_string()).unwrap();
    let messages = conversations.iter_mut().flat_map(|conversation| &mut conversation.messages);
    for content in messages.flat_map(|message| &mut message.content) {
        if let Content::Image(ImageSource::Path(path)) = content {
            *path = golden("").join(&*path);
        }
    }
    conversations
}

#[test]
fn prompts_and_tokens_match_the_reference() {
    for (name, processor) in checkpoints() {
        let cases = cases(name);
        assert!(cases.len() >= 5, "{name}");
        for case in cases {
            let batch = processor.process(&conversations(&case), &RenderOptions::answer()).unwrap();
            let expected: Vec<Vec<u32>> = serde_json::from_value(case["input_ids"].clone()).unwrap();
            let prompts: Vec<String> = serde_json::from_value(case["prompts"].clone()).unwrap();
            assert_eq!(batch.prompts, prompts, "{name}");
            assert_eq!(batch.input_ids, expected.concat(), "{name}: {prompts:?}");
        }
    }
}

#[test]
fn configurations_are_accepted() {
    for (name, processor) in checkpoints() {
        let model = ModelConfig::from_directory(&golden(name).join("model")).unwrap();
        assert_eq!(model.image_token_id, processor.image_token_id(), "{name}");
        assert_eq!(model.image_seq_len(), processor.config().image_seq_len, "{name}");
        assert_eq!(model.tie_word_embeddings, name == "granite-docling");
        let generation = fs::read_to_string(golden(name).join("model/generation_config.json")).unwrap();
        let ends = GenerationConfig::from_json(&generation).unwrap().eos_token_ids;
        let end = if name == "granite-docling" { "<|end_of_text|>" } else { "<end_of_utterance>" };
        assert_eq!(ends, processor.tokenizer().token_to_id(end).map_or(vec![], |id| vec![id]), "{name}");
    }
}

#[test]
fn answers_keep_their_tags_if_asked() {
    let answer = "<doctag><text><loc_12><loc_3>a < b</text>\n<otsl><fcel>1<nl></otsl></doctag>";
    for (name, processor) in checkpoints() {
        let ids = processor.encode(answer).unwrap();
        let decode = |skip: bool| {
            let mut deltas = TextDeltas::new(processor.tokenizer().clone(), skip);
            let mut text: String = ids.iter().filter_map(|&id| deltas.push(id).unwrap()).collect();
            text += &deltas.finish().unwrap().unwrap_or_default();
            text
        };
        assert_eq!(decode(false), answer, "{name}");
        assert_eq!(decode(true), "<loc_12><loc_3>a < b\n1", "{name}");
        let bytes = TokenBytes::new(processor.tokenizer().clone());
        let last = ids.last().and_then(|&id| bytes.get(id));
        assert!(last.is_some_and(|bytes| bytes == *b"</doctag>"), "{name}");
    }
}

/// Tags in a prompt are control tokens in the reference; as plain text, they are spelled with other tokens.
#[test]
fn tags_in_a_prompt_can_be_plain_text() {
    for (name, processor) in checkpoints() {
        let tag = processor.tokenizer().token_to_id("<text>").unwrap();
        let conversation = Conversation::from(smolvlm_processor::Message::user().text("Where is <text>?"));
        let ids = |options: RenderOptions| {
            processor.process(std::slice::from_ref(&conversation), &options).unwrap().input_ids
        };
        assert!(ids(RenderOptions::answer()).contains(&tag), "{name}");
        assert!(!ids(RenderOptions::answer().sanitized()).contains(&tag), "{name}");
    }
}
