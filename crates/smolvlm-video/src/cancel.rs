//! Cancellation token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A token that stops work from another thread or a signal handler. Clones share one flag.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Token>);

#[derive(Debug, Default)]
struct Token {
    is_cancelled: AtomicBool,
    parent: Option<Cancel>,
}

impl Cancel {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that is cancelled with this one, or alone.
    pub fn child(&self) -> Self {
        Self(Arc::new(Token { is_cancelled: AtomicBool::new(false), parent: Some(self.clone()) }))
    }

    /// Cancels the work of this token and of its children.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Relaxed) || self.0.parent.as_ref().is_some_and(Self::is_cancelled)
    }
}

/// Tokens are equal if they share one flag.
impl PartialEq for Cancel {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Cancel {}

#[cfg(test)]
mod tests {
    use super::Cancel;

    #[test]
    fn children_are_cancelled_with_their_parent_but_not_the_reverse() {
        let parent = Cancel::new();
        let (first, second) = (parent.child(), parent.child().child());
        first.cancel();
        assert!(first.is_cancelled() && !parent.is_cancelled() && !second.is_cancelled());
        parent.clone().cancel();
        assert!(second.is_cancelled());
    }
}
