//! The token sequences that count as an answer, and what their log-probabilities say about the answers.

use super::question::Possible;
use crate::Error;
use smolvlm_processor::Processor;

/// Lower bound of the probability that a text ends with a form that starts longer ones, so that its logarithm is
/// finite.
const MIN_SHARE: f64 = 1e-12;
/// Smallest log-probability of an answer, so that sums stay finite.
const MIN_LOGPROB: f64 = -9999.0;

/// A spelling of an answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Form {
    pub(super) tokens: Vec<u32>,
    /// Index of the answer.
    answer: usize,
}

/// The spellings of all answers, sorted by their tokens. `space` precedes each of them, as models generate it.
///
/// # Errors
///
/// The indices of two answers with the same spelling, and errors of the tokenizer.
pub(super) fn forms(
    processor: &Processor,
    answers: &[Possible],
    space: &str,
) -> Result<Result<Vec<Form>, [usize; 2]>, Error> {
    let mut forms = Vec::new();
    for (answer, possible) in answers.iter().enumerate() {
        for spelling in &possible.spellings {
            let tokens = processor.encode_continuation(&format!("{space}{spelling}"))?;
            forms.push(Form { tokens, answer });
        }
    }
    forms.sort();
    forms.dedup();
    let same = forms.windows(2).find(|pair| pair[0].tokens == pair[1].tokens);
    Ok(match same {
        Some(pair) => Err([pair[0].answer, pair[1].answer]),
        None => Ok(forms),
    })
}

/// The log-probability of each of `count` answers. `scores` are those of texts that start with each of the
/// [`forms`]. A text counts for the longest form that it starts with, so that the answers exclude each other even if
/// one starts with another, such as 1 and 10.
pub(super) fn answer_logprobs(forms: &[Form], scores: &[f64], count: usize) -> Vec<f64> {
    let scores: Vec<f64> = scores.iter().map(|score| score.max(MIN_LOGPROB)).collect();
    // The share of each form that starts longer ones.
    let mut taken = vec![0.0; forms.len()];
    // Forms that start the current one, shortest first: in sorted order, they precede it.
    let mut starts: Vec<usize> = Vec::new();
    for (index, form) in forms.iter().enumerate() {
        while starts.last().is_some_and(|&start| !form.tokens.starts_with(&forms[start].tokens)) {
            starts.pop();
        }
        if let Some(&start) = starts.last() {
            taken[start] += (scores[index] - scores[start]).exp();
        }
        starts.push(index);
    }
    let mut spellings = vec![Vec::new(); count];
    for ((form, score), taken) in forms.iter().zip(&scores).zip(&taken) {
        let own = score + (1.0 - taken).max(MIN_SHARE).ln();
        spellings[form.answer].push(own);
    }
    spellings.iter().map(|logprobs| log_sum(logprobs).max(MIN_LOGPROB)).collect()
}

/// The logarithm of the sum of exponentials.
pub(super) fn log_sum(logprobs: &[f64]) -> f64 {
    let max = logprobs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return max;
    }
    max + logprobs.iter().map(|logprob| (logprob - max).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(answer: usize, tokens: &[u32]) -> Form {
        Form { tokens: tokens.to_vec(), answer }
    }

    fn probabilities(forms: &[Form], probabilities: &[f64], count: usize) -> Vec<f64> {
        let scores: Vec<f64> = probabilities.iter().map(|probability| probability.ln()).collect();
        answer_logprobs(forms, &scores, count).into_iter().map(f64::exp).collect()
    }

    #[track_caller]
    fn assert_near(found: &[f64], expected: &[f64]) {
        let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(near && found.len() == expected.len(), "{found:?}, not {expected:?}");
    }

    #[test]
    fn spellings_of_an_answer_are_added() {
        let forms = [form(0, &[1]), form(1, &[2]), form(0, &[3])];
        assert_near(&probabilities(&forms, &[0.5, 0.2, 0.25], 2), &[0.75, 0.2]);
    }

    #[test]
    fn texts_count_for_the_longest_answer_that_they_start_with() {
        // 1, 10, 100, 11 and 2.
        let forms = [form(0, &[1]), form(1, &[1, 0]), form(2, &[1, 0, 0]), form(3, &[1, 1]), form(4, &[2])];
        let found = probabilities(&forms, &[0.8, 0.4, 0.1, 0.3, 0.2], 5);
        assert_near(&found, &[0.1, 0.3, 0.1, 0.3, 0.2]);
    }

    #[test]
    fn impossible_answers_stay_finite() {
        let forms = [form(0, &[1]), form(1, &[1, 2])];
        for scores in [[0.0, 0.0], [f64::NEG_INFINITY, f64::NEG_INFINITY], [-1.0, -0.999_999]] {
            let found = answer_logprobs(&forms, &scores, 2);
            assert!(found.iter().all(|logprob| logprob.is_finite()), "{found:?}");
        }
    }
}
