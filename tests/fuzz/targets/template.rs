//! Chat templates: compiling and rendering stay within their limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use smolvlm_processor::{ChatTemplate, Conversation, Message, RenderOptions, SpecialTokens};

fuzz_target!(|source: &str| {
    let Ok(template) = ChatTemplate::new(source, 20_000) else { return };
    let conversation = Conversation::new([
        Message::system().text("You are brief."),
        Message::user().text("What is two and two?"),
        Message::assistant().text("Four."),
    ]);
    for options in [RenderOptions::answer(), RenderOptions::continue_final(), RenderOptions::plain()] {
        let _ = template.render(&conversation, &SpecialTokens::released(), &options);
    }
});
