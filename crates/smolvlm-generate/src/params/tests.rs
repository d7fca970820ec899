//! Tests of reading parameters from checkpoints and of precedence.

use super::*;
use smolvlm_config::Preset;

#[test]
fn checkpoint_sets_end_tokens_and_length() {
    let mut config = Preset::Smol256M.generation();
    assert_eq!(config.max_new_tokens, None);
    let params = SamplingParams::from_config(&config);
    assert_eq!(params.eos_token_ids, [49279]);
    assert_eq!(params.limit(1000), Ok(20));
    assert!(params.skip_special_tokens);

    config.max_new_tokens = Some(7);
    config.eos_token_ids = vec![2, 49279];
    let params = SamplingParams::from_config(&config);
    assert_eq!((params.limit(1000), params.eos_token_ids), (Ok(7), vec![2, 49279]));
}

#[test]
fn all_parameters_of_a_file_are_used() {
    let config = GenerationConfig::from_json(
        r#"{"eos_token_id": [2, 3], "pad_token_id": 4, "max_new_tokens": 5, "min_length": 6, "max_time": 1.5,
            "stop_strings": ["x"], "do_sample": true, "num_beams": 3, "early_stopping": "never",
            "length_penalty": 0.5, "num_return_sequences": 2, "temperature": 0.7, "top_k": 8, "top_p": 0.9,
            "min_p": 0.1, "top_h": 0.4, "typical_p": 0.8, "epsilon_cutoff": 0.01, "eta_cutoff": 0.02,
            "repetition_penalty": 1.1, "no_repeat_ngram_size": 9, "bad_words_ids": [[10, 11]],
            "sequence_bias": [[[12], 0.25]], "forced_bos_token_id": 13, "forced_eos_token_id": [14],
            "remove_invalid_values": true, "exponential_decay_length_penalty": [15, 1.25],
            "suppress_tokens": [16], "begin_suppress_tokens": [17], "renormalize_logits": true,
            "prefill_chunk_size": 18}"#,
    )
    .unwrap();
    let expected = SamplingParams::sampling()
        .eos_token_ids([2, 3])
        .max_new_tokens(5)
        .min_length(6)
        .max_time(Duration::from_millis(1500))
        .stop_strings(["x"])
        .num_beams(3)
        .early_stopping(EarlyStopping::WhenImpossible)
        .length_penalty(0.5)
        .num_return_sequences(2)
        .temperature(0.7)
        .top_k(8)
        .top_p(0.9)
        .min_p(0.1)
        .top_h(0.4)
        .typical_p(0.8)
        .epsilon_cutoff(0.01)
        .eta_cutoff(0.02)
        .repetition_penalty(1.1)
        .no_repeat_ngram_size(9)
        .bad_words_ids([vec![10, 11]])
        .sequence_bias([SequenceBias { tokens: vec![12], bias: 0.25 }])
        .forced_bos_token_id(13)
        .forced_eos_token_ids([14])
        .remove_invalid_values(true)
        .exponential_decay(ExponentialDecay { start: 15, factor: 1.25 })
        .suppress_tokens([16])
        .begin_suppress_tokens([17])
        .renormalize_logits(true)
        .prefill_chunk(18);
    assert_eq!(SamplingParams::from_config(&config), expected);
    assert_eq!(expected.validate(), Ok(()));
}

#[test]
fn empty_file_gives_the_defaults() {
    assert_eq!(SamplingParams::from_config(&GenerationConfig::default()), SamplingParams::greedy());
}

#[test]
fn max_new_tokens_takes_precedence_over_max_length() {
    let mut config = GenerationConfig { max_length: Some(100), min_length: Some(50), ..GenerationConfig::default() };
    let params = SamplingParams::from_config(&config);
    assert_eq!((params.limit(90), params.min_length), (Ok(10), 50));
    assert_eq!(params.limit(100), Err(Error::MaxLength { prompt_len: 100, max_length: 100 }));
    assert_eq!(params.clone().max_new_tokens(30).limit(90), Ok(30));

    config.max_new_tokens = Some(30);
    config.min_new_tokens = Some(0);
    let params = SamplingParams::from_config(&config);
    assert_eq!((params.limit(100), params.min_length), (Ok(30), 0));
}

#[test]
fn parameters_keep_their_decimal_value() {
    assert_eq!([0.9, 0.1, 1.0, -2.5e-8].map(to_f64_decimal), [0.9, 0.1, 1.0, -2.5e-8]);
    assert_ne!(f64::from(0.9_f32), 0.9);
    assert_eq!(to_f64_decimal(f32::INFINITY), f64::INFINITY);
}

#[test]
fn end_tokens_of_the_caller_take_precedence() {
    let config = Preset::Smol256M.generation();
    assert_eq!(SamplingParams::greedy().or_eos_of(&config).eos_token_ids, [49279]);
    assert_eq!(SamplingParams::greedy().eos_token_ids([5]).or_eos_of(&config).eos_token_ids, [5]);
}

#[test]
fn parameters_survive_serialization() {
    let params = SamplingParams::sampling().seed(7).max_time(Duration::from_millis(1500)).stop_strings(["x"]);
    let text = serde_json::to_string(&params).unwrap();
    assert!(text.contains(r#""max_time":1.5"#), "{text}");
    assert_eq!(serde_json::from_str::<SamplingParams>(&text).unwrap(), params);
    let params = SamplingParams::greedy().constraint(Constraint::choices(["yes", "no"]));
    let text = serde_json::to_string(&params).unwrap();
    assert!(text.contains(r#""constraint":{"choices":["yes","no"]}"#), "{text}");
    assert_eq!(serde_json::from_str::<SamplingParams>(&text).unwrap(), params);
    // Missing fields have their defaults, unknown ones are errors.
    assert_eq!(serde_json::from_str::<SamplingParams>("{}").unwrap(), SamplingParams::greedy());
    assert!(serde_json::from_str::<SamplingParams>(r#"{"temprature": 1}"#).is_err());
    assert!(serde_json::from_str::<SamplingParams>(r#"{"max_time": -1}"#).is_err());
}
