//! Conversion between text and token ids.

use std::path::Path;

use super::Processor;
use crate::encode::{encode_continuation, encode_pieces};
use crate::error::Error;
use crate::prompt::Prompt;
use crate::template::ChatTemplate;
use crate::text_deltas::TextDeltas;
use crate::token_bytes::TokenBytes;
use crate::tokenizer::write_files;

impl Processor {
    /// Id of the token that starts a prompt (bos), if there is one.
    pub fn bos_token_id(&self) -> Option<u32> {
        self.named_id("bos_token")
    }

    /// Id of the token that ends an answer (eos), if there is one.
    pub fn eos_token_id(&self) -> Option<u32> {
        self.named_id("eos_token")
    }

    /// Id of the padding token: the tokenizer's `pad_token`, otherwise its `eos_token`.
    pub fn pad_token_id(&self) -> Option<u32> {
        self.named_id("pad_token").or_else(|| self.eos_token_id())
    }

    fn named_id(&self, name: &str) -> Option<u32> {
        self.tokenizer.token_to_id(self.special.get(name)?)
    }

    /// Size of the tokenizer's vocabulary, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Tokenizes a text. If the text starts with the bos token, the tokenizer's post-processor adds no special tokens
    /// (transformers 5.24.0, processing_utils.py, `apply_chat_template`).
    ///
    /// # Errors
    /// [`Error::Tokenizer`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self.tokenizer.encode_fast(text, self.adds_special(text));
        Ok(encoding.map_err(Error::tokenizer)?.get_ids().to_vec())
    }

    /// Tokenizes a text that continues a prompt, such as a given answer: no special tokens are added, and control
    /// tokens are plain text.
    ///
    /// # Errors
    /// [`Error::Tokenizer`].
    pub fn encode_continuation(&self, text: &str) -> Result<Vec<u32>, Error> {
        encode_continuation(&self.tokenizer, text)
    }

    /// Tokenizes a prompt: special tokens are recognized in rendered text but not in user-typed text, as in the
    /// reference (transformers 5.24.0, utils/chat_template_utils.py, `encode_marked_chat`).
    pub(crate) fn encode_prompt(&self, prompt: &Prompt) -> Result<Vec<u32>, Error> {
        match prompt.as_text() {
            Some(text) => self.encode(text),
            None => encode_pieces(&self.tokenizer, &prompt.pieces, self.adds_special(&prompt.to_string())),
        }
    }

    /// Whether the tokenizer's post-processor adds its special tokens to a text.
    fn adds_special(&self, text: &str) -> bool {
        !self.special.get("bos_token").is_some_and(|bos| text.starts_with(bos))
    }

    /// The byte representation of the tokens.
    pub fn token_bytes(&self) -> TokenBytes {
        TokenBytes::new(self.tokenizer.clone())
    }

    /// Decodes token ids to text. Unknown ids are skipped, and with `skip_special_tokens` special tokens, too.
    ///
    /// # Errors
    /// [`Error::Tokenizer`].
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, Error> {
        self.tokenizer.decode(ids, skip_special_tokens).map_err(Error::tokenizer)
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json` into `dir`, which must exist. The latter contains the
    /// special tokens and the chat template; [`Processor::from_directory`] reads both.
    ///
    /// # Errors
    /// [`Error::Tokenizer`], [`Error::Io`].
    pub fn save_tokenizer(&self, dir: &Path) -> Result<(), Error> {
        write_files(dir, &self.tokenizer, &self.special, self.template.as_ref().map(ChatTemplate::source))
    }

    /// Starts incremental decoding of a stream of token ids.
    pub fn text_deltas(&self, skip_special_tokens: bool) -> TextDeltas {
        TextDeltas::new(self.tokenizer.clone(), skip_special_tokens)
    }
}
