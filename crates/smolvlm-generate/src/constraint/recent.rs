//! The constraints that were compiled last: clients often send the same one with every request.

use super::{Constraint, ConstraintState, limits};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Number of constraints that are kept.
const CAPACITY: usize = 8;

/// The states of empty texts, the least recently used one first; shared by clones.
#[derive(Clone, Default)]
pub(super) struct Recent(Arc<Mutex<VecDeque<(Key, SharedState)>>>);

/// Copied under a lock of its own: the copy of a large state takes time.
type SharedState = Arc<Mutex<ConstraintState>>;

/// What a state depends on.
#[derive(PartialEq, Eq)]
pub(super) struct Key {
    /// The constraint as JSON. Schemas whose properties have another order compare as equal, but allow other texts.
    json: String,
    end_tokens: Vec<u32>,
    leading_space: bool,
}

impl Key {
    /// The key of a constraint; none for one that is too large to be compiled.
    pub(super) fn new(constraint: &Constraint, end_tokens: &[u32], leading_space: bool) -> Option<Self> {
        limits::check_size(constraint).ok()?;
        let json = serde_json::to_string(constraint).ok()?;
        Some(Self { json, end_tokens: end_tokens.to_vec(), leading_space })
    }
}

impl Recent {
    /// A copy of the state with this key, which becomes the most recently used one.
    pub(super) fn get(&self, key: &Key) -> Option<ConstraintState> {
        let state = self.touch(key)?;
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        Some(state.clone())
    }

    fn touch(&self, key: &Key) -> Option<SharedState> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = states.iter().position(|(known, _)| known == key)?;
        let used = states.remove(index)?;
        let state = used.1.clone();
        states.push_back(used);
        Some(state)
    }

    /// Keeps a state.
    pub(super) fn put(&self, key: Key, state: ConstraintState) {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|(known, _)| *known != key);
        if states.len() == CAPACITY {
            states.pop_front();
        }
        states.push_back((key, Arc::new(Mutex::new(state))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraint::{ConstraintCompiler, Vocabulary};
    use serde_json::json;

    fn vocabulary() -> Vocabulary {
        let mut vocabulary = Vocabulary::new(257);
        (0..=255_u8).for_each(|byte| vocabulary.set_text(u32::from(byte), [byte]));
        vocabulary
    }

    fn key(text: &str) -> Key {
        Key::new(&Constraint::choices([text]), &[256], false).unwrap()
    }

    #[test]
    fn least_recently_used_constraints_are_dropped() {
        let compiler = ConstraintCompiler::new(vocabulary()).unwrap();
        let state = compiler.compile(&Constraint::choices(["a"]), &[256], false).unwrap();
        let recent = Recent::default();
        for index in 0..CAPACITY {
            recent.put(key(&index.to_string()), state.clone());
        }
        assert!(recent.get(&key("0")).is_some());
        recent.put(key("new"), state);
        assert!(recent.get(&key("0")).is_some() && recent.clone().get(&key("new")).is_some());
        assert!(recent.get(&key("1")).is_none());
    }

    #[test]
    fn keys_are_all_that_a_state_depends_on() {
        let schema = |first: &str, second: &str| {
            Constraint::JsonSchema(json!({"properties": {first: {"type": "null"}, second: {"type": "null"}}}))
        };
        let (one, other) = (schema("a", "b"), schema("b", "a"));
        let keys = [
            Key::new(&one, &[256], false),
            Key::new(&other, &[256], false),
            Key::new(&one, &[255], false),
            Key::new(&one, &[256], true),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(keys[..index].iter().all(|other| other != key), "{index}");
        }
        assert!(keys[0] == Key::new(&one.clone(), &[256], false));
        let deep = (0..1000).fold(json!({}), |inner, _| json!({"not": inner}));
        assert!(Key::new(&Constraint::JsonSchema(deep), &[256], false).is_none());
    }

    #[test]
    fn texts_of_the_same_constraint_do_not_affect_each_other() {
        let compiler = ConstraintCompiler::new(vocabulary()).unwrap();
        let compile = || compiler.compile(&Constraint::choices(["ab", "cd"]), &[256], false).unwrap();
        let mut first = compile();
        first.accept(u32::from(b'a')).unwrap();
        let mut second = compile();
        assert!(second.mask().unwrap().allows(u32::from(b'c')));
        assert!(!first.mask().unwrap().allows(u32::from(b'c')));
    }
}
