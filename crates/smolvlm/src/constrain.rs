//! Constraints on the texts of a model.

#[cfg(not(feature = "constrain"))]
pub(crate) use absent::{ConstraintState, Constraints};
#[cfg(feature = "constrain")]
pub(crate) use present::Constraints;
#[cfg(feature = "constrain")]
pub(crate) use smolvlm_generate::ConstraintState;

/// The end of prompts after which models generate a space first.
#[cfg(feature = "constrain")]
const BEFORE_SPACE: &str = "Assistant:";

#[cfg(feature = "constrain")]
mod present {
    use super::{BEFORE_SPACE, ConstraintState};
    use crate::Error;
    use crate::smolvlm::Loaded;
    use smolvlm_generate::{ConstraintCompiler, Error as GenerateError, SamplingParams, Vocabulary};
    use smolvlm_processor::Processor;
    use std::sync::OnceLock;

    /// The compiler for the checkpoint's tokenizer, created for the first constraint.
    #[derive(Default)]
    pub(crate) struct Constraints(OnceLock<Result<ConstraintCompiler, GenerateError>>);

    impl Constraints {
        /// The constraint of the parameters on a text that follows a prompt.
        pub(crate) fn compile(
            &self,
            loaded: &Loaded,
            params: &SamplingParams,
            prompt: &str,
        ) -> Result<Option<ConstraintState>, Error> {
            let Some(constraint) = &params.constraint else { return Ok(None) };
            let new = || ConstraintCompiler::new(vocabulary(&loaded.processor, loaded.config.text.vocab_size));
            let compiler = self.0.get_or_init(new).as_ref().map_err(Clone::clone)?;
            let leading_space = prompt.ends_with(BEFORE_SPACE);
            Ok(Some(compiler.compile(constraint, &params.eos_token_ids, leading_space)?))
        }
    }

    fn vocabulary(processor: &Processor, size: usize) -> Vocabulary {
        let (bytes, mut vocabulary) = (processor.token_bytes(), Vocabulary::new(size));
        for id in 0..size as u32 {
            if let Some(bytes) = bytes.get(id) {
                vocabulary.set_text(id, bytes);
            }
        }
        for (id, name) in bytes.special() {
            vocabulary.set_special(id, &name);
        }
        vocabulary.with_tokenizer(move |text| bytes.encode(text).ok())
    }
}

/// Without the feature `constrain`, parameters with a constraint are invalid.
#[cfg(not(feature = "constrain"))]
mod absent {
    use crate::Error;
    use crate::smolvlm::Loaded;
    use smolvlm_generate::{Error as GenerateError, SamplingParams, TokenMask};

    #[derive(Default)]
    pub(crate) struct Constraints {}

    impl Constraints {
        pub(crate) fn compile(
            &self,
            _: &Loaded,
            _: &SamplingParams,
            _: &str,
        ) -> Result<Option<ConstraintState>, Error> {
            Ok(None)
        }
    }

    #[derive(Clone)]
    pub(crate) enum ConstraintState {}

    impl ConstraintState {
        pub(crate) fn mask(&mut self) -> Result<TokenMask, GenerateError> {
            match *self {}
        }

        pub(crate) fn accept(&mut self, _: u32) -> Result<(), GenerateError> {
            match *self {}
        }

        pub(crate) fn forced(&mut self) -> Vec<u32> {
            match *self {}
        }

        pub(crate) fn is_complete(&self) -> bool {
            match *self {}
        }
    }
}
