//! DocTags: any text is read, written in every format, and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use smolvlm_doctags::Document;

fuzz_target!(|text: &str| {
    let document = Document::from_doctags(text);
    let _ = (document.to_markdown(), document.to_html(), document.to_docling_json("fuzz"));
    let _ = Document::from_doctags(&document.to_doctags());
});
