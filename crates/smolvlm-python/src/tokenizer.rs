//! The tokenizer.

use crate::error::{exception, of_kind};
use pyo3::prelude::*;
use smolvlm::ErrorKind;
use smolvlm::processor::{self, SpecialTokens, tokenizer_from_json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A tokenizer and its special tokens.
#[pyclass(frozen, module = "smolvlm._native")]
#[derive(Clone)]
pub struct Tokenizer {
    pub tokenizer: Arc<processor::Tokenizer>,
    pub special: SpecialTokens,
}

#[pymethods]
impl Tokenizer {
    /// Parses a `tokenizer.json`. `special_tokens` are the tokens by name, such as `eos_token`.
    #[staticmethod]
    fn from_json(json: &str, special_tokens: BTreeMap<String, String>) -> PyResult<Self> {
        let tokenizer = tokenizer_from_json(json).map_err(|error| exception(smolvlm::Error::from(error)))?;
        Ok(Self { tokenizer: Arc::new(tokenizer), special: special_tokens.into_iter().collect() })
    }

    /// Token ids of a text; with `add_special_tokens`, those that the tokenizer's post-processor adds.
    fn encode(&self, py: Python<'_>, text: &str, add_special_tokens: bool) -> PyResult<Vec<u32>> {
        let encoding = py.detach(|| self.tokenizer.encode_fast(text, add_special_tokens));
        Ok(encoding.map_err(|error| of_kind(ErrorKind::Input, &error))?.get_ids().to_vec())
    }

    /// The text of token ids.
    fn decode(&self, py: Python<'_>, ids: Vec<u32>, skip_special_tokens: bool) -> PyResult<String> {
        let text = py.detach(|| self.tokenizer.decode(&ids, skip_special_tokens));
        text.map_err(|error| of_kind(ErrorKind::Input, &error))
    }

    /// The id of a token.
    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// The token of an id.
    fn id_to_token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// Ids of the tokens that `skip_special_tokens` skips.
    fn special_ids(&self) -> Vec<u32> {
        let tokens = self.tokenizer.get_added_tokens_decoder();
        tokens.into_iter().filter(|(_, token)| token.special).map(|(id, _)| id).collect()
    }

    /// Special tokens by name.
    fn special_tokens(&self) -> BTreeMap<String, String> {
        self.special.iter().map(|(name, token)| (name.to_owned(), token.to_owned())).collect()
    }

    fn __len__(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The `tokenizer.json`.
    fn to_json(&self) -> PyResult<String> {
        self.tokenizer.to_string(true).map_err(|error| of_kind(ErrorKind::Config, &error))
    }
}
