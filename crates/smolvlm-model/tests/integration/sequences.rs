//! Sequences of a network: joining, leaving, forking, and reuse of their memory.

use crate::support::*;
use smolvlm_model::{Error, KeepLogits, ModelInputs, Network, SequenceId, Sequences, StepInput, TokenKey};

fn decode(network: &Network, sequences: &mut Sequences, tokens: &[(SequenceId, u32)]) -> Vec<f32> {
    let inputs: Vec<StepInput<'_>> =
        tokens.iter().map(|(id, token)| StepInput::text(*id, std::slice::from_ref(token))).collect();
    network.step(sequences, &inputs).unwrap()
}

/// Sequences join and leave at any step, fork, and pause; each has the logits that it has alone.
#[test]
fn sequences_of_a_step_are_independent() {
    for network in networks_with_gpu() {
        let texts: [&[u32]; 3] =
            [&[1, 44, 7, 3, 9, 2, 30, 8], &[5, 6, 7, 8, 9, 10, 11, 12], &[90, 1, 2, 3, 4, 5, 6, 7]];
        let wanted: Vec<Vec<Vec<f32>>> =
            texts.iter().map(|ids| chunked_logits(&network, &ModelInputs::text(ids), &[1; 8])).collect();
        let mut sequences = network.new_sequences(256);
        let ids: Vec<_> = texts.iter().map(|_| sequences.add()).collect();
        // The sequences of each step.
        let plan: [&[usize]; 9] = [&[0], &[0, 1], &[1, 2, 0], &[2], &[2, 1], &[0, 1, 2], &[0, 2], &[1, 0], &[1, 2]];
        let mut lens = [0; 3];
        for step in plan {
            let tokens: Vec<_> = step.iter().map(|&text| (ids[text], texts[text][lens[text]])).collect();
            let logits = decode(&network, &mut sequences, &tokens);
            for (&text, found) in step.iter().zip(logits.chunks_exact(VOCAB)) {
                assert_close(found, &wanted[text][lens[text]], 1e-5);
                lens[text] += 1;
                assert_eq!(sequences.len(ids[text]), lens[text]);
            }
        }
        assert_eq!(lens, [6; 3]);
        // A fork continues on its own, and its source as well.
        let copy = sequences.fork(ids[0]);
        let other = decode(&network, &mut sequences, &[(copy, 50)]);
        let same = decode(&network, &mut sequences, &[(ids[0], texts[0][6])]);
        assert_close(&same, &wanted[0][6], 1e-5);
        let forked = ModelInputs::text(&[1, 44, 7, 3, 9, 2, 50]);
        assert_close(&other, &chunked_logits(&network, &forked, &[7])[0], 1e-5);
        sequences.remove(ids[1]);
        let last = decode(&network, &mut sequences, &[(ids[2], texts[2][6]), (ids[0], texts[0][7])]);
        assert_close(&last[..VOCAB], &wanted[2][6], 1e-5);
        assert_close(&last[VOCAB..], &wanted[0][7], 1e-5);
    }
}

#[test]
fn kept_sequences_are_resumed_by_their_tokens() {
    for network in networks_with_gpu() {
        let mut sequences = network.new_sequences(1024);
        let ids: Vec<u32> = (0..80).map(|index| index * 7 % 89).collect();
        let keys: Vec<TokenKey> = ids.iter().map(|&id| TokenKey::text(id)).collect();
        let first = sequences.add();
        let wanted = network.step(&mut sequences, &[StepInput::text(first, &ids)]).unwrap();
        sequences.keep(first, &keys);
        // At least the last token must run again.
        let (second, known) = sequences.resume(&keys);
        assert!((64..80).contains(&known), "{known}");
        let found = network.step(&mut sequences, &[StepInput::text(second, &ids[known..])]).unwrap();
        assert_close(&found, &wanted, 1e-5);
        sequences.keep(second, &keys);
        // Other tokens share only the part before them; an image token is another one than its id says.
        for other in [TokenKey::text(88), TokenKey::image(&[1; 32], 0)] {
            let mut keys = keys.clone();
            keys[40] = other;
            let (third, known) = sequences.resume(&keys);
            assert!((32..=40).contains(&known), "{known}");
            sequences.keep(third, &keys[..known]);
        }
        let mut keys = keys.clone();
        keys[0] = TokenKey::text(88);
        assert_eq!(sequences.resume(&keys).1, 0);
    }
}

#[test]
fn kept_sequences_make_room_for_new_ones() {
    // Tensors without pages allocate memory as they need it.
    for network in networks_with_gpu().into_iter().skip(1) {
        let mut sequences = network.new_sequences(128);
        for start in 0..6 {
            let ids: Vec<u32> = (start..start + 70).collect();
            let keys: Vec<TokenKey> = ids.iter().map(|&id| TokenKey::text(id)).collect();
            let sequence = sequences.add();
            network.step(&mut sequences, &[StepInput::text(sequence, &ids)]).unwrap();
            sequences.keep(sequence, &keys);
        }
        let [one, two] = [sequences.add(), sequences.add()];
        let ids = [3; 64];
        network.step(&mut sequences, &[StepInput::text(one, &ids), StepInput::text(two, &ids)]).unwrap();
        // All memory belongs to running sequences now.
        let error = network.step(&mut sequences, &[StepInput::text(two, &[1])]).unwrap_err();
        assert!(matches!(error, Error::OutOfPages { tokens: 1, free: 0 }), "{error}");
        sequences.remove(one);
        network.step(&mut sequences, &[StepInput::text(two, &[1])]).unwrap();
    }
}

/// Greedy decoding of several sequences, of which some end and others begin meanwhile: the argmax of each step is that
/// of the logits of the sequence alone, also where a GPU runs ahead of the host.
#[test]
fn argmax_steps_follow_changing_sequences() {
    for network in networks_with_gpu() {
        let prompts: [&[u32]; 4] = [&[1, 44, 7], &[5; 33], &[90, 2, 8, 3, 3], &[17]];
        let wanted: Vec<Vec<u32>> = prompts.iter().map(|prompt| greedy(&network, prompt, 40)).collect();
        let mut sequences = network.new_sequences(512);
        let mut running: Vec<(usize, SequenceId, Vec<u32>)> = Vec::new();
        let mut forks = Vec::new();
        for step in 0..60 {
            if let Some(prompt) = [0, 3, 11, 20].iter().position(|&start| start == step) {
                let id = sequences.add();
                let logits = network.step(&mut sequences, &[StepInput::text(id, prompts[prompt])]).unwrap();
                running.push((prompt, id, vec![argmax(&logits)]));
            }
            running.retain(|(prompt, id, tokens)| {
                let ended = tokens.len() == 40 || (*prompt == 1 && tokens.len() == 12);
                if ended {
                    assert_eq!(*tokens, wanted[*prompt][..tokens.len()], "prompt {prompt}");
                    sequences.remove(*id);
                }
                !ended
            });
            let inputs: Vec<_> = running.iter().map(|(_, id, tokens)| (*id, tokens[tokens.len() - 1])).collect();
            let found = network.step_argmax(&mut sequences, &inputs).unwrap();
            assert_eq!(found.len(), running.len());
            if step % 7 == 5 {
                // The source continues alone, although the fork shares the page of the token after this one.
                forks.push(sequences.fork(running[0].1));
            }
            running.iter_mut().zip(found).for_each(|((.., tokens), (token, _))| tokens.push(token));
        }
        assert!(running.is_empty());
        forks.into_iter().for_each(|fork| sequences.remove(fork));
        assert_eq!(sequences.pages(), 0);
    }
}

/// Prompts on a GPU are padded, and recorded by length; others continue a sequence. Each length runs three times, since
/// the second one is recorded and the third one replayed.
#[test]
fn prompts_of_any_length_have_the_logits_of_packed_weights() {
    let mut networks = networks_with_gpu();
    let packed = networks.remove(1);
    let kinds = [KeepLogits::Last, KeepLogits::Tail(3), KeepLogits::All];
    for network in networks {
        let [mut sequences, mut wanted] = [&network, &packed].map(|network| network.new_sequences(4096));
        for (kind, logits) in kinds.into_iter().enumerate() {
            for (length, seed) in [127, 128, 1, 129, 513, 300].into_iter().zip(0..) {
                let ids: Vec<u32> = (0..length).map(|index| (index * (7 + kind as u32) + seed) % 89).collect();
                let [id, same] = [&mut sequences, &mut wanted].map(Sequences::add);
                // The last tokens are a second prompt.
                let (first, rest) = ids.split_at(ids.len() - ids.len() / 3);
                for tokens in [first, rest].into_iter().filter(|tokens| !tokens.is_empty()) {
                    let input = |sequence| StepInput { logits, ..StepInput::text(sequence, tokens) };
                    let found = network.step(&mut sequences, &[input(id)]).unwrap();
                    assert_close(&found, &packed.step(&mut wanted, &[input(same)]).unwrap(), 1e-5);
                }
                sequences.remove(id);
                wanted.remove(same);
            }
        }
    }
}

/// The tokens of greedy decoding after a prompt, one sequence alone and from all logits.
fn greedy(network: &Network, prompt: &[u32], count: usize) -> Vec<u32> {
    let mut sequences = network.new_sequences(512);
    let id = sequences.add();
    let mut tokens = vec![argmax(&network.step(&mut sequences, &[StepInput::text(id, prompt)]).unwrap())];
    while tokens.len() < count {
        let last = tokens[tokens.len() - 1];
        tokens.push(argmax(&decode(network, &mut sequences, &[(id, last)])));
    }
    tokens
}

fn argmax(logits: &[f32]) -> u32 {
    logits.iter().zip(0..).max_by(|a, b| a.0.total_cmp(b.0)).unwrap().1
}
