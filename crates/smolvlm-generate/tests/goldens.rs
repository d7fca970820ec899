//! Comparison of logits processors and beam search with reference values, see `tests/golden/README.md`.

use serde_json::{Map, Value};
use smolvlm_config::GenerationConfig;
use smolvlm_generate::{BeamSearch, BeamStep, LogitsProcessors, SamplingParams};
use std::path::Path;

/// Reads the shared values of a golden file and its cases.
fn read(file: &str) -> (Map<String, Value>, Vec<Value>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/processing").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let all: Map<String, Value> = serde_json::from_str(&text).unwrap();
    let (cases, shared): (Map<_, _>, Map<_, _>) = all.into_iter().partition(|(key, _)| key.starts_with("case "));
    assert!(!cases.is_empty(), "{file} holds no cases");
    (shared, cases.into_iter().map(|(_, case)| case).collect())
}

/// Parses f32 values; null is minus infinity.
fn floats(value: &Value) -> Vec<f32> {
    let float = |value: &Value| value.as_f64().map_or(f32::NEG_INFINITY, |value| value as f32);
    value.as_array().unwrap().iter().map(float).collect()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// The parameters of a case, parsed like a checkpoint's file.
fn params(parameters: &Value) -> SamplingParams {
    SamplingParams::from_config(&GenerationConfig::from_json(&parameters.to_string()).unwrap())
}

fn close(actual: f32, expected: f32) -> bool {
    actual == expected || (actual - expected).abs() <= 1e-6 + 1e-6 * expected.abs()
}

#[test]
fn processors_match_the_reference() {
    let (shared, cases) = read("logits_processors.json");
    for case in cases {
        let mut parameters = case["parameters"].clone();
        parameters["eos_token_id"] = shared["eos_token_id"].clone();
        parameters["do_sample"] = case["do_sample"].clone();
        let mut parameters = params(&parameters);
        if case["parameters"].get("top_k").is_none() {
            parameters = parameters.top_k(0);
        }
        for (index, row) in shared["rows"].as_array().unwrap().iter().enumerate() {
            let mut scores = floats(&row["scores"]);
            let prompt_len = row["prompt_len"].as_u64().unwrap() as usize;
            LogitsProcessors::new(&parameters).apply(&ids(&row["ids"]), prompt_len, &mut scores).unwrap();
            let expected = floats(&case["expected"][index]);
            assert_eq!(scores.len(), expected.len());
            for (token, (&actual, &expected)) in scores.iter().zip(&expected).enumerate() {
                let name = &case["name"];
                assert!(close(actual, expected), "{name}, row {index}, token {token}: {actual}, not {expected}");
            }
        }
    }
}

#[test]
fn beam_search_matches_the_reference() {
    let (shared, cases) = read("beam_search.json");
    let prompt = ids(&shared["prompt"]);
    let table = |name: &str| -> Vec<Vec<f32>> { shared[name].as_array().unwrap().iter().map(floats).collect() };
    let (by_token, by_length) = (table("by_token"), table("by_length"));
    let logits = |text: &[u32]| -> Vec<f32> {
        let (a, b) = (&by_token[*text.last().unwrap() as usize], &by_length[text.len() % by_length.len()]);
        a.iter().zip(b).map(|(a, b)| a + b).collect()
    };
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let mut search = BeamSearch::new(&params(&case["parameters"]), &prompt, by_token.len()).unwrap();
        let mut texts = vec![prompt.clone(); search.beams()];
        loop {
            let rows: Vec<f32> = texts.iter().flat_map(|text| logits(text)).collect();
            match search.advance(&rows, &mut |_| Ok(false)).unwrap() {
                BeamStep::Done => break,
                BeamStep::Continue { parents, tokens } => {
                    let grown = |(&parent, &token): (&usize, &u32)| [texts[parent].as_slice(), &[token]].concat();
                    texts = parents.iter().zip(&tokens).map(grown).collect();
                }
            }
        }
        let found = search.finish();
        let expected = case["texts"].as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.tokens, ids(&expected["tokens"]), "{name}");
            let score = expected["score"].as_f64().unwrap() as f32;
            assert!((found.score - score).abs() <= 1e-5 * score.abs().max(1.0), "{name}: {}, not {score}", found.score);
        }
    }
}
