//! Shared test helpers. Not every test uses all of them.
#![allow(dead_code)]

#[cfg(feature = "http")]
pub mod server;

use smolvlm_config::{ImageProcessorConfig, PixelConfig, Size};
use smolvlm_processor::{
    Processor, ProcessorConfig, ProcessorLimits, RELEASED_CHAT_TEMPLATE, SpecialTokens, Tokenizer, synthetic_tokenizer,
};

/// A PNG of 3 x 2 pixels (width x height).
pub const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAF0lEQVR42mP4z8DAAMGcHOyMTMwnUowAMRcEerKOvBYAAAAASUVORK5CYII=";

/// Image tokens per tile of [`config`].
pub const SEQ: usize = 4;

/// A configuration with tiles of 16 pixels and grids of at most 4 x 4.
pub fn config() -> ProcessorConfig {
    let pixels = PixelConfig { size: Size::LongestEdge(64), max_image_size: 16, ..PixelConfig::default() };
    let image = ImageProcessorConfig { pixels, ..ImageProcessorConfig::default() };
    ProcessorConfig { image_seq_len: SEQ, image, ..ProcessorConfig::default() }
}

pub fn tokenizer() -> Tokenizer {
    synthetic_tokenizer(600).unwrap()
}

pub fn processor() -> Processor {
    Processor::new(config(), tokenizer(), Some(RELEASED_CHAT_TEMPLATE.to_owned())).unwrap()
}

pub fn processor_with(limits: ProcessorLimits) -> Processor {
    let special = SpecialTokens::released();
    Processor::from_parts(config(), tokenizer(), special, Some(RELEASED_CHAT_TEMPLATE), limits).unwrap()
}

pub fn png() -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(PNG).unwrap()
}

/// A small pseudorandom number generator: xorshift64*.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Returns `text` with a few characters removed, duplicated, swapped or replaced by others of the text or of
/// `alphabet`.
pub fn mutated(text: &str, alphabet: &[char], random: &mut Random) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=random.below(4) {
        if chars.is_empty() {
            break;
        }
        let (at, other) = (random.below(chars.len()), random.below(chars.len()));
        match random.below(6) {
            0 => drop(chars.remove(at)),
            1 => chars.insert(at, chars[other]),
            2 => chars.swap(at, other),
            3 => chars[at] = alphabet[random.below(alphabet.len())],
            4 => drop(chars.drain(at.min(other)..at.max(other))),
            _ => {
                let piece = chars[at.min(other)..at.max(other)].to_vec();
                chars.splice(at..at, piece);
            }
        }
    }
    chars.into_iter().collect()
}
