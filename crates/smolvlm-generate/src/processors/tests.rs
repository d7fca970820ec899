//! Worked examples of all processors, and tests of their order.

use super::*;
use crate::{ExponentialDecay, SequenceBias};

const ROW: [f32; 8] = [2.0, 1.0, 0.5, -1.0, 3.0, 0.0, -2.0, 2.5];
const IDS: [u32; 5] = [4, 1, 3, 4, 1];
const MASKED: f32 = f32::NEG_INFINITY;

fn greedy() -> SamplingParams {
    SamplingParams::greedy()
}

/// Sampling without the default top-k.
fn sampling() -> SamplingParams {
    SamplingParams::sampling().top_k(0)
}

fn process(params: &SamplingParams, ids: &[u32], prompt_len: usize, row: &[f32]) -> Vec<f32> {
    let mut scores = row.to_vec();
    LogitsProcessors::new(params).apply(ids, prompt_len, &mut scores).unwrap();
    scores
}

fn scores(params: &SamplingParams) -> Vec<f32> {
    process(params, &IDS, 2, &ROW)
}

/// The tokens that are not masked.
fn kept(params: &SamplingParams, row: &[f32]) -> Vec<usize> {
    let scores = process(params, &IDS, 2, row);
    let kept: Vec<usize> = (0..row.len()).filter(|&token| scores[token] > MASKED).collect();
    assert!(kept.iter().all(|&token| scores[token] == row[token]), "a kept score changed");
    kept
}

fn close(params: &SamplingParams, expected: [f32; 8]) {
    let actual = scores(params);
    for (a, e) in actual.iter().zip(expected) {
        assert!((a - e).abs() <= 1e-6, "{actual:?}");
    }
}

#[test]
fn default_parameters_change_nothing() {
    assert!(LogitsProcessors::new(&greedy()).is_empty());
    assert!(LogitsProcessors::new(&sampling()).is_empty());
    assert!(LogitsProcessors::new(&greedy().temperature(0.5).top_p(0.5).min_p(0.5)).is_empty());
    assert!(!LogitsProcessors::new(&SamplingParams::sampling()).is_empty());
}

#[test]
fn temperature() {
    let expected = [2.857143, 1.428571, 0.714286, -1.428571, 4.285714, 0.0, -2.857143, 3.571429];
    close(&sampling().temperature(0.7), expected);
}

#[test]
fn repetition_penalty() {
    close(&greedy().repetition_penalty(1.3), [2.0, 0.769231, 0.5, -1.3, 2.307692, 0.0, -2.0, 2.5]);
    let beyond = process(&greedy().repetition_penalty(1.3), &[0, 900], 2, &ROW);
    assert_eq!(beyond[1..], ROW[1..]);
}

/// The prompt is tokens 4 and 1; the text is 3, 4 and 1.
#[test]
fn frequency_and_presence_penalty() {
    close(&greedy().frequency_penalty(0.5), [2.0, 0.5, 0.5, -1.5, 2.5, 0.0, -2.0, 2.5]);
    close(&greedy().presence_penalty(-1.5), [2.0, 2.5, 0.5, 0.5, 4.5, 0.0, -2.0, 2.5]);
    let both = greedy().frequency_penalty(0.5).presence_penalty(0.25);
    let scores = |ids: &[u32], prompt_len| process(&both, ids, prompt_len, &ROW);
    assert_eq!(scores(&[4, 4, 0, 4, 900, 4], 1), [1.25, 1.0, 0.5, -1.0, 1.25, 0.0, -2.0, 2.5]);
    assert_eq!(scores(&[4, 1], 2), ROW, "the prompt has no effect");
    assert_eq!(scores(&[4, 1], 3), ROW);
    let masked = process(&both, &[0, 0], 0, &[MASKED, 1.0]);
    assert_eq!(masked, [MASKED, 1.0]);
}

#[test]
fn top_k() {
    assert_eq!(scores(&sampling().top_k(3)), [2.0, MASKED, MASKED, MASKED, 3.0, MASKED, MASKED, 2.5]);
    assert_eq!(kept(&sampling().top_k(2), &[1.0, 1.0, 1.0, 0.0]), [0, 1, 2]);
    assert_eq!(kept(&sampling().top_k(9), &ROW).len(), 8);
}

#[test]
fn top_p() {
    assert_eq!(kept(&sampling().top_p(0.5), &ROW), [4, 7]);
    assert_eq!(kept(&sampling().top_p(0.75), &ROW), [0, 4, 7]);
    assert_eq!(kept(&sampling().top_p(0.9), &ROW), [0, 1, 4, 7]);
    assert_eq!(kept(&sampling().top_p(0.95), &ROW), [0, 1, 2, 4, 7]);
    assert_eq!(kept(&sampling().top_p(0.4), &[1.0, 1.0, 1.0, 0.0]), [1, 2]);
    assert_eq!(kept(&sampling().top_p(0.0), &ROW), [4]);
    // Reaching the mass exactly is enough; 0.8 is four fifths.
    assert_eq!(kept(&sampling().top_p(0.5), &[0.0, 0.0]), [1]);
    assert_eq!(kept(&sampling().top_p(0.8), &[0.0; 5]), [1, 2, 3, 4]);
}

#[test]
fn min_p() {
    assert_eq!(kept(&sampling().min_p(0.05), &ROW), [0, 1, 2, 4, 7]);
    assert_eq!(kept(&sampling().min_p(0.1), &ROW), [0, 1, 4, 7]);
    assert_eq!(kept(&sampling().min_p(0.5), &ROW), [4, 7]);
    assert_eq!(kept(&sampling().min_p(1.0), &ROW), [4]);
    assert_eq!(kept(&sampling().min_p(0.0), &ROW).len(), 8);
}

#[test]
fn typical_p() {
    assert_eq!(kept(&sampling().typical_p(0.2), &ROW), [7]);
    assert_eq!(kept(&sampling().typical_p(0.5), &ROW), [0, 4, 7]);
    assert_eq!(kept(&sampling().typical_p(0.9), &ROW), [0, 1, 4, 7]);
    assert_eq!(kept(&sampling().typical_p(0.75), &[3.0_f32.ln(), 0.0]), [0], "exactly the mass is enough");
}

#[test]
fn cutoffs() {
    assert_eq!(kept(&sampling().epsilon_cutoff(0.05), &ROW), [0, 1, 4, 7]);
    assert_eq!(kept(&sampling().eta_cutoff(0.05), &ROW), [0, 1, 4, 7]);
    assert_eq!(kept(&sampling().epsilon_cutoff(0.99), &ROW), [4]);
}

#[test]
fn top_h() {
    assert_eq!(kept(&sampling().top_h(0.4), &ROW), [4]);
    assert_eq!(kept(&sampling().top_h(1.0), &[0.0; 300]), (0..100).collect::<Vec<_>>());
    assert_eq!(kept(&sampling().top_h(0.5), &[7.0]), [0]);
}

#[test]
fn beams_keep_more_tokens_than_there_are_end_tokens() {
    let beams = |eos: &[u32]| sampling().num_beams(2).eos_token_ids(eos.iter().copied());
    for (eos, expected) in [(&[][..], 2), (&[0], 2), (&[0, 1], 3), (&[0, 1, 2], 4)] {
        for params in [
            beams(eos).top_k(1),
            beams(eos).top_p(0.01),
            beams(eos).min_p(1.0),
            beams(eos).typical_p(0.01),
            beams(eos).epsilon_cutoff(0.99),
            beams(eos).eta_cutoff(0.99),
        ] {
            assert_eq!(kept(&params, &ROW).len(), expected, "{params:?}");
        }
    }
    assert_eq!(kept(&beams(&[]).min_p(1.0), &[1.0, 1.0, 1.0, 0.0]), [0, 1, 2]);
}

#[test]
fn repeated_ngrams() {
    let out = |size| -> Vec<usize> {
        let scores = scores(&greedy().no_repeat_ngram_size(size));
        (0..8).filter(|&token| scores[token] == MASKED).collect()
    };
    assert_eq!((out(1), out(2), out(3)), (vec![1, 3, 4], vec![3], vec![3]));
    assert_eq!((out(4), out(5), out(6), out(99)), (vec![], vec![], vec![], vec![]));
    assert_eq!(process(&greedy().no_repeat_ngram_size(1), &[900], 1, &ROW), ROW);
}

#[test]
fn bad_words() {
    let words = [vec![5], vec![2], vec![4, 1, 7], vec![1, 4, 6], vec![1; 6]];
    let scores = scores(&greedy().bad_words_ids(words).eos_token_ids([2]));
    assert_eq!(scores, [2.0, 1.0, 0.5, -1.0, 3.0, MASKED, -2.0, MASKED]);
}

#[test]
fn sequence_biases() {
    let bias = |tokens: &[u32], bias| SequenceBias { tokens: tokens.to_vec(), bias };
    let all = [bias(&[5], 9.0), bias(&[1, 0], 0.5), bias(&[3, 7], 4.0), bias(&[4, 1, 0], -1.5), bias(&[5], 1.25)];
    assert_eq!(scores(&greedy().sequence_bias(all)), [1.0, 1.0, 0.5, -1.0, 3.0, 1.25, -2.0, 2.5]);
}

#[test]
fn lengths() {
    let out = [2.0, 1.0, MASKED, -1.0, 3.0, 0.0, -2.0, MASKED];
    let eos = greedy().eos_token_ids([2, 7, 900]);
    assert_eq!(scores(&eos.clone().min_length(6)), out);
    assert_eq!(scores(&eos.clone().min_length(5)), ROW);
    assert_eq!(scores(&eos.clone().min_new_tokens(4)), out);
    assert_eq!(scores(&eos.clone().min_new_tokens(3).min_length(100)), ROW);
    assert_eq!(scores(&greedy().min_length(100)), ROW);
}

#[test]
fn forced_tokens() {
    let forced = [MASKED, MASKED, 0.0, MASKED, MASKED, MASKED, MASKED, MASKED];
    let bos = greedy().forced_bos_token_id(2);
    assert_eq!((process(&bos, &[1], 1, &ROW), process(&bos, &[1, 1], 2, &ROW)), (forced.to_vec(), ROW.to_vec()));
    let eos = greedy().forced_eos_token_ids([2]);
    assert_eq!(scores(&eos.clone().max_new_tokens(4)), forced);
    assert_eq!(scores(&eos.clone().max_new_tokens(5)), ROW);
    assert_eq!(scores(&eos.clone().max_new_tokens(3)), ROW);
    assert_eq!(scores(&eos.max_length(6)), forced);
}

#[test]
fn exponential_decay() {
    let decay = |start| greedy().exponential_decay(ExponentialDecay { start, factor: 1.5 });
    assert_eq!(scores(&decay(1).eos_token_ids([4, 4]))[4], 6.75);
    assert_eq!(scores(&decay(1).eos_token_ids([3]))[3], 0.25);
    assert_eq!(scores(&decay(3).eos_token_ids([4])), ROW);
    assert_eq!(scores(&decay(usize::MAX).eos_token_ids([4])), ROW);
    assert_eq!(scores(&decay(1)), ROW);
    let huge = greedy().exponential_decay(ExponentialDecay { start: 0, factor: f64::MAX }).eos_token_ids([1, 5]);
    let scores = scores(&huge);
    assert_eq!((scores[1], scores[5]), (f32::MAX, 0.0));
}

#[test]
fn suppressed_tokens() {
    let out = [2.0, 1.0, MASKED, -1.0, 3.0, 0.0, -2.0, 2.5];
    assert_eq!(scores(&greedy().suppress_tokens([2, 900])), out);
    let first = greedy().begin_suppress_tokens([2, 900]);
    assert_eq!(scores(&first), ROW);
    assert_eq!(process(&first, &IDS, 5, &ROW), out);
    let forced = first.clone().forced_bos_token_id(3);
    assert_eq!(process(&forced, &[1], 1, &ROW)[3], 0.0);
    assert_eq!(process(&forced, &[1, 3], 1, &ROW), out);
    assert_eq!(process(&forced, &IDS, 5, &ROW), out);
}

#[test]
fn invalid_values() {
    let row = [f32::NAN, f32::INFINITY, MASKED, -1.0];
    assert_eq!(process(&greedy().remove_invalid_values(true), &IDS, 2, &row), [0.0, f32::MAX, f32::MIN, -1.0]);
}

#[test]
fn renormalized() {
    let expected = [-1.818312, -2.818312, -3.318312, -4.818312, -0.818312, -3.818312, -5.818312, -1.318312];
    close(&greedy().renormalize_logits(true), expected);
    assert_eq!(process(&greedy().renormalize_logits(true), &IDS, 2, &[MASKED, MASKED]), [MASKED, MASKED]);
}

#[test]
fn processors_run_in_the_order_of_the_reference() {
    // The order is bias, penalty, removal of invalid values, suppression.
    let bias = [SequenceBias { tokens: vec![3], bias: 3.0 }];
    assert_eq!(scores(&greedy().sequence_bias(bias).repetition_penalty(2.0))[3], 1.0);
    let params = greedy().bad_words_ids([vec![5]]).remove_invalid_values(true).suppress_tokens([6]);
    assert_eq!(scores(&params)[5..7], [f32::MIN, MASKED]);
    // Temperature comes before top-p: the most likely token alone then reaches 0.5.
    assert_eq!(scores(&sampling().temperature(0.25).top_p(0.5).renormalize_logits(true))[4], 0.0);
    // Top-k comes before top-p: among two tokens, the second has more than a third.
    let row = [1.0, 0.9, 0.8, 0.8, 0.8, 0.8];
    assert_eq!(kept(&sampling().top_k(2).epsilon_cutoff(0.4), &row), [0, 1]);
}

#[test]
fn tokens_outside_the_vocabulary_are_errors() {
    let bias = [SequenceBias { tokens: vec![0, 8], bias: 1.0 }];
    for (params, parameter) in [
        (greedy().sequence_bias(bias), "sequence_bias"),
        (greedy().bad_words_ids([vec![8], vec![1]]), "bad_words_ids"),
        (greedy().forced_bos_token_id(8), "forced_bos_token_id"),
        (greedy().forced_eos_token_ids([1, 8]), "forced_eos_token_id"),
        (greedy().eos_token_ids([8]).exponential_decay(ExponentialDecay { start: 0, factor: 1.5 }), "eos_token_id"),
    ] {
        let result = LogitsProcessors::new(&params).apply(&IDS, 2, &mut ROW.to_vec());
        assert_eq!(result, Err(Error::Token { parameter, token: 8, vocabulary: 8 }));
    }
}
