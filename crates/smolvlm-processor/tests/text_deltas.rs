//! Tests that streamed text equals decoded text and never splits a character.

mod common;

use common::Random;
use smolvlm_processor::{Processor, Tokenizer, synthetic_tokenizer};

fn processor() -> Processor {
    Processor::new(common::config(), synthetic_tokenizer(600).unwrap(), None).unwrap()
}

/// The streamed pieces, one per push; the last is that of `finish`.
fn stream(processor: &Processor, ids: &[u32], skip: bool) -> Vec<String> {
    let mut deltas = processor.text_deltas(skip);
    let mut pieces: Vec<String> = ids.iter().map(|&id| deltas.push(id).unwrap().unwrap_or_default()).collect();
    pieces.push(deltas.finish().unwrap().unwrap_or_default());
    pieces
}

/// Token ids of bytes: the synthetic vocabulary has byte b at id b + 3.
fn byte_ids(bytes: &[u8]) -> Vec<u32> {
    bytes.iter().map(|&byte| u32::from(byte) + 3).collect()
}

#[test]
fn characters_are_never_split() {
    let processor = processor();
    for text in ["Hello, world!\n", "naïve café", "日本語のテキスト", "🙂👩‍👩‍👧 ok", "Привет, мир!", "\u{fffd}ok\u{fffd}"]
    {
        let pieces = stream(&processor, &byte_ids(text.as_bytes()), true);
        assert_eq!(pieces.concat(), text);
        if !text.contains(char::REPLACEMENT_CHARACTER) {
            assert!(pieces.iter().all(|piece| !piece.contains(char::REPLACEMENT_CHARACTER)), "{text}: {pieces:?}");
            // Every byte is one token, so each character is returned with its last byte and nothing is left for the
            // end.
            assert!(pieces.iter().all(|piece| piece.chars().count() <= 1) && pieces.last().unwrap().is_empty());
        }
    }
}

#[test]
fn ascii_is_never_held_back() {
    let processor = processor();
    let ids = byte_ids(&b"plain text ".repeat(50));
    assert!(stream(&processor, &ids, true)[..ids.len()].iter().all(|piece| piece.len() == 1));
}

#[test]
fn invalid_utf8_streams_as_in_decode() {
    let processor = processor();
    let cases: [&[u8]; 9] = [
        b"\xff",
        b"a\xffb",
        b"\xff\xff\xff\xff",
        b"\xe6\x97",
        b"\xe6\x97x",
        b"\xe6\xe6\xe6\x97\xa5",
        b"\xf0\x9f\x99",
        b"\xc0\x80\xf5",
        &[0x80; 200],
    ];
    for bytes in cases {
        let ids = byte_ids(bytes);
        assert_eq!(stream(&processor, &ids, true).concat(), processor.decode(&ids, true).unwrap(), "{bytes:x?}");
    }
    // Text is not held back indefinitely: all but the last of many stray bytes are returned before the end.
    let pieces = stream(&processor, &byte_ids(&[0x80; 200]), true);
    assert_eq!(pieces.last().map(String::as_str), Some("\u{fffd}"));
}

#[test]
fn random_streams_equal_decode() {
    let processor = processor();
    let mut random = Random(11);
    for round in 0..600 {
        let length = random.below(90);
        // A mix of invalid UTF-8, special tokens, words and ids beyond the vocabulary.
        let ids: Vec<u32> = (0..length)
            .map(|_| match random.below(10) {
                0..=4 => 3 + 0x80 + random.below(0x80) as u32,
                5 | 6 => 3 + random.below(256) as u32,
                7 => random.below(600) as u32,
                8 => [0, 1, 2, 510, 599][random.below(5)],
                _ => 600 + random.below(5) as u32,
            })
            .collect();
        for skip in [true, false] {
            let text = processor.decode(&ids, skip).unwrap();
            assert_eq!(stream(&processor, &ids, skip).concat(), text, "round {round}: {ids:?}");
        }
    }
}

#[test]
fn special_tokens_can_be_skipped() {
    let processor = processor();
    let eos = processor.eos_token_id().unwrap();
    let ids: Vec<u32> = byte_ids("日".as_bytes()[..2].as_ref())
        .into_iter()
        .chain([eos])
        .chain(byte_ids(&"日".as_bytes()[2..]))
        .collect();
    assert_eq!(stream(&processor, &ids, true).concat(), "日");
    assert_eq!(stream(&processor, &ids, false).concat(), "\u{fffd}<end_of_utterance>\u{fffd}");
}

#[test]
fn finished_stream_can_be_reused() {
    let processor = processor();
    let mut deltas = processor.text_deltas(true);
    for _ in 0..2 {
        assert_eq!(deltas.push(3 + 0xe6).unwrap(), None);
        assert_eq!(deltas.finish().unwrap().as_deref(), Some("\u{fffd}"));
        assert_eq!(deltas.finish().unwrap(), None);
    }
}

/// A tokenizer whose decoder depends on neighboring tokens: words are joined by spaces, the first has none.
#[test]
fn context_dependent_decoders_stream_correctly() {
    let json = r#"{"version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "added_tokens": [{"id": 3, "content": "<image>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true}],
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true},
        "model": {"type": "WordLevel", "vocab": {"<unk>": 0, "▁one": 1, "▁two": 2, "<image>": 3}, "unk_token": "<unk>"}}"#;
    let tokenizer = Tokenizer::from_bytes(json).unwrap();
    let processor = Processor::new(common::config(), tokenizer, None).unwrap();
    let ids = [1, 2, 1, 1, 3, 2].repeat(20);
    let text = processor.decode(&ids, true).unwrap();
    assert!(text.starts_with("one two one one two"), "{text}");
    assert_eq!(stream(&processor, &ids, true).concat(), text);
}
