//! The grammars of the golden checkpoints, which `tests/golden/check_grammar.py` tries with llguidance.

use serde_json::Value;
use smolvlm_doctags::grammar;
use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

fn crate_folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it").into()
}

/// The special tokens of a golden checkpoint.
fn special_tokens(checkpoint: &str) -> HashSet<String> {
    let path = crate_folder().join("../../tests/golden").join(checkpoint).join("model/tokenizer.json");
    let tokenizer: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let tokens = tokenizer["added_tokens"].as_array().unwrap();
    tokens.iter().map(|token| token["content"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn grammars_are_up_to_date() {
    for checkpoint in ["granite-docling", "smoldocling", "gqa-256m"] {
        let tokens = special_tokens(checkpoint);
        let text = grammar(|tag| tokens.contains(tag));
        let path = crate_folder().join("tests/golden").join(format!("{checkpoint}.lark"));
        if std::env::var_os("SMOLVLM_WRITE_GOLDENS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "{checkpoint}: set SMOLVLM_WRITE_GOLDENS to update");
    }
}

#[test]
fn locations_are_tokens_where_the_tokenizer_has_them() {
    let text = grammar(|tag| tag.starts_with('<'));
    assert!(text.contains("| <loc_500>\n") && !text.contains("LOCATION"));
    assert!(grammar(|_| false).contains("location: LOCATION\n"));
}

#[test]
fn items_whose_tags_are_not_tokens_are_not_named() {
    let without = |tag: &'static str| grammar(move |other| !other.contains(tag));
    let text = without("unordered_list");
    assert!(text.contains("(ordered_list)") && !text.contains("unordered_list"), "{text}");
    assert!(!without("ordered_list").contains("ordered_list"));
}
