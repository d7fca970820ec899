//! Compilation of constraints.

use super::recent::{Key, Recent};
use super::slots::Slots;
use super::{Constraint, ConstraintState, Vocabulary, grammar, limits};
use crate::Error;
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::InferenceCapabilities;
use llguidance::{Matcher, ParserFactory};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::{fmt, thread};

/// Stack of a compilation, which recurses into nested grammars.
const STACK: usize = 64 << 20;

/// Compiles constraints for a vocabulary, and keeps those of the last calls. Created once per tokenizer, which takes
/// about 0.2 s.
#[derive(Clone)]
pub struct ConstraintCompiler {
    factory: Arc<ParserFactory>,
    vocabulary: usize,
    slots: Slots,
    recent: Recent,
}

impl fmt::Debug for ConstraintCompiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConstraintCompiler").field("vocabulary", &self.vocabulary).finish_non_exhaustive()
    }
}

impl ConstraintCompiler {
    /// A compiler for texts of these tokens.
    ///
    /// # Errors
    ///
    /// [`Error::Constraint`] for a vocabulary without text.
    pub fn new(vocabulary: Vocabulary) -> Result<Self, Error> {
        let size = vocabulary.len();
        let env = vocabulary.into_env();
        let capabilities =
            InferenceCapabilities { ff_tokens: env.tokenize_is_canonical(), ..InferenceCapabilities::default() };
        let factory = ParserFactory::new(&env, capabilities, &SlicedBiasComputer::general_slices());
        let mut factory = factory.map_err(|error| Error::in_constraint("cannot be compiled", &error.to_string()))?;
        factory.quiet();
        *factory.limits_mut() = limits::parser_limits();
        let slots = Slots::new(limits::MAX_COMPILATIONS);
        Ok(Self { factory: Arc::new(factory), vocabulary: size, slots, recent: Recent::default() })
    }

    /// The state of a text without tokens that must match a constraint. With `leading_space`, the text may start with a
    /// space, as models generate it after `Assistant:`, except for grammars. `end_tokens` are allowed where the text
    /// may end.
    ///
    /// # Errors
    ///
    /// [`Error::Constraint`] for a constraint that is invalid, unsupported, too large or allows no text;
    /// [`Error::ConstraintBusy`] if it takes longer than 10 s to compile, or two others take long now.
    pub fn compile(
        &self,
        constraint: &Constraint,
        end_tokens: &[u32],
        leading_space: bool,
    ) -> Result<ConstraintState, Error> {
        let key = Key::new(constraint, end_tokens, leading_space);
        if let Some(state) = key.as_ref().and_then(|key| self.recent.get(key)) {
            return Ok(state);
        }
        let Some(slot) = self.slots.take(limits::SLOT_TIME) else {
            return Err(Error::ConstraintBusy { message: "cannot be compiled while others are; try again later" });
        };
        let (sender, receiver) = sync_channel(1);
        let (compiler, constraint, end_tokens) = (self.clone(), constraint.clone(), end_tokens.to_vec());
        // A compilation cannot be interrupted: after the time limit, its thread keeps the slot until it ends.
        let compile = move || {
            let state = compiler.compile_here(&constraint, &end_tokens, leading_space);
            drop(slot);
            // The caller may be gone.
            drop(sender.send(state));
        };
        let thread = thread::Builder::new().name("smolvlm-constraint".to_owned()).stack_size(STACK);
        thread.spawn(compile).map_err(|error| Error::constraint(format!("cannot be compiled: {error}")))?;
        match receiver.recv_timeout(limits::COMPILE_TIME) {
            Ok(state) => {
                let state = state?;
                if let Some(key) = key {
                    self.recent.put(key, state.clone());
                }
                Ok(state)
            }
            Err(RecvTimeoutError::Timeout) => {
                Err(Error::ConstraintBusy { message: "takes too long to compile; simplify it or try again later" })
            }
            Err(RecvTimeoutError::Disconnected) => Err(Error::constraint("cannot be compiled; simplify it")),
        }
    }

    /// Compiles on this thread, with the first mask, which fails for constraints that allow no text or are too complex.
    fn compile_here(
        &self,
        constraint: &Constraint,
        end_tokens: &[u32],
        leading_space: bool,
    ) -> Result<ConstraintState, Error> {
        limits::check(constraint)?;
        let parser = self.factory.create_parser(grammar::grammar(constraint, leading_space)?);
        let parser = parser.map_err(|error| Error::in_constraint("is invalid", &error.to_string()))?;
        let mut state = ConstraintState::new(Matcher::new(Ok(parser)), self.vocabulary, end_tokens)?;
        state.start()?;
        Ok(state)
    }
}
