//! Conversations in JSON, with their media URLs, under the policy for untrusted input.

#![no_main]

use libfuzzer_sys::fuzz_target;
use smolvlm_processor::{Conversation, MediaPolicy};

fuzz_target!(|text: &str| {
    let _ = Conversation::many_from_json(text);
    if let Ok(conversation) = Conversation::from_json(text) {
        let _ = MediaPolicy::default().check(&conversation);
        let _ = MediaPolicy::untrusted().check(&conversation);
    }
});
