//! Compilation of constraints.

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

/// Compiles constraints for a vocabulary. Created once per tokenizer, which takes about 0.2 s.
#[derive(Clone)]
pub struct ConstraintCompiler {
    factory: Arc<ParserFactory>,
    vocabulary: usize,
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
        Ok(Self { factory: Arc::new(factory), vocabulary: size })
    }

    /// The state of a text without tokens that must match a constraint. With `leading_space`, the text may start with a
    /// space, as models generate it after `Assistant:`, except for grammars. `end_tokens` are allowed where the text
    /// may end.
    ///
    /// # Errors
    ///
    /// [`Error::Constraint`] for an invalid or unsupported constraint, and one that is too large or takes too long to
    /// compile (1 s).
    pub fn compile(
        &self,
        constraint: &Constraint,
        end_tokens: &[u32],
        leading_space: bool,
    ) -> Result<ConstraintState, Error> {
        limits::check(constraint)?;
        let grammar = grammar::grammar(constraint, leading_space)?;
        let (sender, receiver) = sync_channel(1);
        let factory = self.factory.clone();
        // A compilation cannot be interrupted. After the time limit, its thread ends at the limits of the parser.
        let compile = move || {
            // The caller may be gone.
            drop(sender.send(factory.create_parser(grammar).map(|parser| Matcher::new(Ok(parser)))));
        };
        let thread = thread::Builder::new().name("smolvlm-constraint".to_owned()).stack_size(STACK);
        thread.spawn(compile).map_err(|error| Error::constraint(format!("cannot be compiled: {error}")))?;
        match receiver.recv_timeout(limits::COMPILE_TIME) {
            Ok(Ok(matcher)) => ConstraintState::new(matcher, self.vocabulary, end_tokens),
            Ok(Err(error)) => Err(Error::in_constraint("is invalid", &error.to_string())),
            Err(RecvTimeoutError::Timeout) => {
                Err(Error::constraint(format!("takes longer than {:?} to compile; simplify it", limits::COMPILE_TIME)))
            }
            Err(RecvTimeoutError::Disconnected) => Err(Error::constraint("cannot be compiled; simplify it")),
        }
    }
}
