//! The texts of tokens.

use llguidance::toktrie::{TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use std::fmt;
use std::sync::Arc;

/// The byte that marks special tokens. It never occurs in UTF-8.
const SPECIAL: u8 = TokTrie::SPECIAL_TOKEN_MARKER;

/// Maximum number of bytes that are tokenized at once. The rest of a longer forced text follows in later steps.
const MAX_FORCED: usize = 1024;

type Tokenize = Arc<dyn Fn(&str) -> Option<Vec<u32>> + Send + Sync>;

/// The bytes of all tokens of a tokenizer.
#[derive(Clone)]
pub struct Vocabulary {
    tokens: Vec<Vec<u8>>,
    tokenize: Option<Tokenize>,
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocabulary").field("len", &self.tokens.len()).finish_non_exhaustive()
    }
}

impl Vocabulary {
    /// A vocabulary of `size` tokens, the number of logits, that are never generated until they are set.
    pub fn new(size: usize) -> Self {
        Self { tokens: vec![Vec::new(); size], tokenize: None }
    }

    /// Sets the bytes that a token adds to the text, which may be part of a character. Tokens that are not in the
    /// vocabulary are ignored.
    pub fn set_text(&mut self, token: u32, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        if !bytes.contains(&SPECIAL) {
            self.set(token, bytes);
        }
    }

    /// Sets the name of a special token, such as `<end_of_utterance>`: it adds nothing to the text, and only grammars
    /// that contain the name generate it. Tokens that are not in the vocabulary are ignored.
    pub fn set_special(&mut self, token: u32, name: &str) {
        self.set(token, [&[SPECIAL], name.as_bytes()].concat());
    }

    /// Sets the function that tokenizes a text without adding or recognizing special tokens. It gives none if it fails.
    /// With it, text that a constraint determines is tokenized as the model has learned it, and
    /// [forced](super::ConstraintState::forced).
    #[must_use]
    pub fn with_tokenizer(mut self, tokenize: impl Fn(&str) -> Option<Vec<u32>> + Send + Sync + 'static) -> Self {
        self.tokenize = Some(Arc::new(tokenize));
        self
    }

    fn set(&mut self, token: u32, bytes: Vec<u8>) {
        // Longer tokens do not fit into the trie.
        if let Some(slot) = self.tokens.get_mut(token as usize)
            && bytes.len() <= usize::from(u8::MAX)
        {
            *slot = bytes;
        }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The environment of llguidance. Its end token is an additional one after all others, so that it has no meaning in
    /// the tokenizer.
    pub(super) fn into_env(mut self) -> TokEnv {
        let end = self.tokens.len() as u32;
        self.tokens.push(Vec::new());
        let trie = TokTrie::from(&TokRxInfo::new(end + 1, end), &self.tokens);
        Arc::new(Env { trie, tokenize: self.tokenize })
    }
}

struct Env {
    trie: TokTrie,
    tokenize: Option<Tokenize>,
}

impl TokenizerEnv for Env {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        if bytes.len() > MAX_FORCED {
            let mut tokens = self.tokenize_bytes(&bytes[..MAX_FORCED]);
            // The last one may continue.
            tokens.pop();
            return tokens;
        }
        match &self.tokenize {
            Some(tokenize) => {
                // A tokenizer that normalizes texts would add or lose bytes.
                let is_exact = |tokens: &[u32], text: &str| {
                    tokens.iter().all(|&token| (token as usize) < self.trie.vocab_size())
                        && self.trie.decode_raw(tokens) == text.as_bytes()
                };
                let tokenize = |text: &str| match tokenize(text) {
                    Some(tokens) if is_exact(&tokens, text) => tokens,
                    _ => self.trie.greedy_tokenize(text.as_bytes()),
                };
                self.trie.tokenize_with_greedy_fallback(bytes, tokenize)
            }
            None => self.trie.greedy_tokenize(bytes),
        }
    }

    fn tokenize_is_canonical(&self) -> bool {
        self.tokenize.is_some()
    }
}
