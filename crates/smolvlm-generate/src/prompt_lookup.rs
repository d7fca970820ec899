//! Drafts of the next tokens, looked up in the text so far.

/// Minimum and maximum length of a match between the last tokens and earlier ones.
const MIN_MATCH: usize = 2;
const MAX_MATCH: usize = 8;

/// Maximum number of earlier occurrences that vote on the next token.
const MAX_VOTES: usize = 16;

/// Tokens before the end in which earlier occurrences are searched.
const WINDOW: usize = 4096;

/// Probability that a token and all drafted ones before it are right, below which it is not drafted. A row that is
/// verified costs up to a third of a step, in 4 bits.
const MIN_PROBABILITY: f32 = 0.3;

/// Kinds of candidates: by the length of the longest match, in pairs, and by the agreement of the votes.
const AGREEMENTS: usize = 6;
const KINDS: usize = AGREEMENTS * (MAX_MATCH / 2 + 1);

/// Drafts the next tokens of a text: those that followed earlier occurrences of its last tokens (prompt lookup
/// decoding, Saxena 2023, as transformers' `prompt_lookup_num_tokens`).
///
/// A runtime computes the logits of all drafted tokens in one step, and keeps those that it selects from these logits
/// anyway, so that texts do not change. How often each kind of match is right is learned from every token of the text,
/// drafted or not; drafts end where they are likely to be wrong.
#[derive(Debug, Clone)]
pub struct PromptLookup {
    max: usize,
    /// Of each kind of candidates, the number of those that were right, and of all, with a prior.
    counts: [[f32; 2]; KINDS],
    /// Number of tokens that the counts include.
    seen: usize,
}

/// A token that may follow.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    token: u32,
    kind: usize,
}

impl PromptLookup {
    /// Drafts at most `max` tokens at once; none if it is 0.
    pub fn new(max: usize) -> Self {
        // Before anything is known, only what all votes agree on is drafted.
        let prior = |kind| if kind % AGREEMENTS == AGREEMENTS - 1 { [2.7, 3.0] } else { [0.5, 2.0] };
        Self { max, counts: std::array::from_fn(prior), seen: 0 }
    }

    /// A draft of at most `max` tokens that follow `ids`, prompt and generated tokens; often none. Each call for a text
    /// gets all of its tokens so far.
    pub fn draft(&mut self, ids: &[u32], max: usize) -> Vec<u32> {
        let mut draft = Vec::new();
        if self.max == 0 {
            return draft;
        }
        self.learn(ids);
        let max = self.max.min(max);
        if max == 0 {
            return draft;
        }
        let mut text = window(ids).to_vec();
        let mut probability = 1.0;
        while draft.len() < max
            && let Some(Candidate { token, kind }) = candidate(&text)
        {
            let [right, all] = self.counts[kind];
            probability *= right / all;
            if probability < MIN_PROBABILITY {
                break;
            }
            draft.push(token);
            text.push(token);
        }
        draft
    }

    /// Learns from the tokens since the last call; the first call gets a prompt, which teaches nothing about the model.
    fn learn(&mut self, ids: &[u32]) {
        let first = if self.seen == 0 { ids.len() } else { self.seen };
        for end in first..ids.len() {
            if let Some(Candidate { token, kind }) = candidate(window(&ids[..end])) {
                let [right, all] = &mut self.counts[kind];
                // Older tokens count less.
                *right = 0.98 * *right + f32::from(u8::from(token == ids[end]));
                *all = 0.98 * *all + 1.0;
            }
        }
        self.seen = ids.len();
    }
}

fn window(ids: &[u32]) -> &[u32] {
    &ids[ids.len().saturating_sub(WINDOW)..]
}

/// The token that followed most of the earlier occurrences of the last tokens; without a majority, the one after the
/// longest occurrence, the latest of several.
fn candidate(ids: &[u32]) -> Option<Candidate> {
    let (&last, _) = ids.split_last()?;
    let (mut longest, mut found) = (MIN_MATCH - 1, None);
    let mut votes = Vec::with_capacity(MAX_VOTES);
    for end in (MIN_MATCH..ids.len()).rev().filter(|&end| ids[end - 1] == last) {
        let pairs = ids[..end].iter().rev().zip(ids.iter().rev());
        let shared = pairs.take(MAX_MATCH).take_while(|(earlier, last)| earlier == last).count();
        if shared >= MIN_MATCH && votes.len() < MAX_VOTES {
            votes.push(ids[end]);
        }
        if shared > longest {
            (longest, found) = (shared, Some(ids[end]));
        }
        if longest == MAX_MATCH && votes.len() == MAX_VOTES {
            break;
        }
    }
    let votes_for = |token: u32| votes.iter().filter(|&&vote| vote == token).count();
    let favorite = votes.iter().copied().max_by_key(|&token| votes_for(token));
    let token = favorite.filter(|&token| 2 * votes_for(token) > votes.len()).or(found)?;
    let agreement = match votes.len() {
        1 => 0,
        count => 1 + 4 * votes_for(token) / count,
    };
    Some(Candidate { token, kind: longest / 2 * AGREEMENTS + agreement })
}

#[cfg(test)]
mod tests {
    use super::PromptLookup;

    fn draft(ids: &[u32]) -> Vec<u32> {
        PromptLookup::new(16).draft(ids, 16)
    }

    /// The numbers of steps and of drafted tokens that a text takes after its first ten tokens.
    fn replay(ids: &[u32]) -> (usize, usize) {
        let (mut lookup, mut known, mut steps, mut drafted) = (PromptLookup::new(15), 10, 0, 0);
        while known < ids.len() {
            let draft = lookup.draft(&ids[..known], ids.len() - known - 1);
            let accepted = draft.iter().zip(&ids[known..]).take_while(|(draft, id)| draft == id).count();
            (known, steps, drafted) = (known + accepted + 1, steps + 1, drafted + draft.len());
        }
        (steps, drafted)
    }

    #[test]
    fn what_followed_most_earlier_occurrences_is_drafted() {
        assert_eq!(draft(&[1, 2, 3, 9, 1, 2, 3, 8, 1, 2, 3, 9, 1, 2]), [3]);
        assert!(draft(&[7, 7, 7, 7]).len() > 8);
    }

    #[test]
    fn nothing_is_drafted_without_agreement() {
        for ids in [&[][..], &[1], &[1, 1], &[1, 2, 3, 4, 3], &[1, 2, 3, 9, 1, 2], &[1, 2, 3, 1, 2, 4, 1, 2]] {
            assert!(draft(ids).is_empty(), "{ids:?}");
        }
        assert!(PromptLookup::new(0).draft(&[5; 9], 16).is_empty());
        assert!(PromptLookup::new(16).draft(&[5; 9], 0).is_empty());
        assert_eq!(PromptLookup::new(16).draft(&[5; 9], 2), [5; 2]);
        assert_eq!(PromptLookup::new(3).draft(&[5; 9], 16), [5; 3]);
    }

    #[test]
    fn single_occurrences_are_trusted_once_they_were_right() {
        let mut text: Vec<u32> = (100..200).collect();
        text.extend_from_within(..);
        let (steps, _) = replay(&text);
        assert!(steps < 90 + 20, "{steps}");
    }

    #[test]
    fn columns_without_order_are_not_drafted() {
        // Rows of four tokens that are the same and two that are not: of the four, two follow a known pair.
        let mut state = 1_u32;
        let mut digit = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            1000 + (state >> 24) % 100
        };
        let text: Vec<u32> = (0..100).flat_map(|_| [1, 2, 3, 4, digit(), digit()]).collect();
        let (steps, drafted) = replay(&text);
        assert!(steps < 400 && drafted < 260, "{steps} {drafted}");
    }
}
