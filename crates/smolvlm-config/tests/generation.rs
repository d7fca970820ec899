//! Tests of `generation_config.json`: keys, ranges, fallbacks and serialization.

use serde_json::{Value, json};
use smolvlm_config::{
    CacheImplementation, EarlyStopping, Error, ExponentialDecay, GenerationConfig, Preset, SequenceBias, Watermarking,
};

fn read(value: Value) -> Result<GenerationConfig, Error> {
    GenerationConfig::from_json(&value.to_string())
}

/// Every key, with a value that differs from its default.
fn full() -> Value {
    json!({
        "eos_token_id": [49279, 2], "pad_token_id": 2, "bos_token_id": 0, "max_new_tokens": 64, "max_length": 100,
        "min_new_tokens": 1, "min_length": 3, "max_time": 1.5, "stop_strings": ["\n\n", "User:"], "do_sample": true,
        "num_beams": 4, "early_stopping": "never", "length_penalty": -0.5, "num_return_sequences": 2,
        "temperature": 0.7, "top_k": 40, "top_p": 0.9, "min_p": 0.05, "top_h": 0.4, "typical_p": 0.95,
        "epsilon_cutoff": 0.001, "eta_cutoff": 0.002, "repetition_penalty": 1.1, "no_repeat_ngram_size": 3,
        "bad_words_ids": [[5], [6, 7]], "sequence_bias": [[[8, 9], -1.5]], "forced_bos_token_id": 10,
        "forced_eos_token_id": [11, 12], "remove_invalid_values": true, "exponential_decay_length_penalty": [5, 1.02],
        "suppress_tokens": [13], "begin_suppress_tokens": [14, 15], "renormalize_logits": true, "guidance_scale": 1.5,
        "watermarking_config": {"greenlist_ratio": 0.5, "bias": 1, "hashing_key": 3, "seeding_scheme": "selfhash", "context_width": 2},
        "use_cache": false, "cache_implementation": "offloaded_static", "prefill_chunk_size": 256,
    })
}

fn full_config() -> GenerationConfig {
    GenerationConfig {
        eos_token_ids: vec![49279, 2],
        pad_token_id: Some(2),
        bos_token_id: Some(0),
        max_new_tokens: Some(64),
        max_length: Some(100),
        min_new_tokens: Some(1),
        min_length: Some(3),
        max_time: Some(1.5),
        stop_strings: vec!["\n\n".to_owned(), "User:".to_owned()],
        do_sample: Some(true),
        num_beams: Some(4),
        early_stopping: Some(EarlyStopping::WhenImpossible),
        length_penalty: Some(-0.5),
        num_return_sequences: Some(2),
        temperature: Some(0.7),
        top_k: Some(40),
        top_p: Some(0.9),
        min_p: Some(0.05),
        top_h: Some(0.4),
        typical_p: Some(0.95),
        epsilon_cutoff: Some(0.001),
        eta_cutoff: Some(0.002),
        repetition_penalty: Some(1.1),
        no_repeat_ngram_size: Some(3),
        bad_words_ids: vec![vec![5], vec![6, 7]],
        sequence_bias: vec![SequenceBias { tokens: vec![8, 9], bias: -1.5 }],
        forced_bos_token_id: Some(10),
        forced_eos_token_ids: vec![11, 12],
        remove_invalid_values: Some(true),
        exponential_decay_length_penalty: Some(ExponentialDecay { start: 5, factor: 1.02 }),
        suppress_tokens: vec![13],
        begin_suppress_tokens: vec![14, 15],
        renormalize_logits: Some(true),
        guidance_scale: Some(1.5),
        watermarking: Some(Watermarking {
            greenlist_ratio: 0.5,
            bias: 1.0,
            hashing_key: 3,
            self_hash: true,
            context_width: 2,
        }),
        use_cache: Some(false),
        cache_implementation: Some(CacheImplementation::OffloadedStatic),
        prefill_chunk_size: Some(256),
    }
}

#[test]
fn all_keys_are_parsed() {
    assert_eq!(read(full()).unwrap(), full_config());
    assert_eq!(read(json!({"unknown": {}, "transformers_version": "5.24.0"})).unwrap(), GenerationConfig::default());
    let nulls: Value = full().as_object().unwrap().keys().map(|key| (key.clone(), Value::Null)).collect();
    assert_eq!(read(nulls).unwrap(), GenerationConfig::default());
}

#[test]
fn alternative_key_notations_are_parsed() {
    assert_eq!(read(json!({"eos_token_id": 5})).unwrap().eos_token_ids, [5]);
    assert_eq!(read(json!({"forced_eos_token_id": 5})).unwrap().forced_eos_token_ids, [5]);
    assert_eq!(read(json!({"stop_strings": "x"})).unwrap().stop_strings, ["x"]);
    assert_eq!(read(json!({"pad_token_id": -1})).unwrap().pad_token_id, None);
    assert_eq!(read(json!({"temperature": 2, "do_sample": true})).unwrap().temperature, Some(2.0));
    for (value, expected) in [
        (json!(true), EarlyStopping::WhenFinished),
        (json!(false), EarlyStopping::WhenUnlikely),
        (json!("never"), EarlyStopping::WhenImpossible),
    ] {
        assert_eq!(read(json!({"early_stopping": value})).unwrap().early_stopping, Some(expected));
    }
    for (value, expected) in [
        ("dynamic", CacheImplementation::Dynamic),
        ("static", CacheImplementation::Static),
        ("hybrid", CacheImplementation::Static),
        ("offloaded", CacheImplementation::Offloaded),
        ("quantized", CacheImplementation::Quantized),
    ] {
        let config = read(json!({"cache_implementation": value})).unwrap();
        assert_eq!(config.cache_implementation, Some(expected));
    }
    assert_eq!(read(json!({"watermarking_config": {}})).unwrap().watermarking, Some(Watermarking::default()));
}

#[test]
fn wrong_types_are_errors() {
    for (value, part) in [
        (
            json!({"max_new_tokens": "5"}),
            "`max_new_tokens` must be an integer from 0 to 2147483647, found the string \"5\"",
        ),
        (json!({"max_new_tokens": 1e3}), "`max_new_tokens` must be an integer from 0 to 2147483647, found 1000.0"),
        (json!({"top_k": -1}), "`top_k` must be an integer"),
        (json!({"eos_token_id": [1, [2]]}), "`eos_token_id` must be a token id or a list of token ids"),
        (json!({"eos_token_id": 4_294_967_296u64}), "`eos_token_id` must be a token id"),
        (json!({"early_stopping": "always"}), "`early_stopping` must be true, false or \"never\""),
        (json!({"bad_words_ids": [5]}), "`bad_words_ids` must be a list of lists of token ids"),
        (json!({"sequence_bias": {"5": 1.0}}), "`sequence_bias` must be a list of [list of token ids, number]"),
        (json!({"sequence_bias": [[[1], 2, 3]]}), "`sequence_bias` must be"),
        (
            json!({"exponential_decay_length_penalty": [1]}),
            "`exponential_decay_length_penalty` must be a list of a start",
        ),
        (json!({"suppress_tokens": 5}), "`suppress_tokens` must be a list of token ids"),
        (json!({"stop_strings": [5]}), "`stop_strings` must be a string or a list of strings"),
        (json!({"do_sample": 1}), "`do_sample` must be true or false, found 1"),
        (json!({"cache_implementation": "paged"}), "`cache_implementation` is \"paged\", which is not supported"),
        (json!({"watermarking_config": {"seeding_scheme": "x"}}), "`watermarking_config.seeding_scheme` is \"x\""),
        (json!({"watermarking_config": {"hashing_key": -1}}), "`watermarking_config.hashing_key` must be"),
    ] {
        let error = read(value.clone()).unwrap_err().to_string();
        assert!(error.starts_with(part), "{value}: {error}");
    }
}

#[test]
fn out_of_range_values_are_errors() {
    for (value, message) in [
        (json!({"max_new_tokens": 0}), "max_new_tokens: must be at least 1, is 0"),
        (json!({"num_beams": 0}), "num_beams: must be at least 1, is 0"),
        (json!({"num_return_sequences": 0}), "num_return_sequences: must be at least 1, is 0"),
        (
            json!({"num_return_sequences": 2}),
            "num_return_sequences: greedy decoding gives one sequence per prompt, 2 were requested; set do_sample or num_beams",
        ),
        (json!({"num_return_sequences": 3, "num_beams": 2}), "num_return_sequences: 2 beams cannot give 3 sequences"),
        (json!({"repetition_penalty": 0}), "repetition_penalty: must be a positive number, is 0"),
        (json!({"max_time": -1}), "max_time: must be a non-negative number, is -1"),
        (json!({"bad_words_ids": [[]]}), "bad_words_ids: contains an empty token sequence"),
        (json!({"sequence_bias": [[[], 1.0]]}), "sequence_bias: contains an empty token sequence"),
        (json!({"stop_strings": [""]}), "stop_strings: contains an empty string"),
        (
            json!({"exponential_decay_length_penalty": [1, 0]}),
            "exponential_decay_length_penalty: must be a positive number, is 0",
        ),
        (
            json!({"watermarking_config": {"greenlist_ratio": 2}}),
            "watermarking_config.greenlist_ratio: must be from 0 to 1, is 2",
        ),
        (
            json!({"watermarking_config": {"context_width": 0}}),
            "watermarking_config.context_width: must be at least 1, is 0",
        ),
    ] {
        assert_eq!(read(value).unwrap_err().to_string(), message);
    }
    for (key, value, message) in [
        ("temperature", 0.0, "must be a positive number, is 0"),
        ("temperature", -1.0, "must be a positive number, is -1"),
        ("top_p", 1.5, "must be from 0 to 1, is 1.5"),
        ("min_p", -0.1, "must be from 0 to 1, is -0.1"),
        ("top_h", 0.0, "must be above 0 and at most 1, is 0"),
        ("typical_p", 0.0, "must be above 0 and at most 1, is 0"),
        ("epsilon_cutoff", -1.0, "must be from 0 to 1, is -1"),
        ("eta_cutoff", 1.1, "must be from 0 to 1, is 1.1"),
    ] {
        let error = read(json!({"do_sample": true, key: value})).unwrap_err().to_string();
        assert_eq!(error, format!("{key}: {message}"));
        // Greedy decoding does not use it.
        read(json!({"do_sample": false, key: value})).unwrap();
    }
    read(json!({"do_sample": true, "num_return_sequences": 5})).unwrap();
    read(json!({"num_beams": 3, "num_return_sequences": 3})).unwrap();
    let infinite = GenerationConfig { length_penalty: Some(f64::INFINITY), ..GenerationConfig::default() };
    assert!(infinite.validate().is_err());
}

#[test]
fn unset_parameters_fall_back() {
    // Every parameter falls back, and none falls back when it is set.
    assert_eq!(GenerationConfig::default().or(full_config()), full_config());
    assert_eq!(full_config().or(GenerationConfig::defaults()), full_config());
    let call = GenerationConfig { max_new_tokens: Some(5), eos_token_ids: vec![9], ..GenerationConfig::default() };
    let merged = call.or(Preset::Smol256M.generation()).or(GenerationConfig::defaults());
    assert_eq!((merged.max_new_tokens, merged.eos_token_ids), (Some(5), vec![9]));
    assert_eq!((merged.pad_token_id, merged.top_k, merged.do_sample), (Some(2), Some(50), Some(false)));
    GenerationConfig::defaults().validate().unwrap();
}

#[test]
fn json_round_trips() {
    for config in
        [full_config(), GenerationConfig::default(), GenerationConfig::defaults(), Preset::Smol256M.generation()]
    {
        assert_eq!(GenerationConfig::from_json(&config.to_json()).unwrap(), config);
    }
    let value: Value = serde_json::from_str(&full_config().to_json()).unwrap();
    assert_eq!(value, full_as_floats());
    assert_eq!(serde_json::from_str::<Value>(&GenerationConfig::default().to_json()).unwrap(), json!({}));
}

/// [`full`] with every real number written as one.
fn full_as_floats() -> Value {
    let mut value = full();
    value["watermarking_config"]["bias"] = json!(1.0);
    value
}

#[test]
fn files() {
    let dir = tempfile::tempdir().unwrap();
    let model = Preset::Smol256M.model();
    let path = dir.path().join("generation_config.json");
    assert_eq!(GenerationConfig::from_directory(dir.path(), &model).unwrap(), model.generation);
    assert_eq!((&model.generation.eos_token_ids[..], model.generation.pad_token_id), (&[2][..], Some(2)));
    std::fs::write(&path, r#"{"eos_token_id": 49279, "pad_token_id": 2, "bos_token_id": 0}"#).unwrap();
    let config = GenerationConfig::from_directory(dir.path(), &model).unwrap();
    assert_eq!(config, Preset::Smol256M.generation());
    // The file replaces the parameters of config.json; they are not merged.
    assert_eq!(config.use_cache, None);
    std::fs::write(&path, r#"{"top_k": "x"}"#).unwrap();
    let error = GenerationConfig::from_directory(dir.path(), &model).unwrap_err().to_string();
    assert!(error.contains("generation_config.json: `top_k` must be"), "{error}");
}
