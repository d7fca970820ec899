//! The most likely tokens.

use super::{gpu_client, random_values};
use crate::gpu::top::top;
use cubecl::prelude::*;

/// The tokens whose logit is at least the `count`-th largest.
fn reference(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    let mut sorted: Vec<f32> = logits.iter().copied().filter(|logit| !logit.is_nan()).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let Some(&least) = sorted.get(count.min(sorted.len()).saturating_sub(1)) else { return Vec::new() };
    (0..).zip(logits.iter().copied()).filter(|(_, logit)| *logit >= least).collect()
}

#[test]
fn tokens_above_a_threshold_match_the_reference() {
    let client = gpu_client();
    for (rows, vocabulary) in [(3, 4 * 771), (2, 35)] {
        let mut logits = random_values(20, rows * vocabulary, 12.0);
        // Equal logits, of which all are found, and values of both signs.
        let copies = logits[..8].to_vec();
        logits[16..24].copy_from_slice(&copies);
        (logits[9], logits[11], logits[13]) = (f32::NEG_INFINITY, f32::MAX, -0.0);
        for count in [1, 2, 20, 35, 64] {
            let found = top(&client, [rows, vocabulary], &client.create_from_slice(f32::as_bytes(&logits)), count);
            for (found, logits) in found.unwrap().into_iter().zip(logits.chunks(vocabulary)) {
                assert_eq!(found.unwrap(), reference(logits, count), "{count} of {vocabulary}");
            }
        }
    }
}

#[test]
fn rows_with_too_many_equal_logits_are_none() {
    let client = gpu_client();
    let logits = [vec![0.5; 200], vec![-1.0; 100], vec![2.0], vec![0.0; 99], (0..200).map(|i| i as f32).collect()];
    let logits = logits.concat();
    let found = top(&client, [3, 200], &client.create_from_slice(f32::as_bytes(&logits)), 2).unwrap();
    assert_eq!(found[0], None);
    assert_eq!(found[1], Some((100..200).zip(std::iter::once(2.0).chain([0.0; 99])).collect()));
    assert_eq!(found[2], Some(vec![(198, 198.0), (199, 199.0)]));
}
