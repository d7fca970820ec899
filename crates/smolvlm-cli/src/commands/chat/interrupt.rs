//! Ctrl-C handling: stops an answer instead of the program.

use crate::output::INTERRUPTED;
use smolvlm::Cancel;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

/// The cancellation token of the current answer, if any.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<Mutex<Option<Cancel>>>);

impl Interrupt {
    /// Installs the Ctrl-C handler. A second Ctrl-C during the same answer ends the program, and so does one without a
    /// running answer, unless a terminal's line editor handles it.
    pub fn install(at_terminal: bool) -> Result<Self, ctrlc::Error> {
        let interrupt = Self::default();
        let shared = interrupt.clone();
        ctrlc::set_handler(move || match shared.current() {
            Some(answer) if !answer.is_cancelled() => answer.cancel(),
            None if at_terminal => {}
            _ => process::exit(INTERRUPTED.into()),
        })?;
        Ok(interrupt)
    }

    /// Marks the start of an answer and returns its cancellation token: from now on Ctrl-C stops it.
    pub fn begin(&self) -> Cancel {
        let answer = Cancel::new();
        self.set(Some(answer.clone()));
        answer
    }

    /// Marks the end of the answer.
    pub fn end(&self) {
        self.set(None);
    }

    fn current(&self) -> Option<Cancel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, answer: Option<Cancel>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_cancel_the_current_answer() {
        let interrupt = Interrupt::default();
        let first = interrupt.begin();
        assert!(!first.is_cancelled());
        interrupt.current().unwrap().cancel();
        assert!(first.is_cancelled());
        interrupt.end();
        assert!(interrupt.current().is_none());
        assert!(!interrupt.begin().is_cancelled());
    }
}
