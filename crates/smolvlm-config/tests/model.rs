//! Tests of `config.json`: key names, defaults, errors and serialization.

mod support;

use serde_json::{Value, json};
use smolvlm_config::{
    Error, FloatType, GenerationConfig, HiddenAct, ModelConfig, Preset, RopeParameters, VisionConfig,
};
use support::{read, small, text};

/// `config.json` of SmolVLM2-500M-Video-Instruct, with the key names of transformers 4.47.
const RELEASED: &str = include_str!("data/released-500m/config.json");

#[test]
fn released_file_is_parsed() {
    let config = ModelConfig::from_json(RELEASED).unwrap();
    assert_eq!((config.image_token_id, config.scale_factor), (49190, 4));
    assert_eq!((config.tie_word_embeddings, config.use_cache), (false, false));
    assert_eq!((config.pad_token_id, config.text.pad_token_id), (Some(128_002), Some(2)));
    // The bfloat16 of the text section is ignored.
    assert_eq!(config.dtype, Some(FloatType::F32));
    assert_eq!(
        config.vision,
        VisionConfig {
            hidden_size: 768,
            image_size: 512,
            num_attention_heads: 12,
            patch_size: 16,
            ..VisionConfig::default()
        }
    );
    assert_eq!((config.vision.grid(), config.vision.head_dim()), (32, 64));
    assert_eq!((config.vision.num_hidden_layers, config.vision.intermediate_size), (12, 3072));
    assert_eq!((config.vision.hidden_act, config.vision.layer_norm_eps), (HiddenAct::GeluTanh, 1e-6));
    assert_eq!((config.text.num_attention_heads, config.text.num_key_value_heads, config.text.head_dim), (15, 5, 64));
    assert_eq!((config.text.rms_norm_eps, config.text.hidden_act), (1e-5, HiddenAct::Silu));
    assert_eq!(config.text.rope, RopeParameters::Default { theta: 100_000.0 });
    assert_eq!(config.image_seq_len(), 64);
    assert_eq!(config.parameter_count(), 507_482_304);
    // The preset equals this model, with explicit activations.
    assert_eq!(Preset::Smol500M.model(), config);
}

#[test]
fn class_defaults() {
    // Only the default grid of 7 patches, which is not divisible by 2, is replaced.
    let sizes = json!({"vision_config": {"image_size": 256}, "image_token_id": 31_999});
    let config = ModelConfig::from_json(&sizes.to_string()).unwrap();
    let expected = ModelConfig {
        image_token_id: 31_999,
        vision: VisionConfig { image_size: 256, ..VisionConfig::default() },
        ..ModelConfig::default()
    };
    assert_eq!(config, expected);
    assert_eq!((config.scale_factor, config.use_cache, config.pad_token_id), (2, true, Some(128_002)));
    assert_eq!((config.text.num_key_value_heads, config.text.head_dim), (32, 128));
    assert_eq!((config.text.bos_token_id, &config.text.eos_token_ids[..]), (Some(1), &[2][..]));
    assert!(matches!(ModelConfig::from_json("{}"), Err(Error::Invalid { .. })));
}

#[test]
fn rms_norm_epsilon_depends_on_the_text_section() {
    let eps = |value: Value| ModelConfig::from_json(&value.to_string()).unwrap().text.rms_norm_eps;
    let base = json!({"vision_config": {"image_size": 256}, "image_token_id": 5});
    assert_eq!(eps(base.clone()), 1e-5);
    for (section, expected) in [(json!(null), 1e-5), (json!({}), 1e-6), (json!({"rms_norm_eps": 1e-5}), 1e-5)] {
        let mut value = base.clone();
        value["text_config"] = section;
        assert_eq!(eps(value), expected);
    }
}

#[test]
fn smolvlm_and_idefics3_are_accepted() {
    assert_eq!(read(json!({"model_type": "idefics3"})).unwrap(), read(json!({})).unwrap());
    let error = read(json!({"model_type": "llava"})).unwrap_err();
    assert_eq!(error.to_string(), r#"`model_type` is "llava", which is not supported; supported: smolvlm, idefics3"#);
    let error = text(json!({"model_type": "mistral"})).unwrap_err();
    assert!(error.to_string().starts_with(r#"`text_config.model_type` is "mistral""#), "{error}");
    // The type of the vision section is ignored.
    read(json!({"vision_config": {"model_type": "siglip_vision_model"}})).unwrap();
}

#[test]
fn float_types() {
    for (keys, expected) in [
        (json!({}), None),
        (json!({"torch_dtype": "bfloat16"}), Some(FloatType::Bf16)),
        (json!({"torch_dtype": "torch.float16"}), Some(FloatType::F16)),
        (json!({"dtype": "float32", "torch_dtype": "bfloat16"}), Some(FloatType::F32)),
        (json!({"dtype": null, "torch_dtype": "bfloat16"}), Some(FloatType::Bf16)),
        (json!({"text_config": {"torch_dtype": "bfloat16"}}), None),
    ] {
        assert_eq!(read(keys.clone()).unwrap().dtype, expected, "{keys}");
    }
    let error = read(json!({"torch_dtype": "float64"})).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert_eq!((FloatType::F32.bytes(), FloatType::Bf16.bytes()), (4, 2));
}

#[test]
fn activations() {
    for (name, expected) in [
        ("gelu_pytorch_tanh", HiddenAct::GeluTanh),
        ("gelu_new", HiddenAct::GeluTanh),
        ("gelu_fast", HiddenAct::GeluTanh),
        ("gelu", HiddenAct::Gelu),
        ("swish", HiddenAct::Silu),
        ("silu", HiddenAct::Silu),
        ("relu", HiddenAct::Relu),
    ] {
        assert_eq!(text(json!({"hidden_act": name})).unwrap().hidden_act, expected);
        assert_eq!(HiddenAct::from_name(expected.name(), "").unwrap(), expected);
    }
    let error = read(json!({"vision_config": {"hidden_act": "quick_gelu"}})).unwrap_err().to_string();
    assert!(error.starts_with(r#"`vision_config.hidden_act` is "quick_gelu", which is not supported"#), "{error}");
}

#[test]
fn wrong_json_types_are_errors() {
    let kinds = "must be an integer from 0 to 2147483647, found";
    for (keys, message) in [
        (json!({"text_config": {"hidden_size": "64"}}), format!("`text_config.hidden_size` {kinds} the string \"64\"")),
        (json!({"text_config": {"hidden_size": 64.0}}), format!("`text_config.hidden_size` {kinds} 64.0")),
        (json!({"text_config": {"hidden_size": null}}), format!("`text_config.hidden_size` {kinds} null")),
        (json!({"text_config": {"hidden_size": -1}}), format!("`text_config.hidden_size` {kinds} -1")),
        (
            json!({"vision_config": {"num_hidden_layers": true}}),
            format!("`vision_config.num_hidden_layers` {kinds} true"),
        ),
        (json!({"scale_factor": 4_294_967_296u64}), format!("`scale_factor` {kinds} 4294967296")),
        (json!({"scale_factor": [4]}), format!("`scale_factor` {kinds} a list of 1")),
        (json!({"tie_word_embeddings": 1}), "`tie_word_embeddings` must be true or false, found 1".to_owned()),
        (json!({"use_cache": null}), "`use_cache` must be true or false, found null".to_owned()),
        (json!({"text_config": 3}), "`text_config` must be a JSON object, found 3".to_owned()),
        (json!({"model_type": 3}), "`model_type` must be a string, found 3".to_owned()),
        (
            json!({"text_config": {"rms_norm_eps": "1e-5"}}),
            "`text_config.rms_norm_eps` must be a number, found the string \"1e-5\"".to_owned(),
        ),
    ] {
        let error = read(keys.clone()).unwrap_err();
        assert!(matches!(error, Error::Type { .. }), "{keys}: {error}");
        assert_eq!(error.to_string(), message);
    }
    for (document, message) in [
        ("[]", "`model configuration` must be a JSON object, found a list of 0"),
        ("{", "model configuration is not valid JSON: EOF while parsing an object at line 1 column 1"),
    ] {
        assert_eq!(ModelConfig::from_json(document).unwrap_err().to_string(), message);
    }
}

#[test]
fn null_is_accepted_where_the_reference_accepts_it() {
    let nulls = json!({"num_key_value_heads": null, "head_dim": null, "pad_token_id": null, "attention_dropout": null});
    assert_eq!(text(nulls).unwrap(), text(json!({})).unwrap());
    let config =
        read(json!({"pad_token_id": null, "text_config": {"eos_token_id": null, "bos_token_id": null}})).unwrap();
    assert_eq!((config.pad_token_id, config.text.bos_token_id), (None, None));
    assert!(config.text.eos_token_ids.is_empty());
    assert!(config.generation.eos_token_ids.is_empty());
}

#[test]
fn special_tokens() {
    let config =
        text(json!({"eos_token_id": [2, -1, 3], "pad_token_id": -1, "bos_token_id": 4_294_967_295u32})).unwrap();
    assert_eq!(config.eos_token_ids, [2, 3]);
    assert_eq!((config.pad_token_id, config.bos_token_id), (None, Some(u32::MAX)));
    assert_eq!(text(json!({"eos_token_id": 5})).unwrap().eos_token_ids, [5]);
    let error = text(json!({"eos_token_id": [2, "3"]})).unwrap_err().to_string();
    assert!(error.starts_with("`text_config.eos_token_id` must be a token id or a list of token ids"), "{error}");
    // The private name of transformers 5 takes precedence.
    assert_eq!(read(json!({"_pad_token_id": 5, "pad_token_id": 6})).unwrap().pad_token_id, Some(5));
}

#[test]
fn inconsistent_sizes_are_errors() {
    for (keys, message) in [
        (
            json!({"text_config": {"hidden_size": 18}}),
            "text_config.hidden_size: 18 is not a multiple of the 4 attention heads",
        ),
        (
            json!({"text_config": {"num_key_value_heads": 3}}),
            "text_config.num_key_value_heads: 3 does not divide the 4 attention heads",
        ),
        (
            json!({"text_config": {"head_dim": 5}}),
            "text_config.head_dim: 5 is odd; rotary embedding requires an even head dimension",
        ),
        (
            json!({"text_config": {"num_attention_heads": 0}}),
            "text_config.num_attention_heads: must be from 1 to 2147483647, is 0",
        ),
        (
            json!({"text_config": {"num_hidden_layers": 0}}),
            "text_config.num_hidden_layers: must be from 1 to 2147483647, is 0",
        ),
        (
            json!({"text_config": {"num_hidden_layers": 5000}}),
            "text_config.num_hidden_layers: must be at most 4096, is 5000",
        ),
        (json!({"text_config": {"head_dim": 1 << 20}}), "text_config.head_dim: must be at most 65536, is 1048576"),
        (
            json!({"text_config": {"rms_norm_eps": -1}}),
            "text_config.rms_norm_eps: must be a non-negative number, is -1",
        ),
        (
            json!({"vision_config": {"hidden_size": 13}}),
            "vision_config.hidden_size: 13 is not a multiple of the 3 attention heads",
        ),
        (json!({"vision_config": {"patch_size": 33}}), "vision_config.image_size: 32 is smaller than a patch of 33"),
        (json!({"vision_config": {"patch_size": 0}}), "vision_config.patch_size: must be from 1 to 2147483647, is 0"),
        (
            json!({"vision_config": {"image_size": 100_000}}),
            "vision_config.image_size: must be at most 16384, is 100000",
        ),
        (json!({"scale_factor": 3}), "scale_factor: 3 does not divide the 4 patches along a tile (32 / 8 pixels)"),
        (json!({"scale_factor": 0}), "scale_factor: must be from 1 to 2147483647, is 0"),
        (json!({"image_token_id": 8}), "image_token_id: 8 is outside the vocabulary of 8 tokens"),
    ] {
        let error = read(keys.clone()).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{keys}: {error}");
        assert_eq!(error.to_string(), message);
    }
    let huge = json!({"text_config": {"intermediate_size": i32::MAX, "num_hidden_layers": 4096}});
    let error = read(huge).unwrap_err().to_string();
    assert!(error.ends_with("parameters, at most 1099511627776 are possible"), "{error}");
}

#[test]
fn parameter_counts() {
    let config = read(json!({})).unwrap();
    let vision = 12 * 3 * 8 * 8 + 12 + 16 * 12 + 2 * (4 * 12 + 4 * 12 * 13 + 2 * 12 * 20 + 20 + 12) + 24;
    let text = 8 * 16 + (32 + 4 * 16 * 16 + 3 * 16 * 24) + 16;
    assert_eq!(config.parameter_count(), vision + 12 * 4 * 16 + text + 8 * 16);
    assert_eq!(config.image_seq_len(), 4);
    let tied = read(json!({"tie_word_embeddings": true})).unwrap();
    assert_eq!(tied.parameter_count(), config.parameter_count() - 8 * 16);
    // Only the top-level flag ties the weights.
    let inner = read(json!({"text_config": {"tie_word_embeddings": true}})).unwrap();
    assert_eq!(inner, config);
    let biased = read(json!({"text_config": {"attention_bias": true, "mlp_bias": true}})).unwrap();
    assert_eq!(biased.parameter_count(), config.parameter_count() + 4 * 16 + 2 * 24 + 16);
    let mut broken = config.clone();
    broken.vision.patch_size = 0;
    broken.scale_factor = usize::MAX;
    broken.text.hidden_size = usize::MAX;
    assert_eq!((broken.image_seq_len(), broken.parameter_count()), (0, usize::MAX));
    assert!(broken.validate().is_err());
}

#[test]
fn generation_parameters_in_config_json() {
    // The top level takes precedence over the text section, except for the padding id, which is a legacy key there.
    let config = read(json!({
        "eos_token_id": 7, "max_length": 55, "temperature": null, "pad_token_id": 3, "use_cache": false,
        "text_config": {"eos_token_id": 4, "pad_token_id": 2, "max_length": 10, "temperature": 0.5}
    }))
    .unwrap();
    let expected = GenerationConfig {
        eos_token_ids: vec![7],
        pad_token_id: Some(2),
        bos_token_id: Some(1),
        max_length: Some(55),
        temperature: Some(0.5),
        use_cache: Some(false),
        ..GenerationConfig::default()
    };
    assert_eq!(config.generation, expected);
}

#[test]
fn json_round_trips() {
    let scaled = json!({"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4.0});
    for keys in [
        json!({}),
        json!({"text_config": {"rope_scaling": scaled, "rms_norm_eps": 1.1e-5, "eos_token_id": [3, 4], "head_dim": 6}}),
        json!({"text_config": {"rope_scaling": {"type": "linear", "factor": 1.1}, "eos_token_id": null}}),
        json!({"dtype": "float16", "pad_token_id": null, "use_cache": false, "text_config": {"use_cache": false}}),
        json!({"eos_token_id": 5, "top_k": 3, "early_stopping": "never", "text_config": {"max_length": 9}}),
        json!({"tie_word_embeddings": true, "vision_config": {"hidden_act": "gelu", "layer_norm_eps": 0.1}}),
    ] {
        let config = read(keys.clone()).unwrap();
        assert_eq!(ModelConfig::from_json(&config.to_json()).unwrap(), config, "{keys}");
    }
    let value: Value = serde_json::from_str(&Preset::Smol500M.model().to_json()).unwrap();
    assert_eq!(value["dtype"], "float32");
    assert_eq!(value["_pad_token_id"], 128_002);
    assert_eq!(value["text_config"]["rope_parameters"], json!({"rope_type": "default", "rope_theta": 1e5}));
    assert_eq!(value["text_config"]["rms_norm_eps"], 1e-5);
}

#[test]
fn files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    let error = ModelConfig::from_directory(dir.path()).unwrap_err();
    assert!(matches!(&error, Error::Read { path: found, .. } if *found == path), "{error}");
    std::fs::write(&path, format!("\u{feff}{RELEASED}")).unwrap();
    assert_eq!(ModelConfig::from_directory(dir.path()).unwrap(), Preset::Smol500M.model());
    std::fs::write(&path, small(json!({"scale_factor": "4"})).to_string()).unwrap();
    let error = ModelConfig::from_directory(dir.path()).unwrap_err();
    assert!(matches!(&error, Error::InFile { path: found, .. } if *found == path), "{error}");
    assert!(error.to_string().contains("`scale_factor` must be"), "{error}");
    std::fs::write(&path, [b'{', 0xff, b'}']).unwrap();
    assert!(matches!(ModelConfig::from_directory(dir.path()), Err(Error::Read { .. })));
    // A sparse file, which is rejected by its size alone.
    std::fs::File::create(&path).unwrap().set_len(smolvlm_config::MAX_FILE_BYTES + 1).unwrap();
    assert!(matches!(ModelConfig::from_directory(dir.path()), Err(Error::TooLarge { .. })));
}
