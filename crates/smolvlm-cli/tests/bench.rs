//! `bench`, end to end.

mod support;

use serde_json::Value;
use support::Workspace;

const STAGES: [&str; 16] = [
    "decode1_tokens_s",
    "decode64_tokens_s",
    "decode8_tokens_s",
    "first_token_s",
    "image_s",
    "load_s",
    "photos64_s",
    "prefill1200_s",
    "prefill900_s",
    "prefill94_s",
    "tile_s",
    "tiles13_s",
    "tiles17_s",
    "tiles4_s",
    "tiles64_s",
    "total_s",
];

/// Stages that `--quick` skips.
const SLOW: [&str; 7] =
    ["decode64_tokens_s", "photos64_s", "prefill1200_s", "prefill900_s", "tiles13_s", "tiles17_s", "tiles64_s"];

const NOT_SHARED: [&str; 3] = ["image_s", "load_s", "photos64_s"];

fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn quick_json_has_all_keys() {
    let line = Workspace::empty().succeeds(&["bench", "--random", "tiny", "--quick", "--json", "--threads", "2"]);
    let report: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((report["model"].as_str(), report["device"].as_str()), (Some("random tiny"), Some("flex")));
    // The result of `auto` depends on the CPU.
    assert!(matches!(report["dtype"].as_str(), Some("f32" | "bf16")), "{report}");
    assert_eq!((report["threads"].as_u64(), report["runs"].as_u64()), (Some(2), Some(1)));
    assert_eq!(keys(&report["stages"]), STAGES);
    assert_eq!(keys(&report["share"]), STAGES.into_iter().filter(|key| !NOT_SHARED.contains(key)).collect::<Vec<_>>());
    for part in ["stages", "share"] {
        for (key, value) in report[part].as_object().unwrap() {
            let measured = value.as_f64().is_some_and(|value| value > 0.0);
            assert!(if SLOW.contains(&key.as_str()) { value.is_null() } else { measured }, "{part} {key}: {value}");
        }
    }
    assert!(report["stages"]["total_s"].as_f64() > report["stages"]["first_token_s"].as_f64());
    assert_eq!(keys(&report["peak_rates"]), ["dot_bf16_gflops", "dot_int8_gops", "fma_f32_gflops", "read_gbytes_s"]);
    assert!(report["peak_rates"]["read_gbytes_s"].as_f64().unwrap() > 0.0);
    assert_eq!(report["peak_mib"].as_f64().is_some_and(|peak| peak > 1.0), cfg!(target_os = "linux"));
}

#[test]
fn the_table_lists_all_stages_with_a_short_context() {
    let workspace = Workspace::with_checkpoint();
    let config = workspace.path("checkpoint/config.json");
    let mut json: Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
    json["text_config"]["max_position_embeddings"] = 100.into();
    std::fs::write(&config, json.to_string()).unwrap();
    let table = workspace.succeeds(&["bench", "--model", "checkpoint", "--quick", "--dtype", "bf16"]);
    assert!(table.starts_with("checkpoint, bf16, flex, "), "{table}");
    for (stage, is_measured) in [
        ("load", true),
        ("1024x768 JPEG", true),
        ("vision, one tile", true),
        ("prefill, 94 tokens", true),
        ("prefill, 900 tokens", false),
        ("decoding, 1 row", false),
        ("decoding, 8 rows", false),
        ("question to first token", false),
        ("question to 64th token", false),
    ] {
        let line = table.lines().find(|line| line.starts_with(stage)).unwrap_or_else(|| panic!("{stage}: {table}"));
        assert_eq!(!line.ends_with('-'), is_measured, "{line}");
    }
    assert!(table.lines().last().unwrap().contains("GB/s"), "{table}");
}

#[test]
fn an_unknown_dtype_is_a_one_line_error() {
    let output = Workspace::empty().run(&["bench", "--random", "tiny", "--dtype", "f12"]);
    assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error:")).collect();
    assert!(matches!(errors[..], [line] if line.contains("f12") && line.contains("bf16")), "{stderr}");
}
