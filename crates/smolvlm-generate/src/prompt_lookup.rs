//! Drafts of the next tokens, looked up in the text so far.

/// Earlier tokens that must equal the last ones, at least, and at most that are compared.
const MIN_MATCH: usize = 2;
const MAX_MATCH: usize = 8;

/// Number of drafted tokens before anything is known about the text.
const FIRST_DRAFT: usize = 4;

/// Maximum number of steps without drafts after useless ones.
const MAX_PAUSE: usize = 32;

/// Drafts the next tokens of a text: those that followed an earlier occurrence of its last tokens (prompt lookup
/// decoding, Saxena 2023, as transformers' `prompt_lookup_num_tokens`).
///
/// A runtime computes the logits of all drafted tokens in one step, and keeps those that it selects from these logits
/// anyway, so that texts do not change. Drafts become longer while they are right, and rare while they are wrong.
#[derive(Debug, Clone)]
pub struct PromptLookup {
    max: usize,
    /// Length of the next draft.
    len: usize,
    /// Consecutive drafts of which nothing was right.
    useless: u32,
    /// Steps without drafts that are left.
    pause: usize,
}

impl PromptLookup {
    /// Drafts at most `max` tokens at once; none if it is 0.
    pub fn new(max: usize) -> Self {
        Self { max, len: FIRST_DRAFT.min(max), useless: 0, pause: 0 }
    }

    /// A draft of at most `max` tokens that follow `ids`, prompt and generated tokens; often none.
    pub fn draft(&mut self, ids: &[u32], max: usize) -> Vec<u32> {
        let len = self.len.min(max);
        if len == 0 {
            return Vec::new();
        }
        if self.pause > 0 {
            self.pause -= 1;
            return Vec::new();
        }
        let Some(end) = last_occurrence(ids) else { return Vec::new() };
        let mut draft: Vec<u32> = ids[end..].iter().copied().take(len).collect();
        // A short period continues.
        for index in draft.len()..len {
            draft.push(draft[index + end - ids.len()]);
        }
        draft
    }

    /// Learns how many tokens of the last draft were right.
    pub fn observe(&mut self, drafted: usize, accepted: usize) {
        if drafted == 0 {
            return;
        }
        if accepted > 0 {
            self.useless = 0;
        } else {
            self.useless += 1;
            self.pause = (1 << self.useless.min(10)).min(MAX_PAUSE);
        }
        if accepted == drafted {
            self.len = (2 * self.len).min(self.max);
        } else {
            // What was right, and one more to find out whether a longer draft would be.
            self.len = (accepted + 1).min(self.max);
        }
    }
}

/// The end of the earlier occurrence of the last tokens that agrees in most of them; the latest of several.
fn last_occurrence(ids: &[u32]) -> Option<usize> {
    let shared = |end: usize| {
        let pairs = ids[..end].iter().rev().zip(ids.iter().rev());
        pairs.take(MAX_MATCH).take_while(|(earlier, last)| earlier == last).count()
    };
    let (mut best, mut found) = (MIN_MATCH - 1, None);
    for end in (MIN_MATCH..ids.len()).rev() {
        let count = shared(end);
        if count > best {
            (best, found) = (count, Some(end));
            if count == MAX_MATCH {
                break;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{FIRST_DRAFT, MAX_PAUSE, PromptLookup};

    fn draft(ids: &[u32]) -> Vec<u32> {
        PromptLookup::new(16).draft(ids, 16)
    }

    #[test]
    fn what_followed_the_last_tokens_is_drafted() {
        assert_eq!(draft(&[1, 2, 3, 4, 5, 6, 7, 1, 2]), [3, 4, 5, 6]);
        // Longer matches take precedence over later ones.
        assert_eq!(draft(&[1, 2, 3, 9, 9, 2, 3, 8, 8, 1, 2, 3]), [9, 9, 2, 3]);
        // Of equal ones, the later one.
        assert_eq!(draft(&[2, 3, 9, 9, 2, 3, 8, 8, 2, 3]), [8, 8, 2, 3]);
    }

    #[test]
    fn short_periods_continue() {
        assert_eq!(draft(&[5, 5, 5]), [5; 4]);
        assert_eq!(draft(&[1, 2, 1, 2, 1]), [2, 1, 2, 1]);
        assert_eq!(draft(&[0, 1, 2, 3, 1, 2, 3]), [1, 2, 3, 1]);
    }

    #[test]
    fn nothing_is_drafted_without_an_earlier_occurrence() {
        for ids in [&[][..], &[1], &[1, 1], &[1, 2, 3, 4, 3]] {
            assert!(draft(ids).is_empty(), "{ids:?}");
        }
        assert!(PromptLookup::new(0).draft(&[5, 5, 5], 16).is_empty());
        assert!(PromptLookup::new(16).draft(&[5, 5, 5], 0).is_empty());
        assert_eq!(PromptLookup::new(16).draft(&[5, 5, 5], 2), [5; 2]);
    }

    #[test]
    fn drafts_grow_while_they_are_right() {
        let mut lookup = PromptLookup::new(16);
        for len in [FIRST_DRAFT, 8, 16, 16] {
            assert_eq!(lookup.draft(&[5, 5, 5], 100).len(), len);
            lookup.observe(len, len);
        }
        lookup.observe(16, 2);
        assert_eq!(lookup.draft(&[5, 5, 5], 100).len(), 3);
    }

    #[test]
    fn wrong_drafts_become_rare() {
        let (mut lookup, mut drafted) = (PromptLookup::new(16), 0);
        for _ in 0..1000 {
            let len = lookup.draft(&[5, 5, 5], 16).len();
            lookup.observe(len, 0);
            drafted += len;
        }
        assert!((1000 / (MAX_PAUSE + 1)..1000 / MAX_PAUSE + 12).contains(&drafted), "{drafted}");
    }
}
