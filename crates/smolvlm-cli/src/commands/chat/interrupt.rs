//! Ctrl-C ends an answer, not the program.

use crate::output::INTERRUPTED;
use smolvlm::Cancel;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

/// What Ctrl-C ends: the answer that is being made, if there is one.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<Mutex<Option<Cancel>>>);

impl Interrupt {
    /// Takes over Ctrl-C. A second one during the same answer ends the program, and so does one while there is no answer,
    /// unless a terminal's line editor takes care of that.
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

    /// An answer begins: from here on Ctrl-C is meant for it.
    pub fn begin(&self) {
        self.set(Some(Cancel::new()));
    }

    /// The answer has a switch. What came before there was one is not lost.
    pub fn attach(&self, answer: Cancel) {
        let early = self.set(Some(answer.clone()));
        if early.is_some_and(|early| early.is_cancelled()) {
            answer.cancel();
        }
    }

    /// The answer is there.
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
    fn an_early_interrupt_reaches_the_answer() {
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
