//! The state of one text.

use crate::{Error, TokenMask};
use llguidance::Matcher;
use std::fmt;

/// What a constraint allows after the tokens of one text so far.
pub struct ConstraintState {
    matcher: Matcher,
    vocabulary: usize,
    end_tokens: Vec<u32>,
}

impl Clone for ConstraintState {
    fn clone(&self) -> Self {
        // States in different threads must not wait for each other.
        Self { matcher: self.matcher.deep_clone(), vocabulary: self.vocabulary, end_tokens: self.end_tokens.clone() }
    }
}

impl fmt::Debug for ConstraintState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConstraintState").field("stop_reason", &self.matcher.stop_reason()).finish_non_exhaustive()
    }
}

impl ConstraintState {
    pub(super) fn new(matcher: Matcher, vocabulary: usize, end_tokens: &[u32]) -> Result<Self, Error> {
        match matcher.get_error() {
            Some(error) => Err(Error::in_constraint("is invalid", &error)),
            None => Ok(Self { matcher, vocabulary, end_tokens: end_tokens.to_vec() }),
        }
    }

    /// Computes the first mask, which llguidance keeps parts of. Fails if nothing is allowed or the grammar is too
    /// complex.
    pub(super) fn start(&mut self) -> Result<(), Error> {
        let mask = self.matcher.compute_mask_or_eos();
        mask.map(drop).map_err(|error| Error::in_constraint("cannot be started", &error.to_string()))
    }

    /// The tokens that may come next: end tokens if the text may end, and only these if it is
    /// [complete](Self::is_complete).
    ///
    /// # Errors
    ///
    /// [`Error::Constraint`] if the grammar is too complex.
    pub fn mask(&mut self) -> Result<TokenMask, Error> {
        let allowed = self.matcher.compute_mask_or_eos().map_err(|error| failed(&error))?;
        let may_end = allowed.is_allowed(self.vocabulary as u32);
        let mut mask = TokenMask::from_words(allowed.into());
        mask.set(self.vocabulary as u32, false);
        if may_end {
            self.end_tokens.iter().for_each(|&token| mask.set(token, true));
        }
        Ok(mask)
    }

    /// Appends a token that the [`mask`](Self::mask) allows. End tokens change nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Constraint`] for any other token, or if the grammar is too complex. After it, the state is invalid.
    pub fn accept(&mut self, token: u32) -> Result<(), Error> {
        let is_end = self.end_tokens.contains(&token);
        if is_end && self.matcher.is_stopped() {
            return Ok(());
        }
        // Grammars may contain end tokens.
        let is_accepted = self.matcher.try_consume_tokens(&[token]).map_err(|error| failed(&error))? == 1;
        if is_accepted || is_end && self.matcher.is_accepting().map_err(|error| failed(&error))? {
            return Ok(());
        }
        // Only consumption says why: the limits of the lexer refuse tokens, too.
        let problem = format!("does not allow token {token}");
        match self.matcher.consume_token(token) {
            Ok(()) => Err(Error::constraint(problem)),
            Err(error) => Err(Error::in_constraint(&problem, &error.to_string())),
        }
    }

    /// The next tokens that are the only ones that the constraint allows, so that the model need not select them; often
    /// none. They are to be [accepted](Self::accept) like others.
    pub fn forced(&mut self) -> Vec<u32> {
        if self.is_complete() { Vec::new() } else { self.matcher.compute_ff_tokens() }
    }

    /// Whether the text matches and nothing may follow it.
    pub fn is_complete(&self) -> bool {
        self.matcher.is_stopped() && self.matcher.stop_reason().is_ok()
    }
}

fn failed(error: &impl fmt::Display) -> Error {
    Error::in_constraint("cannot be followed", &error.to_string())
}
