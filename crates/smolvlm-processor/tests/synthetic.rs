//! Tests of the layout of the synthetic tokenizer.

mod common;

use std::collections::HashSet;

use smolvlm_processor::{
    Conversation, Error, Message, Processor, RELEASED_CHAT_TEMPLATE, RenderOptions, synthetic_tokenizer,
};

#[test]
fn released_vocabulary_size_has_the_released_ids() {
    let tokenizer = synthetic_tokenizer(49_280).unwrap();
    let ids = [
        ("<|endoftext|>", 0),
        ("<|im_start|>", 1),
        ("<|im_end|>", 2),
        ("<global-img>", 49_152),
        ("<row_1_col_1>", 49_153),
        ("<row_2_col_1>", 49_159),
        ("<row_6_col_6>", 49_188),
        ("<fake_token_around_image>", 49_189),
        ("<image>", 49_190),
        ("<|reserved_special_token_0|>", 49_191),
        ("<|reserved_special_token_87|>", 49_278),
        ("<end_of_utterance>", 49_279),
    ];
    for (token, id) in ids {
        assert_eq!(tokenizer.token_to_id(token), Some(id), "{token}");
        assert_eq!(tokenizer.encode_fast(token, false).unwrap().get_ids(), [id]);
    }
    assert_eq!(tokenizer.token_to_id("<row_7_col_1>"), None);
}

#[test]
fn all_sizes_have_dense_ids() {
    for size in [299, 300, 386, 387, 388, 552, 600, 49_155, 60_000] {
        let tokenizer = synthetic_tokenizer(size).unwrap();
        assert_eq!(tokenizer.get_vocab_size(true), size);
        let texts: HashSet<String> = (0..size as u32).filter_map(|id| tokenizer.id_to_token(id)).collect();
        assert_eq!(texts.len(), size, "ids are dense and tokens distinct");
        assert_eq!(tokenizer.token_to_id("<end_of_utterance>"), Some(size as u32 - 1));
        if size >= 387 {
            assert_eq!(tokenizer.token_to_id("<image>"), Some(size as u32 - 90));
        }
    }
    for size in [0, 298, usize::MAX] {
        assert!(matches!(synthetic_tokenizer(size), Err(Error::Tokenizer { .. })));
    }
}

#[test]
fn text_round_trips_and_words_decode_to_ascii() {
    let processor = Processor::new(common::config(), synthetic_tokenizer(49_280).unwrap(), None).unwrap();
    for text in ["Hello, world! 42\n\n", "日本語 naïve 🙂", "\t\u{0}\u{7f} \u{a0}", "a  b", ""] {
        let ids = processor.encode(text).unwrap();
        assert_eq!(ids.len(), text.len(), "one token per byte");
        assert_eq!(processor.decode(&ids, false).unwrap(), text);
    }
    for id in 259..49_152 {
        let word = processor.decode(&[id], true).unwrap();
        assert!(
            word.strip_prefix(' ').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_lowercase())),
            "{word:?}"
        );
    }
}

#[test]
fn saved_tokenizer_can_be_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let tokenizer = synthetic_tokenizer(49_280).unwrap();
    let made = Processor::new(common::config(), tokenizer, Some(RELEASED_CHAT_TEMPLATE.to_owned())).unwrap();
    made.save_tokenizer(dir.path()).unwrap();
    std::fs::write(dir.path().join("processor_config.json"), common::config().to_json()).unwrap();
    let read = Processor::from_directory(dir.path()).unwrap();
    assert_eq!((read.image_token_id(), read.vocab_size()), (49_190, 49_280));
    assert_eq!((read.bos_token_id(), read.pad_token_id(), read.eos_token_id()), (Some(1), Some(2), Some(49_279)));
    assert_eq!(read.special_tokens(), made.special_tokens());
    let text = read.render(&Conversation::from(Message::user().text("x")), &RenderOptions::answer()).unwrap();
    assert_eq!(text, "<|im_start|>User: x<end_of_utterance>\nAssistant:");
    assert_eq!(read.encode(&text).unwrap(), made.encode(&text).unwrap());
    let gone = dir.path().join("no such folder");
    assert!(matches!(made.save_tokenizer(&gone), Err(Error::Io { .. })));
}
