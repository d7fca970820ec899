//! The tokenizer of the demo model: byte-level BPE trained on the synthetic questions and answers.

use smolvlm_synth::vocabulary_corpus;
use std::error::Error;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, Tokenizer, TokenizerBuilder};

/// Vocabulary size.
const SIZE: usize = 640;
/// Number of samples in the corpus.
const SAMPLES: u64 = 5000;
/// Maximum number of rows and columns of tiles.
const POSITIONS: u32 = 4;

/// Trains the tokenizer. Deterministic.
pub fn train() -> Result<Tokenizer, Box<dyn Error + Send + Sync>> {
    let low = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(str::to_owned);
    let tiles = (1..=POSITIONS).flat_map(|row| (1..=POSITIONS).map(move |column| format!("<row_{row}_col_{column}>")));
    let images = ["<global-img>", "<fake_token_around_image>", "<image>", "<end_of_utterance>"].map(str::to_owned);
    let special = low.into_iter().chain(tiles).chain(images);
    let special: Vec<AddedToken> = special.map(|token| AddedToken::from(token, true).normalized(false)).collect();
    let mut trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(SIZE)
        .special_tokens(special.clone())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let words = PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, true, true));
    let pre_tokenizer = Sequence::new(vec![PreTokenizerWrapper::Digits(Digits::new(true)), words]);
    let mut tokenizer = TokenizerBuilder::default()
        .with_model(BPE::default())
        .with_normalizer(None::<tokenizers::NormalizerWrapper>)
        .with_pre_tokenizer(Some(PreTokenizerWrapper::Sequence(pre_tokenizer)))
        .with_post_processor(None::<tokenizers::PostProcessorWrapper>)
        .with_decoder(Some(tokenizers::DecoderWrapper::ByteLevel(ByteLevel::default())))
        .build()?;
    // As in a conversation: a space before each answer, a time stamp before each frame.
    let frames = "You are provided the following series of four five six seven eight frames from a 0:00:04 [H:MM:SS] video.\n\
                  \nFrame from 00:01:\n\nAssistant: User: User:";
    let corpus = vocabulary_corpus(SAMPLES).map(|text| format!(" {text}"));
    let corpus = corpus.chain(std::iter::repeat_n(frames.to_owned(), SAMPLES as usize / 10));
    tokenizer.train(&mut trainer, corpus)?;
    let mut tokenizer = Tokenizer::from(tokenizer);
    tokenizer.add_special_tokens(special)?;
    Ok(tokenizer)
}
