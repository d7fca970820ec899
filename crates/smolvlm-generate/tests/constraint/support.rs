//! A small vocabulary, and generation with random logits.

use crate::random_schema::Lcg;
use smolvlm_generate::{Constraint, ConstraintCompiler, ConstraintState, Sampler, SamplingParams, Vocabulary};

/// Tokens of several bytes, after those of one byte each.
const PIECES: [&str; 30] = [
    "{\"",
    "\": ",
    "\", \"",
    "\": \"",
    "\"}",
    "}, ",
    "[]",
    "[{",
    "}]",
    "true",
    "false",
    "null",
    " a",
    "long",
    " text",
    "ab",
    "abc",
    "cc",
    "00",
    "10",
    "100",
    ", ",
    "-1",
    "\\u00",
    "\\\"",
    "é",
    "日",
    "本",
    " constant",
    "description",
];

pub const END: u32 = 256 + PIECES.len() as u32;
pub const IMAGE: u32 = END + 1;

pub fn vocabulary() -> Vocabulary {
    let mut vocabulary = Vocabulary::new(IMAGE as usize + 1);
    for byte in 0..=u8::MAX {
        vocabulary.set_text(u32::from(byte), [byte]);
    }
    for (token, piece) in (256..).zip(PIECES) {
        vocabulary.set_text(token, piece);
    }
    vocabulary.set_special(END, "<end>");
    vocabulary.set_special(IMAGE, "<image>");
    vocabulary.with_tokenizer(|text| Some(tokenize(text)))
}

pub fn compiler() -> ConstraintCompiler {
    ConstraintCompiler::new(vocabulary()).unwrap()
}

fn piece(token: u32) -> Vec<u8> {
    match token {
        0..256 => vec![token as u8],
        256..END => PIECES[token as usize - 256].as_bytes().to_vec(),
        _ => Vec::new(),
    }
}

/// The longest tokens from the left.
fn tokenize(text: &str) -> Vec<u32> {
    let (mut rest, mut tokens) = (text.as_bytes(), Vec::new());
    while !rest.is_empty() {
        let longest = (0..END).filter(|&token| rest.starts_with(&piece(token))).max_by_key(|&token| piece(token).len());
        let token = longest.unwrap();
        tokens.push(token);
        rest = &rest[piece(token).len()..];
    }
    tokens
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Greedy,
    Sampling,
    /// Greedy, with forced tokens.
    Forced,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::Greedy, Self::Sampling, Self::Forced];
}

/// A generated text.
pub struct Run {
    pub text: String,
    pub tokens: Vec<u32>,
    pub forced: usize,
}

impl Run {
    pub fn of(mut state: ConstraintState, mode: Mode, seed: u64) -> Self {
        let params = match mode {
            Mode::Sampling => SamplingParams::sampling().seed(seed).temperature(1.3).top_k(20),
            Mode::Greedy | Mode::Forced => SamplingParams::greedy(),
        };
        let mut sampler = Sampler::new(&params, 0);
        let (mut tokens, mut forced) = (Vec::new(), 0);
        while !state.is_complete() {
            assert!(tokens.len() < 5000, "endless text");
            if mode == Mode::Forced {
                let next = state.forced();
                next.iter().for_each(|&token| state.accept(token).unwrap());
                forced += next.len();
                tokens.extend(next);
                if state.is_complete() {
                    break;
                }
            }
            // The same logits after the same tokens.
            let mut random = Lcg(seed << 32 | tokens.len() as u64);
            random.below(1);
            let mut logits: Vec<f32> = (0..=IMAGE).map(|_| random.below(1 << 20) as f32 / (1 << 18) as f32).collect();
            let mask = state.mask().unwrap();
            let token = sampler.sample_masked(&tokens, 0, &mut logits, &mask).unwrap().token;
            if token == END {
                break;
            }
            state.accept(token).unwrap();
            tokens.push(token);
        }
        let bytes = tokens.iter().flat_map(|&token| piece(token)).collect();
        Self { text: String::from_utf8(bytes).unwrap(), tokens, forced }
    }
}

pub fn generate(compiler: &ConstraintCompiler, constraint: &Constraint, mode: Mode, seed: u64) -> Run {
    let state = compiler.compile(constraint, &[END], false).unwrap_or_else(|error| panic!("{error}: {constraint:?}"));
    Run::of(state, mode, seed)
}
