//! Which token comes next.

use crate::Error;

/// Chooses tokens from logits.
#[derive(Debug, Clone, Default)]
pub struct Sampler {}

impl Sampler {
    /// The likeliest token each time.
    pub fn greedy() -> Self {
        Self {}
    }

    /// The index of the largest logit, the first one on ties (torch's `argmax`). Values that are not numbers are passed
    /// over.
    ///
    /// # Errors
    ///
    /// [`Error::NoNumbers`] when no value is a number, or there is none at all.
    pub fn sample(&mut self, logits: &[f32]) -> Result<u32, Error> {
        let mut best: Option<(u32, f32)> = None;
        for (token, &logit) in (0..).zip(logits) {
            if !logit.is_nan() && best.is_none_or(|(_, most)| logit > most) {
                best = Some((token, logit));
            }
        }
        best.map(|(token, _)| token).ok_or(Error::NoNumbers { vocabulary: logits.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::Sampler;
    use crate::Error;

    #[test]
    fn the_first_of_the_largest() {
        let sample = |logits: &[f32]| Sampler::greedy().sample(logits);
        assert_eq!(sample(&[1.0, 1.0, 1.0, 0.0]), Ok(0));
        assert_eq!(sample(&[-3.0, -1.0, f32::NEG_INFINITY, -1.0]), Ok(1));
        assert_eq!(sample(&[f32::NAN, -2.0, f32::NAN, 5.0]), Ok(3));
        assert_eq!(sample(&[f32::NEG_INFINITY; 2]), Ok(0));
        assert_eq!(sample(&[f32::NAN; 3]), Err(Error::NoNumbers { vocabulary: 3 }));
        assert_eq!(sample(&[]), Err(Error::NoNumbers { vocabulary: 0 }));
    }
}
