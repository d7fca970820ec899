//! `tokenizer.json` files: loading, and encoding with the result.

#![no_main]

use libfuzzer_sys::fuzz_target;
use smolvlm_processor::tokenizer_from_json;

fuzz_target!(|text: &str| {
    if let Ok(tokenizer) = tokenizer_from_json(text) {
        let _ = tokenizer.encode("Two words, <image>.", false);
    }
});
