//! Tests that no JSON causes a panic, and that accepted configurations can be used and serialized.

use std::{fs, path::Path};

use serde_json::{Value, json};
use smolvlm_config::{GenerationConfig, ModelConfig, Preset, ProcessorConfig, TilePlan};

/// Values of every type and at the edges of ranges.
fn replacements() -> Vec<Value> {
    let mut values: Vec<Value> = [
        "null",
        "true",
        "false",
        "0",
        "1",
        "2",
        "3",
        "-1",
        "-0.0",
        "0.5",
        "1.5",
        "1e-320",
        "1e308",
        "-1e308",
        "65535",
        "2147483647",
        "2147483648",
        "4294967295",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "\"\"",
        "\"64\"",
        "\"\\u0000\"",
        "[]",
        "[null]",
        "[1]",
        "[1, 2]",
        "[[1], [2]]",
        "[0.5, 0.5, 0.5]",
        "{}",
        "{\"longest_edge\": 0}",
        "{\"longest_edge\": 4294967295}",
        "{\"height\": 1, \"width\": 65536}",
        "{\"rope_type\": \"llama3\"}",
        "{\"rope_type\": \"linear\", \"factor\": 1e-320}",
        "{\"fps\": 1, \"max_frames\": 1, \"video_size\": 3}",
    ]
    .iter()
    .map(|text| serde_json::from_str(text).unwrap())
    .collect();
    values.push(json!("\u{1F600}".repeat(100)));
    let mut nested = json!(1);
    for _ in 0..100 {
        nested = json!([nested]);
    }
    values.push(nested);
    values
}

/// The paths of all values inside a value, as JSON pointers.
fn pointers(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                pointers(inner, format!("{path}/{key}"), found);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                pointers(inner, format!("{path}/{index}"), found);
            }
        }
        _ => {}
    }
    found.push(path);
}

fn remove(document: &mut Value, pointer: &str) {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    match document.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.remove(key);
        }
        Some(Value::Array(list)) => {
            list.remove(key.parse().unwrap());
        }
        _ => unreachable!("a parent is an object or a list"),
    }
}

/// Replaces or removes each value of a document in turn. Returns how many variants were accepted and rejected.
fn mutate(document: &Value, read: impl Fn(&str) -> bool) -> (usize, usize) {
    let mut all = Vec::new();
    pointers(document, String::new(), &mut all);
    let (mut accepted, mut refused) = (0, 0);
    let mut count = |text: &str| if read(text) { accepted += 1 } else { refused += 1 };
    for pointer in &all {
        for value in replacements() {
            let mut mutated = document.clone();
            *mutated.pointer_mut(pointer).unwrap() = value;
            count(&mutated.to_string());
        }
        let mut mutated = document.clone();
        remove(&mut mutated, pointer);
        count(&mutated.to_string());
    }
    (accepted, refused)
}

/// Parses a model configuration and uses it.
fn model(text: &str) -> bool {
    let Ok(config) = ModelConfig::from_json(text) else { return false };
    config.validate().unwrap();
    assert!(config.image_seq_len() > 0 && config.parameter_count() > 0);
    let frequencies = config.text.rope.inverse_frequencies(config.text.head_dim);
    assert_eq!(frequencies.len(), config.text.head_dim / 2);
    assert_eq!(ModelConfig::from_json(&config.to_json()).unwrap(), config, "{text}");
    true
}

fn processor(text: &str) -> bool {
    let Ok(config) = ProcessorConfig::from_json(text) else { return false };
    config.validate().unwrap();
    for size in [1, 500, 100_000] {
        TilePlan::new(size, 300, &config.image).unwrap();
        TilePlan::new(size, 300, &config.video.frame()).unwrap();
    }
    assert_eq!(ProcessorConfig::from_json(&config.to_json()).unwrap(), config, "{text}");
    true
}

fn generation(text: &str) -> bool {
    let Ok(config) = GenerationConfig::from_json(text) else { return false };
    assert_eq!(GenerationConfig::from_json(&config.to_json()).unwrap(), config, "{text}");
    true
}

/// Checks that both outcomes are frequent, so that documents are not all rejected for the same reason.
fn assert_mixed((accepted, refused): (usize, usize)) {
    assert!(accepted > 50 && refused > 50, "{accepted} {refused}");
}

#[test]
fn model_configurations() {
    let released = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/released-500m/config.json");
    let mut document: Value = serde_json::from_str(&fs::read_to_string(released).unwrap()).unwrap();
    assert_mixed(mutate(&document, model));
    document["text_config"]["rope_scaling"] = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 512
    });
    document["text_config"]["eos_token_id"] = json!([1, 2]);
    document["max_length"] = json!(5);
    assert_mixed(mutate(&document, model));
    let written: Value = serde_json::from_str(&Preset::Smol2B.model().to_json()).unwrap();
    assert_mixed(mutate(&written, model));
}

#[test]
fn processor_configurations() {
    let mut document: Value = serde_json::from_str(&Preset::Smol256M.processor().to_json()).unwrap();
    document["video_processor"]["video_sampling"] =
        json!({"fps": 1, "max_frames": 64, "video_size": {"longest_edge": 512}});
    assert_mixed(mutate(&document, processor));
    document["video_processor"].as_object_mut().unwrap().remove("size");
    document["chat_template"] = json!({"default": "a", "b": "c"});
    assert_mixed(mutate(&document, processor));
}

#[test]
fn generation_configurations() {
    let document = json!({
        "eos_token_id": [49279, 2], "max_new_tokens": 64, "do_sample": true, "temperature": 0.7, "top_p": 0.9,
        "bad_words_ids": [[5], [6, 7]], "sequence_bias": [[[8, 9], -1.5]], "stop_strings": ["a"], "num_beams": 2,
        "exponential_decay_length_penalty": [5, 1.02], "early_stopping": true, "num_return_sequences": 2,
        "watermarking_config": {"greenlist_ratio": 0.5, "seeding_scheme": "selfhash"}, "cache_implementation": "static"
    });
    assert_mixed(mutate(&document, generation));
}

#[test]
fn invalid_json_is_an_error() {
    let deep = "[".repeat(200_000);
    let object = "{\"text_config\":".repeat(200_000);
    let released = Preset::Smol256M.model().to_json();
    let mut texts =
        vec![deep, object, String::new(), "\u{feff}".to_owned(), "NaN".to_owned(), "{\"a\": 1e999}".to_owned()];
    texts.extend(
        (0..released.len()).filter(|&end| released.is_char_boundary(end)).map(|end| released[..end].to_owned()),
    );
    for text in texts {
        if text.trim_end() == released.trim_end() {
            continue;
        }
        assert!(!model(&text) && !processor(&text), "{text}");
        assert!(GenerationConfig::from_json(&text).is_err());
    }
}
