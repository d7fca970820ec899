//! Small searches with known results. Reference values are in `tests/goldens.rs`.

use super::*;

const EOS: u32 = 0;
const MASKED: f32 = f32::NEG_INFINITY;

fn params(beams: usize) -> SamplingParams {
    SamplingParams::greedy().num_beams(beams).eos_token_ids([EOS]).max_new_tokens(3)
}

fn never_stopped(_: &[u32]) -> Result<bool, Error> {
    Ok(false)
}

/// Runs a search on a model whose logits depend on the generated tokens.
fn search(mut search: BeamSearch, model: impl Fn(&[u32]) -> Vec<f32>) -> Vec<Hypothesis> {
    let mut texts = vec![Vec::new(); search.beams()];
    loop {
        let logits: Vec<f32> = texts.iter().flat_map(|text| model(text)).collect();
        match search.advance(&logits, &mut never_stopped).unwrap() {
            BeamStep::Done => return search.finish(),
            BeamStep::Continue { parents, tokens } => {
                let grown = parents.iter().zip(&tokens).map(|(&parent, &token)| {
                    let mut text: Vec<u32> = texts[parent].clone();
                    text.push(token);
                    text
                });
                texts = grown.collect();
            }
        }
    }
}

fn logs(probs: &[f32]) -> Vec<f32> {
    probs.iter().map(|prob| prob.ln()).collect()
}

/// A model whose most likely first token leads to unlikely sequences.
fn misleading_first_token(text: &[u32]) -> Vec<f32> {
    match text {
        [] => logs(&[0.0, 0.6, 0.4]),
        [1] => logs(&[0.4, 0.3, 0.3]),
        _ => logs(&[1.0, 0.0, 0.0]),
    }
}

#[test]
fn beam_search_finds_better_sequences_than_greedy_decoding() {
    let best = search(BeamSearch::new(&params(2), &[9], 3).unwrap(), misleading_first_token);
    assert_eq!(best.len(), 1);
    assert_eq!((best[0].tokens.as_slice(), best[0].finish_reason), (&[2, EOS][..], FinishReason::Eos));
    assert!((best[0].score - 0.4_f32.ln() / 2.0).abs() < 1e-6);
}

#[test]
fn hypotheses_are_sorted_best_first() {
    let best = search(BeamSearch::new(&params(2).num_return_sequences(2), &[9], 3).unwrap(), misleading_first_token);
    assert_eq!(best.iter().map(|text| text.tokens.clone()).collect::<Vec<_>>(), [vec![2, EOS], vec![1, EOS]]);
    assert!(best[0].score > best[1].score);
}

#[test]
fn maximum_length_ends_all_sequences() {
    let best =
        search(BeamSearch::new(&params(2).num_return_sequences(2), &[9], 3).unwrap(), |_| vec![MASKED, 1.0, 0.0]);
    assert!(best.iter().all(|text| text.tokens.len() == 3 && text.finish_reason == FinishReason::Length));
    assert_eq!(best[0].tokens, [1, 1, 1]);
}

#[test]
fn first_step_continues_only_one_beam() {
    let mut search = BeamSearch::new(&params(2), &[9], 4).unwrap();
    let logits = [MASKED, 1.0, 5.0, 1.5];
    let step = search.advance(&[logits, logits].concat(), &mut never_stopped).unwrap();
    assert_eq!(step, BeamStep::Continue { parents: vec![0, 0], tokens: vec![2, 3] });
}

#[test]
fn sequence_ending_below_the_best_candidates_is_dropped() {
    // The end token is third among the continuations of two beams, and better than everything that follows.
    let model =
        |text: &[u32]| if text.is_empty() { logs(&[0.2, 0.4, 0.3, 0.1]) } else { logs(&[0.0, 0.1, 0.45, 0.45]) };
    let params = params(2).length_penalty(0.0).max_new_tokens(2);
    let best = search(BeamSearch::new(&params, &[9], 4).unwrap(), model);
    assert_eq!(best[0].tokens.len(), 2);
}

#[test]
fn impossible_sequences_do_not_count_as_finished() {
    let params = params(2).num_return_sequences(2);
    let best = search(BeamSearch::new(&params, &[9], 3).unwrap(), |_| vec![0.0, MASKED, MASKED]);
    assert_eq!((best[0].tokens.as_slice(), best[0].finish_reason), (&[EOS][..], FinishReason::Eos));
    assert_ne!(best[1].finish_reason, FinishReason::Eos);
}

#[test]
fn enough_candidates_remain_beside_all_end_tokens() {
    let params = params(1).eos_token_ids([0, 1]).early_stopping(EarlyStopping::WhenImpossible).length_penalty(2.0);
    let mut search = BeamSearch::new(&params, &[9], 3).unwrap();
    let step = search.advance(&logs(&[0.4, 0.35, 0.25]), &mut never_stopped);
    assert_eq!(step, Ok(BeamStep::Continue { parents: vec![0], tokens: vec![2] }));
}

#[test]
fn caller_can_stop_sequences() {
    let mut search = BeamSearch::new(&params(1), &[9], 4).unwrap();
    let mut seen = Vec::new();
    let mut stopped = |text: &[u32]| {
        seen.push(text.to_vec());
        Ok(text == [2])
    };
    let step = search.advance(&[MASKED, 1.0, 3.0, 2.0], &mut stopped).unwrap();
    assert_eq!(step, BeamStep::Done);
    assert_eq!(seen, [[2], [3]]);
    let best = search.finish();
    assert_eq!((best[0].tokens.as_slice(), best[0].finish_reason), (&[2][..], FinishReason::StopString));
}

#[test]
fn errors_of_the_callback_are_returned() {
    let mut search = BeamSearch::new(&params(1), &[9], 4).unwrap();
    let error = Error::NoToken { vocabulary: 7 };
    assert_eq!(search.advance(&[0.0; 4], &mut |_| Err(error.clone())), Err(error));
}

#[test]
fn interrupted_search_has_its_finish_reason() {
    let interrupted = |steps: usize| {
        let mut search = BeamSearch::new(&params(2).num_return_sequences(2), &[9], 3).unwrap();
        search.advance(&[MASKED, 2.0, 1.0, MASKED, 2.0, 1.0], &mut never_stopped).unwrap();
        search.interrupt(FinishReason::Time);
        for _ in 0..steps {
            assert_eq!(search.advance(&[MASKED, 2.0, 1.0, MASKED, 2.0, 1.0], &mut never_stopped), Ok(BeamStep::Done));
        }
        search.finish().into_iter().map(|text| (text.tokens, text.finish_reason)).collect::<Vec<_>>()
    };
    assert_eq!(interrupted(0), [(vec![1], FinishReason::Time), (vec![2], FinishReason::Time)]);
    assert_eq!(interrupted(1), [(vec![1, 1], FinishReason::Time), (vec![1, 2], FinishReason::Time)]);
}

#[test]
fn wrong_logits_sizes_are_errors() {
    let vocabulary = BeamSearch::new(&params(2).eos_token_ids([0, 1]), &[9], 2).map(|_| ());
    assert_eq!(vocabulary, Err(Error::Vocabulary { vocabulary: 2, needed: 3 }));
    assert_eq!(BeamSearch::new(&params(2), &[9], 1).map(|_| ()), Err(Error::Vocabulary { vocabulary: 1, needed: 2 }));
    assert!(matches!(BeamSearch::new(&params(0), &[9], 9), Err(Error::Invalid { parameter: "num_beams", .. })));
    assert!(matches!(BeamSearch::new(&params(1).max_length(1), &[9], 9), Err(Error::MaxLength { .. })));
    let mut search = BeamSearch::new(&params(2), &[9], 3).unwrap();
    let logits = search.advance(&[0.0; 5], &mut never_stopped);
    assert_eq!(logits, Err(Error::BeamLogits { beams: 2, vocabulary: 3, found: 5 }));
    assert_eq!(search.advance(&[f32::NAN; 6], &mut never_stopped), Err(Error::AllNan { vocabulary: 3 }));
}

#[test]
fn sampled_beams_depend_on_seed_and_stream() {
    let params = params(2).do_sample(true).num_return_sequences(2).max_new_tokens(6);
    let flat = |_: &[u32]| vec![0.0; 30];
    let run =
        |seed, stream| search(BeamSearch::new(&params.clone().seed(seed), &[9], 30).unwrap().stream(stream), flat);
    assert_eq!(run(1, 0), run(1, 0));
    assert_ne!(run(1, 0), run(1, 1));
    assert_ne!(run(1, 0), run(2, 0));
    assert!(run(1, 0).iter().all(|text| text.tokens.len() == 6 || text.tokens.ends_with(&[EOS])));
}

/// When sampling without replacement, the first sample follows the probabilities and the second those of the remaining
/// items.
#[test]
fn sampling_without_replacement_follows_the_probabilities() {
    let probs = [0.5_f32, 0.3, 0.2, 0.0];
    let mut random = Random::new(Some(3), 0);
    let mut counts = [[0_u32; 3]; 3];
    let total = 100_000;
    for _ in 0..total {
        let drawn = draw(&logs(&probs), &mut random, 2);
        counts[drawn[0].index][drawn[1].index] += 1;
    }
    let mut chi_square = 0.0;
    for first in 0..3 {
        for second in (0..3).filter(|&second| second != first) {
            let expected = f64::from(probs[first] * probs[second] / (1.0 - probs[first])) * f64::from(total);
            chi_square += (f64::from(counts[first][second]) - expected).powi(2) / expected;
        }
        assert_eq!(counts[first][first], 0);
    }
    // The 0.999 quantile for 5 degrees of freedom.
    assert!(chi_square < 20.52, "{chi_square}");
}
