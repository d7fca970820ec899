//! Property tests on random rows of scores.

use smolvlm_generate::{BeamSearch, BeamStep, Error, LogitsProcessors, Sampler, SamplingParams};

/// A linear congruential generator, so that the rows never change.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn fraction(&mut self) -> f32 {
        self.below(1 << 20) as f32 / (1 << 20) as f32
    }

    /// Distinct scores in random order.
    fn row(&mut self) -> Vec<f32> {
        let scale = [0.001, 0.1, 1.0, 30.0][self.below(4)];
        let mut row: Vec<f32> = (0..1 + self.below(300)).map(|index| index as f32 * scale / 7.0).collect();
        for index in (1..row.len()).rev() {
            row.swap(index, self.below(index + 1));
        }
        row
    }
}

fn sampling() -> SamplingParams {
    SamplingParams::sampling().top_k(0)
}

/// Several values per truncation, from the strictest to the loosest.
fn truncations() -> Vec<Vec<SamplingParams>> {
    vec![
        [1, 2, 7, 50, 200].map(|k| sampling().top_k(k)).to_vec(),
        [0.0, 0.1, 0.5, 0.9, 0.99, 1.0].map(|p| sampling().top_p(p)).to_vec(),
        [1.0, 0.5, 0.1, 0.001, 0.0].map(|p| sampling().min_p(p)).to_vec(),
        [0.01, 0.2, 0.5, 0.9, 1.0].map(|p| sampling().typical_p(p)).to_vec(),
        [0.01, 0.3, 0.6, 1.0].map(|h| sampling().top_h(h)).to_vec(),
        [0.9, 0.1, 0.01, 1e-5, 0.0].map(|e| sampling().epsilon_cutoff(e)).to_vec(),
        [0.9, 0.1, 0.01, 1e-5, 0.0].map(|e| sampling().eta_cutoff(e)).to_vec(),
    ]
}

fn process(params: &SamplingParams, row: &[f32]) -> Vec<f32> {
    let mut scores = row.to_vec();
    LogitsProcessors::new(params).apply(&[0], 1, &mut scores).unwrap();
    scores
}

fn stays(score: f32) -> bool {
    score > f32::NEG_INFINITY
}

#[test]
fn truncation_keeps_the_most_likely_token_and_is_monotonic() {
    let mut random = Lcg(1);
    for _ in 0..100 {
        let row = random.row();
        for family in truncations() {
            let by_likelihood = family[0].typical_p == 1.0;
            let mut stricter = vec![f32::NEG_INFINITY; row.len()];
            for params in family {
                let scores = process(&params, &row);
                assert!(scores.iter().any(|&score| stays(score)), "nothing stays: {params:?}");
                assert!(scores.iter().zip(&row).all(|(after, before)| !stays(*after) || after == before));
                assert!(scores.iter().zip(&stricter).all(|(now, then)| stays(*now) || !stays(*then)), "{params:?}");
                let least = scores.iter().copied().filter(|&score| stays(score)).fold(f32::INFINITY, f32::min);
                let removed = |(after, before): (&f32, &f32)| (!stays(*after)).then_some(*before);
                let most = scores.iter().zip(&row).filter_map(removed).fold(f32::NEG_INFINITY, f32::max);
                assert!(!by_likelihood || most < least || params.typical_p < 1.0, "{params:?}");
                stricter = scores;
            }
        }
    }
}

#[test]
fn kept_tokens_do_not_depend_on_vocabulary_order() {
    let mut random = Lcg(2);
    for _ in 0..100 {
        let row = random.row();
        let reversed: Vec<f32> = row.iter().rev().copied().collect();
        for params in truncations().concat() {
            let mut scores = process(&params, &reversed);
            scores.reverse();
            assert_eq!(scores, process(&params, &row), "{params:?}");
        }
    }
}

#[test]
fn top_p_keeps_the_smallest_set_with_its_mass() {
    let mut random = Lcg(3);
    for _ in 0..300 {
        let row = random.row();
        let p = random.fraction();
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |score: f32| f64::from(score - max).exp();
        let total: f64 = row.iter().map(|&score| weight(score)).sum();
        let kept: Vec<f32> = process(&sampling().top_p(p), &row).into_iter().filter(|&score| stays(score)).collect();
        let mass = kept.iter().map(|&score| weight(score)).sum::<f64>() / total;
        let least = kept.iter().map(|&score| weight(score)).fold(f64::INFINITY, f64::min) / total;
        assert!(mass >= f64::from(p) - 1e-6, "{mass} of {p}");
        assert!(kept.len() == 1 || mass - least <= f64::from(p) + 1e-6, "{mass} of {p}, one of {least} too many");
    }
}

#[test]
fn top_k_and_min_p_match_their_definitions() {
    let mut random = Lcg(4);
    for _ in 0..300 {
        let row = random.row();
        let k = 1 + random.below(60);
        let kept = process(&sampling().top_k(k), &row).into_iter().filter(|&score| stays(score)).count();
        assert_eq!(kept, k.min(row.len()));

        let p = random.fraction().max(1e-3);
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for (after, before) in process(&sampling().min_p(p), &row).into_iter().zip(row) {
            let ratio = (before - max).exp() / p;
            assert!((ratio - 1.0).abs() < 1e-5 || stays(after) == (ratio > 1.0), "{ratio}");
        }
    }
}

#[test]
fn extreme_rows_give_a_valid_token_or_an_error() {
    let (inf, nan, tiny) = (f32::INFINITY, f32::NAN, f32::from_bits(1));
    let rows: [&[f32]; 13] = [
        &[7.0],
        &[tiny, -tiny, 0.0, -0.0],
        &[f32::MIN_POSITIVE, tiny, tiny],
        &[f32::MAX, f32::MIN, 0.0],
        &[-1e36, -1e36],
        &[inf, 1.0, inf, -inf],
        &[nan, 1.0, nan, 0.5],
        &[nan, inf, -inf, 1.0],
        &[-inf, -inf, -3.0],
        &[0.0; 400],
        &[nan],
        &[-inf, -inf],
        &[-inf, nan],
    ];
    let warm = [0.01, 1.0, 100.0].map(|temperature| sampling().temperature(temperature)).to_vec();
    for params in [truncations().concat(), warm, vec![sampling().renormalize_logits(true)]].concat() {
        for row in rows {
            let mut sampler = Sampler::new(&params.clone().seed(5).logprobs(3), 0);
            let possible = row.iter().any(|&score| stays(score));
            for _ in 0..20 {
                match sampler.sample(&[0], 1, &mut row.to_vec()) {
                    Ok(choice) => assert!(possible && stays(row[choice.token as usize]), "{params:?} {row:?}"),
                    Err(error) => {
                        assert!(!possible, "{error}: {params:?} {row:?}");
                        assert!(matches!(error, Error::NoToken { .. } | Error::AllNan { .. }));
                    }
                }
            }
        }
    }
}

#[test]
fn beam_search_results_are_sorted_by_score() {
    let mut random = Lcg(6);
    for round in 0..200 {
        let beams = 1 + random.below(4);
        let vocabulary = 4 + random.below(8);
        let limit = 1 + random.below(7);
        let params = SamplingParams::greedy()
            .num_beams(beams)
            .num_return_sequences(beams)
            .eos_token_ids([0, 1])
            .do_sample(beams > 1 && round % 2 == 1)
            .seed(round)
            .length_penalty(random.fraction() * 4.0 - 2.0)
            .max_new_tokens(limit);
        let mut search = BeamSearch::new(&params, &[2, 3], vocabulary).unwrap();
        let mut steps = 0;
        loop {
            let row: Vec<f32> = (0..vocabulary).map(|_| random.fraction() * 5.0).collect();
            let logits = if steps == 0 {
                row.repeat(beams)
            } else {
                (0..beams * vocabulary).map(|_| random.fraction()).collect()
            };
            steps += 1;
            match search.advance(&logits, &mut |_| Ok(false)).unwrap() {
                BeamStep::Done => break,
                BeamStep::Continue { parents, tokens } => {
                    assert_eq!((parents.len(), tokens.len()), (beams, beams));
                    assert!(parents.iter().all(|&parent| parent < beams));
                }
            }
        }
        assert!(steps <= limit);
        let texts = search.finish();
        assert_eq!(texts.len(), beams);
        assert!(texts.is_sorted_by(|a, b| a.score >= b.score));
        for text in texts {
            let ends = text.tokens.iter().filter(|&&token| token < 2).count();
            assert!(ends <= 1 && (ends == 0 || text.tokens.last().is_some_and(|&token| token < 2)));
            assert!(ends == 1 || text.tokens.len() == limit);
        }
    }
}
