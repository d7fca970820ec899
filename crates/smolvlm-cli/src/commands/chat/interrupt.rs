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
            _ => process::exit(INTERRUPTED),
        })?;
        Ok(interrupt)
    }

    /// Marks the start of an answer: from now on Ctrl-C stops it.
    pub fn begin(&self) {
        self.set(Some(Cancel::new()));
    }

    /// Sets the cancellation token of the answer. A Ctrl-C since [`begin`](Self::begin) cancels it.
    pub fn attach(&self, answer: Cancel) {
        let early = self.set(Some(answer.clone()));
        if early.is_some_and(|early| early.is_cancelled()) {
            answer.cancel();
        }
    }

    /// Marks the end of the answer.
    pub fn end(&self) {
        self.set(None);
    }

    fn current(&self) -> Option<Cancel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, answer: Option<Cancel>) -> Option<Cancel> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_interrupt_cancels_the_answer() {
        let interrupt = Interrupt::default();
        interrupt.begin();
        interrupt.current().unwrap().cancel();
        let answer = Cancel::new();
        interrupt.attach(answer.clone());
        assert!(answer.is_cancelled());

        interrupt.end();
        assert!(interrupt.current().is_none());
        interrupt.begin();
        let answer = Cancel::new();
        interrupt.attach(answer.clone());
        assert!(!answer.is_cancelled());
        interrupt.current().unwrap().cancel();
        assert!(answer.is_cancelled());
    }
}
