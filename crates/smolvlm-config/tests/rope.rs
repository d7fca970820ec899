//! Tests of the rotary position embedding's parameters and frequencies.

mod support;

use serde_json::json;
use smolvlm_config::RopeParameters;
use support::text;

#[test]
fn rope_key_notations_are_parsed() {
    let default = |theta| RopeParameters::Default { theta };
    let linear = |theta, factor| RopeParameters::Linear { theta, factor };
    let llama3 = |original_max_position_embeddings| RopeParameters::Llama3 {
        theta: 5e5,
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings,
    };
    let scaled = json!({"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4.0});
    for (keys, expected) in [
        (json!({}), default(10_000.0)),
        (json!({"rope_theta": 100_000}), default(100_000.0)),
        (json!({"rope_scaling": null, "rope_theta": 11}), default(11.0)),
        (json!({"rope_scaling": {}, "rope_parameters": {"rope_theta": 7.0}}), default(7.0)),
        (json!({"rope_parameters": null}), default(10_000.0)),
        (json!({"rope_parameters": {"rope_theta": 7.0}, "rope_theta": 9}), default(7.0)),
        (json!({"rope_parameters": {"rope_type": "default"}, "rope_theta": 9}), default(9.0)),
        (json!({"rope_scaling": {"rope_theta": 3.0}, "rope_parameters": {"rope_theta": 7.0}}), default(3.0)),
        (json!({"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": 5}), linear(5.0, 2.0)),
        (json!({"rope_parameters": {"type": "linear", "factor": 2}}), linear(10_000.0, 2.0)),
        (json!({"rope_scaling": scaled, "rope_theta": 5e5}), llama3(2048)),
        (json!({"rope_scaling": scaled, "rope_theta": 5e5, "max_position_embeddings": 99}), llama3(99)),
        (json!({"partial_rotary_factor": 0.5}), default(10_000.0)),
    ] {
        assert_eq!(text(keys.clone()).unwrap().rope, expected, "{keys}");
    }
    for kind in ["dynamic", "yarn", "longrope", "proportional", "other"] {
        let error = text(json!({"rope_scaling": {"type": kind, "factor": 2.0}})).unwrap_err();
        let expected = format!(
            "`text_config.rope_scaling.type` is {kind:?}, which is not supported; supported: default, linear, llama3"
        );
        assert_eq!(error.to_string(), expected);
    }
    for (keys, part) in [
        (json!({"rope_theta": "a"}), "`text_config.rope_theta` must be a number"),
        (json!({"rope_theta": null}), "`text_config.rope_theta` must be a number, found null"),
        (json!({"rope_parameters": {"rope_type": "linear"}}), "text_config.rope_parameters.factor: is missing"),
        (json!({"rope_scaling": {"type": "linear", "factor": 0}}), "factor: must be a positive number, is 0"),
        (json!({"rope_theta": -1}), "rope_theta: must be a positive number, is -1"),
        (json!({"rope_scaling": [1]}), "`text_config.rope_scaling` must be a JSON object, found a list of 1"),
        (
            json!({"rope_scaling": {"type": "linear", "factor": 2.0}, "partial_rotary_factor": 0.5}),
            "text_config.partial_rotary_factor: must be 1",
        ),
    ] {
        let error = text(keys.clone()).unwrap_err().to_string();
        assert!(error.contains(part), "{keys}: {error}");
    }
}

#[test]
fn rope_frequencies_match_the_reference() {
    let bits =
        |rope: RopeParameters| -> Vec<u32> { rope.inverse_frequencies(64).into_iter().map(f32::to_bits).collect() };
    // LlamaRotaryEmbedding.inv_freq of transformers 5.24.0 with torch 2.15.0, head_dim 64.
    #[rustfmt::skip]
    let plain = [
        0x3f800000, 0x3f32a506, 0x3ef953cf, 0x3eadfcff, 0x3e72d423, 0x3e297409, 0x3dec7fd6, 0x3da50956,
        0x3d6655c2, 0x3d20bc1d, 0x3ce054d2, 0x3c9c8b97, 0x3c5a7bf2, 0x3c187705, 0x3bd4ca15, 0x3b947dae,
        0x3b4f3e38, 0x3b109edb, 0x3ac9d75c, 0x3a8cd9db, 0x3a44948c, 0x3a092e02, 0x39bf74d7, 0x39859aa9,
        0x393a7753, 0x39021f2b, 0x38b59b1b, 0x387d75d4, 0x3830df52, 0x37f6da96, 0x37ac431d, 0x37706b6d,
    ];
    assert_eq!(bits(RopeParameters::Default { theta: 1e5 }), plain);
    #[rustfmt::skip]
    let llama3 = [
        0x3f800000, 0x3f32a506, 0x3ef953cf, 0x3eadfcff, 0x3e72d423, 0x3e297409, 0x3dec7fd6, 0x3da50956,
        0x3d6655c2, 0x3d20bc1d, 0x3ce054d2, 0x3c38510a, 0x3adee7c6, 0x39987705, 0x3954ca15, 0x39147dae,
        0x38cf3e38, 0x38909edb, 0x3849d75c, 0x380cd9db, 0x37c4948c, 0x37892e02, 0x373f74d7, 0x37059aa9,
        0x36ba7753, 0x36821f2b, 0x36359b1b, 0x35fd75d4, 0x35b0df52, 0x3576da96, 0x352c431d, 0x34f06b6d,
    ];
    let scaled = RopeParameters::Llama3 {
        theta: 1e5,
        factor: 32.0,
        low_freq_factor: 1.5,
        high_freq_factor: 3.0,
        original_max_position_embeddings: 777,
    };
    assert_eq!(bits(scaled), llama3);
    let thirds = bits(RopeParameters::Linear { theta: 1e5, factor: 3.0 });
    assert_eq!((thirds[0], thirds[31]), (0x3eaaaaab, (f32::from_bits(plain[31]) / 3.0).to_bits()));
}
