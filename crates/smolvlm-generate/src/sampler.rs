//! The next token of a row of logits.

use crate::Error;

/// Chooses the next token of a row of logits: the likeliest one.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Sampler {}

impl Sampler {
    /// A sampler that takes the likeliest token.
    pub fn greedy() -> Self {
        Self {}
    }

    /// The index of the largest logit, the first one on ties, as torch's `argmax` has it.
    ///
    /// Logits that are NaN are passed over, where torch would take the first of them.
    ///
    /// # Shapes
    ///
    /// `logits`: `[vocabulary]`, the last position of one row.
    ///
    /// # Errors
    ///
    /// [`Error::NoNumber`] when the row is empty or every logit is NaN.
    pub fn sample(&mut self, logits: &[f32]) -> Result<u32, Error> {
        let mut best: Option<(u32, f32)> = None;
        for (token, &logit) in (0..).zip(logits) {
            // A comparison with NaN is false either way, so only the first number needs a look.
            let better = match best {
                Some((_, largest)) => logit > largest,
                None => !logit.is_nan(),
            };
            if better {
                best = Some((token, logit));
            }
        }
        best.map(|(token, _)| token).ok_or(Error::NoNumber { vocabulary: logits.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greedy(logits: &[f32]) -> Result<u32, Error> {
        Sampler::greedy().sample(logits)
    }

    #[test]
    fn takes_the_first_of_the_largest() {
        assert_eq!(greedy(&[2.0, 1.0, 0.5, -1.0, 3.0, 0.0, -2.0, 2.5]), Ok(4));
        assert_eq!(greedy(&[1.0, 1.0, 1.0, 0.0]), Ok(0));
        assert_eq!(greedy(&[-3.0, -1.0, -2.0, -1.0]), Ok(1));
        assert_eq!(greedy(&[-0.0, 0.0]), Ok(0));
        assert_eq!(greedy(&[f32::MAX, f32::INFINITY, f32::INFINITY]), Ok(1));
    }

    #[test]
    fn masked_rows_have_an_answer() {
        let masked = f32::NEG_INFINITY;
        assert_eq!(greedy(&[masked, masked, -1e30]), Ok(2));
        assert_eq!(greedy(&[masked, masked]), Ok(0));
    }

    #[test]
    fn passes_nan_over_wherever_it_stands() {
        let nan = f32::NAN;
        assert_eq!(greedy(&[nan, -5.0, nan, -4.0, nan]), Ok(3));
        assert_eq!(greedy(&[nan, f32::NEG_INFINITY]), Ok(1));
    }

    #[test]
    fn a_row_without_numbers_is_an_error() {
        assert_eq!(greedy(&[f32::NAN; 3]), Err(Error::NoNumber { vocabulary: 3 }));
        assert_eq!(greedy(&[]), Err(Error::NoNumber { vocabulary: 0 }));
        assert!(greedy(&[f32::NAN; 3]).unwrap_err().to_string().contains("all 3 logits are NaN"));
    }
}
