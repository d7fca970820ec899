//! A synthetic tokenizer with the released layout, for randomly initialized models.

use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

use crate::byte_level::pre_tokenizer;
use crate::error::Error;
use crate::token_bytes::byte_char;

/// Tokens with ids 0, 1 and 2.
const FIRST_TOKENS: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/// Number of rows and columns that have tile position tokens.
const MAX_GRID: u32 = 6;

/// Number of `<|reserved_special_token_N|>` entries in the released vocabulary.
const RESERVED_TOKENS: usize = 88;

/// Maximum vocabulary size; the released vocabulary has 49280 entries.
const MAX_VOCAB: usize = 1 << 20;

/// Builds a byte-level tokenizer with exactly `vocab_size` entries. **For random weights only**: its words are
/// meaningless.
///
/// Ids 0 to 2 are `<|endoftext|>`, `<|im_start|>` and `<|im_end|>`, ids 3 to 258 the bytes 0 to 255, the last 128 the
/// image tokens, the reserved tokens and `<end_of_utterance>`; with 49280 entries all special tokens have their
/// released ids (`<global-img>` 49152, `<image>` 49190, `<end_of_utterance>` 49279). The ids in between are made-up
/// words with a leading space, which decode to text but are never the result of encoding. With fewer than 387 entries,
/// reserved tokens are omitted; otherwise `<image>` is entry `vocab_size - 90`. `token_to_id` gives the id in all
/// cases.
///
/// # Errors
/// [`Error::Tokenizer`] for sizes outside 299 ..= 1048576.
pub fn synthetic_tokenizer(vocab_size: usize) -> Result<Tokenizer, Error> {
    let required = FIRST_TOKENS.len() + 256 + image_tokens().len() + 1;
    if !(required..=MAX_VOCAB).contains(&vocab_size) {
        let message = format!("a synthetic vocabulary has {required} to {MAX_VOCAB} entries, not {vocab_size}");
        return Err(Error::Tokenizer { message });
    }
    let mut tail = image_tokens();
    let reserved = RESERVED_TOKENS.min(vocab_size - required);
    tail.extend((0..reserved).map(|index| format!("<|reserved_special_token_{index}|>")));
    tail.push("<end_of_utterance>".to_owned());

    let words = vocab_size - FIRST_TOKENS.len() - 256 - tail.len();
    let first = FIRST_TOKENS.into_iter().map(str::to_owned);
    let entries = first.chain((0..=255).map(byte_char).map(String::from)).chain((0..words).map(word));
    let vocab = entries.zip(0_u32..).collect::<tokenizers::models::bpe::Vocab>();
    let model = BPE::builder().vocab_and_merges(vocab, Vec::new()).build().map_err(Error::tokenizer)?;

    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer()));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    let special = FIRST_TOKENS.into_iter().map(str::to_owned).chain(tail);
    let special = special.map(|token| AddedToken::from(token, true).normalized(false));
    tokenizer.add_special_tokens(special).map_err(Error::tokenizer)?;
    Ok(tokenizer)
}

fn image_tokens() -> Vec<String> {
    let mut tokens = vec!["<global-img>".to_owned()];
    for row in 1..=MAX_GRID {
        tokens.extend((1..=MAX_GRID).map(|col| format!("<row_{row}_col_{col}>")));
    }
    tokens.extend(["<fake_token_around_image>".to_owned(), "<image>".to_owned()]);
    tokens
}

/// A made-up word with a leading space: two syllables, or three from index 10000 on.
fn word(index: usize) -> String {
    const CONSONANTS: &[u8; 20] = b"bcdfghjklmnpqrstvwxz";
    const VOWELS: &[u8; 5] = b"aeiou";
    let mut word = String::from("\u{120}");
    let count = if index < 10_000 { 2 } else { 3 };
    for digit in (0..count).rev() {
        let syllable = index / 100_usize.pow(digit) % 100;
        word.push(char::from(CONSONANTS[syllable / VOWELS.len()]));
        word.push(char::from(VOWELS[syllable % VOWELS.len()]));
    }
    word
}
