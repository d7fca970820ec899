//! Tests of loading processors from checkpoint directories.

mod common;

use std::fs;
use std::path::Path;

use common::{Random, mutated};
use smolvlm_processor::{Error, Message, Processor, ProcessorLimits, RenderOptions};

fn write(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), text).unwrap();
}

/// A checkpoint directory in the old layout, without a chat template.
fn checkpoint() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "tokenizer.json", &common::tokenizer().to_string(false).unwrap());
    write(
        dir.path(),
        "preprocessor_config.json",
        r#"{"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 16}}"#,
    );
    write(dir.path(), "processor_config.json", r#"{"image_seq_len": 4, "processor_class": "SmolVLMProcessor"}"#);
    dir
}

fn render(processor: &Processor) -> Result<String, Error> {
    processor.render(&Message::user().text("hi").into(), &RenderOptions::answer())
}

#[test]
fn chat_template_files_have_a_precedence() {
    let dir = checkpoint();
    let open = || Processor::from_directory(dir.path()).unwrap();
    assert!(matches!(render(&open()), Err(Error::MissingTemplate)));
    let sources = [
        ("tokenizer_config.json", r#"{"chat_template": "tokenizer"}"#, "tokenizer"),
        ("chat_template.jinja", "jinja\n", "jinja"),
        ("chat_template.json", r#"{"chat_template": "json"}"#, "json"),
        ("processor_config.json", r#"{"image_seq_len": 4, "chat_template": "processor"}"#, "processor"),
    ];
    for (name, text, wanted) in sources {
        write(dir.path(), name, text);
        assert_eq!(render(&open()).unwrap(), wanted);
    }
}

#[test]
fn byte_order_marks_are_skipped() {
    let dir = checkpoint();
    let marked = |name: &str, text: &str| write(dir.path(), name, &format!("\u{feff}{text}"));
    marked("tokenizer.json", &common::tokenizer().to_string(false).unwrap());
    marked("tokenizer_config.json", r#"{"image_token": "<global-img>"}"#);
    marked("processor_config.json", r#"{"image_seq_len": 4}"#);
    marked("chat_template.jinja", "jinja");
    let processor = Processor::from_directory(dir.path()).unwrap();
    assert_eq!(render(&processor).unwrap(), "jinja");
    assert_eq!(processor.image_token_id(), 600 - 128);
    let template = Some("\u{feff}given".to_owned());
    let given = Processor::new(common::config(), common::tokenizer(), template).unwrap();
    assert_eq!(render(&given).unwrap(), "given");
    assert!(smolvlm_processor::tokenizer_from_json("\u{feff}{}").is_err());
    let tokenizer = format!("\u{feff}{}", common::tokenizer().to_string(false).unwrap());
    assert!(smolvlm_processor::tokenizer_from_json(&tokenizer).is_ok());
}

#[test]
fn special_tokens_are_read_from_the_tokenizer_config() {
    let dir = checkpoint();
    let processor = Processor::from_directory(dir.path()).unwrap();
    assert_eq!((processor.bos_token_id(), processor.pad_token_id()), (Some(1), Some(2)));
    assert_eq!(processor.image_token_id(), 600 - 90);

    write(dir.path(), "tokenizer_config.json", r#"{"image_token": "<global-img>", "eos_token": "<|im_end|>"}"#);
    let processor = Processor::from_directory(dir.path()).unwrap();
    assert_eq!(processor.image_token_id(), 600 - 128);
    assert_eq!(
        (processor.bos_token_id(), processor.eos_token_id(), processor.pad_token_id()),
        (None, Some(2), Some(2))
    );

    write(dir.path(), "tokenizer_config.json", r#"{"image_token": "<picture>"}"#);
    let error = Processor::from_directory(dir.path()).unwrap_err();
    assert_eq!(error.to_string(), "the tokenizer has no image_token \"<picture>\"");
}

#[test]
fn truncation_and_padding_of_the_file_are_disabled() {
    let dir = checkpoint();
    let mut value: serde_json::Value = serde_json::from_str(&common::tokenizer().to_string(false).unwrap()).unwrap();
    value["truncation"] =
        serde_json::json!({"direction": "Left", "max_length": 3, "strategy": "LongestFirst", "stride": 0});
    value["padding"] = serde_json::json!({"strategy": {"Fixed": 50}, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 2, "pad_type_id": 0, "pad_token": "<|im_end|>"});
    write(dir.path(), "tokenizer.json", &value.to_string());
    let processor = Processor::from_directory(dir.path()).unwrap();
    assert_eq!(processor.encode("hello").unwrap().len(), 5);
}

#[test]
fn post_processor_runs_unless_the_text_starts_with_bos() {
    let dir = checkpoint();
    let mut value: serde_json::Value = serde_json::from_str(&common::tokenizer().to_string(false).unwrap()).unwrap();
    value["post_processor"] = serde_json::json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [1], "tokens": ["<|im_start|>"]}}});
    write(dir.path(), "tokenizer.json", &value.to_string());
    let processor = Processor::from_directory(dir.path()).unwrap();
    assert_eq!(processor.encode("a").unwrap(), [1, 3 + 97]);
    assert_eq!(processor.encode("<|im_start|>a").unwrap(), [1, 3 + 97]);
}

#[test]
fn missing_and_invalid_files_are_reported_by_name() {
    let dir = checkpoint();
    let error = || Processor::from_directory(dir.path()).unwrap_err();
    write(dir.path(), "tokenizer_config.json", "[1]");
    assert!(matches!(error(), Error::File { path, .. } if path.ends_with("tokenizer_config.json")));
    write(dir.path(), "tokenizer_config.json", r#"{"chat_template": "{{ 1 +"}"#);
    assert!(matches!(error(), Error::Template { line: Some(1), .. }));
    write(dir.path(), "tokenizer.json", r#"{"version": "1.0", "model": 3}"#);
    assert!(matches!(error(), Error::File { path, .. } if path.ends_with("tokenizer.json")));
    let limits = ProcessorLimits { max_tokenizer_bytes: 10, ..ProcessorLimits::default() };
    assert!(matches!(
        Processor::from_directory_with_limits(dir.path(), limits),
        Err(Error::TooLarge { limit: 10, .. })
    ));
    fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    assert!(matches!(error(), Error::Io { path, .. } if path.ends_with("tokenizer.json")));
    fs::remove_file(dir.path().join("preprocessor_config.json")).unwrap();
    assert!(matches!(error(), Error::Config(_)));
}

#[test]
fn mutated_tokenizers_do_not_panic() {
    // A small file, so that mutations affect its structure and not only the vocabulary.
    const SEED: &str = r#"{"version": "1.0", "truncation": null, "padding": null, "normalizer": {"type": "NFC"},
        "added_tokens": [{"id": 0, "content": "<image>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true}],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true},
            {"type": "Split", "pattern": {"Regex": "a+|b"}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": {"<image>": 0, "a": 1, "b": 2, "ab": 3, "Ġ": 4, "Ġab": 5}, "merges": [["a", "b"], ["Ġ", "ab"]]}}"#;
    let dir = checkpoint();
    let alphabet: Vec<char> = "{}[]:,\"\\0123-truefalsn Ġé+*(".chars().collect();
    let mut random = Random(5);
    let mut made = 0;
    for _ in 0..4000 {
        write(dir.path(), "tokenizer.json", &mutated(SEED, &alphabet, &mut random));
        let Ok(processor) = Processor::from_directory(dir.path()) else { continue };
        made += 1;
        if let Ok(ids) = processor.encode("ab a1 <image>é日") {
            drop(processor.decode(&ids, false));
            let mut deltas = processor.text_deltas(false);
            ids.iter().for_each(|&id| drop(deltas.push(id)));
            drop(deltas.finish());
        }
    }
    assert!(made > 100, "only {made} mutated tokenizers could be read");
}
