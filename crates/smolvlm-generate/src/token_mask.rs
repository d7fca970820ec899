//! Sets of allowed tokens.

/// The tokens that may be selected next, one bit per token. Tokens outside the set's range are not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMask {
    words: Vec<u32>,
}

impl TokenMask {
    /// A mask that allows these tokens.
    pub fn new(tokens: impl IntoIterator<Item = u32>) -> Self {
        let mut mask = Self { words: Vec::new() };
        tokens.into_iter().for_each(|token| mask.set(token, true));
        mask
    }

    /// A mask of 32 tokens per word, the first one in the lowest bit.
    #[cfg(feature = "constrain")]
    pub(crate) fn from_words(words: Vec<u32>) -> Self {
        Self { words }
    }

    /// Allows or forbids a token.
    pub fn set(&mut self, token: u32, allowed: bool) {
        let (word, bit) = (token as usize / 32, 1 << (token % 32));
        if allowed && word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word = if allowed { *word | bit } else { *word & !bit };
        }
    }

    /// Whether a token is allowed.
    pub fn allows(&self, token: u32) -> bool {
        self.words.get(token as usize / 32).is_some_and(|word| word >> (token % 32) & 1 == 1)
    }

    /// Whether exactly one token is allowed.
    pub(crate) fn is_single(&self) -> bool {
        self.words.iter().map(|word| word.count_ones()).sum::<u32>() == 1
    }

    /// Sets the scores of all other tokens to minus infinity.
    ///
    /// # Shapes
    ///
    /// `scores`: `[vocabulary]`.
    pub fn apply(&self, scores: &mut [f32]) {
        for (index, scores) in scores.chunks_mut(32).enumerate() {
            match self.words.get(index).copied().unwrap_or(0) {
                u32::MAX => {}
                0 => scores.fill(f32::NEG_INFINITY),
                word => {
                    let forbidden = scores.iter_mut().enumerate().filter(|(bit, _)| word >> bit & 1 == 0);
                    forbidden.for_each(|(_, score)| *score = f32::NEG_INFINITY);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TokenMask;

    #[test]
    fn only_tokens_of_the_mask_keep_their_scores() {
        let mut mask = TokenMask::new([3, 64, 65]);
        mask.set(65, false);
        mask.set(1000, false);
        let mut scores = vec![1.5; 100];
        mask.apply(&mut scores);
        for (token, &score) in (0..).zip(&scores) {
            assert_eq!(mask.allows(token), [3, 64].contains(&token));
            assert_eq!(score, if mask.allows(token) { 1.5 } else { f32::NEG_INFINITY });
        }
        assert!(!mask.allows(u32::MAX) && !mask.is_single());
        mask.set(64, false);
        assert!(mask.is_single());
    }

    #[test]
    fn full_words_change_nothing() {
        let mut scores = [0.5; 40];
        TokenMask::new(0..40).apply(&mut scores);
        assert_eq!(scores, [0.5; 40]);
    }
}
