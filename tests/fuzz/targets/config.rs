//! The JSON files of a checkpoint: accepted ones are valid and round-trip through serialization.

#![no_main]

use libfuzzer_sys::fuzz_target;
use smolvlm_config::{GenerationConfig, ModelConfig, ProcessorConfig};

fuzz_target!(|text: &str| {
    if let Ok(config) = ModelConfig::from_json(text) {
        assert_eq!(ModelConfig::from_json(&config.to_json()).expect("serialized JSON parses"), config);
    }
    if let Ok(config) = ProcessorConfig::from_json(text) {
        assert_eq!(ProcessorConfig::from_json(&config.to_json()).expect("serialized JSON parses"), config);
    }
    if let Ok(config) = GenerationConfig::from_json(text) {
        assert_eq!(GenerationConfig::from_json(&config.to_json()).expect("serialized JSON parses"), config);
    }
});
