//! The behavior of training, on a tiny model.

use crate::common::{Losses, model, perturbed, processor, samples, training, weights};
use smolvlm_model::SmolVlmModel;
use smolvlm_processor::{Message, Processor};
use smolvlm_train::{Error, Example, Policy, TrainConfig, Trainer, evaluate, latest_checkpoint, load_model};

fn run(config: TrainConfig, model: SmolVlmModel) -> (SmolVlmModel, Vec<f64>) {
    let mut losses = Losses::default();
    let trained = Trainer::new(config).unwrap().run(model, &processor(), &samples(), None, &mut losses).unwrap();
    (trained.model, losses.losses)
}

/// A single step that subtracts the unscaled gradient from the weights.
fn plain_step() -> TrainConfig {
    TrainConfig {
        steps: 1,
        learning_rate: 1e6,
        epsilon: 1e6,
        weight_decay: 0.0,
        clip_norm: 1e9,
        warmup: 0,
        ..training()
    }
}

#[test]
fn four_samples_are_memorized() {
    let (trained, losses) = run(TrainConfig { steps: 150, ..training() }, model());
    assert!(losses[0] > 5.0, "{}", losses[0]);
    assert!(losses[149] < 0.05, "{}", losses[149]);
    let eval = evaluate(&trained, &processor(), &samples(), &training()).unwrap();
    assert!(eval.eval_loss < 0.05 && eval.samples == 4, "{eval:?}");
}

#[test]
fn gradients_match_finite_differences() {
    let start = model();
    let (stepped, _) = run(plain_step(), start.clone());
    let (before, after) = (weights(&start), weights(&stepped));
    let mut checked = 0;
    for (number, ((path, before), (_, after))) in before.iter().zip(&after).enumerate() {
        let gradient: Vec<f64> = before.iter().zip(after).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
        let norm = gradient.iter().map(|value| value * value).sum::<f64>().sqrt();
        // These change the loss too little to measure in f32. The bias of keys does not change the softmax at all.
        if norm < 3e-3 {
            continue;
        }
        // The directional derivative along the gradient is its norm.
        let far = (2e-2 / norm).min(2e-2);
        let loss = |sign: f64| {
            let by: Vec<f32> = gradient.iter().map(|value| (sign * far * value / norm) as f32).collect();
            evaluate(&perturbed(&start, number, &by), &processor(), &samples(), &training()).unwrap().eval_loss
        };
        let slope = (loss(1.0) - loss(-1.0)) / (2.0 * far);
        assert!((slope / norm - 1.0).abs() < 0.03, "{path}: slope {slope}, gradient {norm}");
        checked += 1;
    }
    assert!(checked > 30, "{checked} of {}", before.len());
}

#[test]
fn micro_batches_and_workers_do_not_change_the_step() {
    let (whole, losses) = run(TrainConfig { micro_batch: 16, workers: 1, ..plain_step() }, model());
    let wanted = weights(&whole);
    for (micro_batch, workers) in [(1, 1), (3, 1), (16, 2), (1, 3)] {
        let (pieces, found) = run(TrainConfig { micro_batch, workers, ..plain_step() }, model());
        assert!((found[0] - losses[0]).abs() < 1e-5);
        for ((path, found), (_, wanted)) in weights(&pieces).iter().zip(&wanted) {
            let worst = found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-5, "{path} by {worst}");
        }
    }
}

#[test]
fn frozen_parameters_are_bitwise_unchanged() {
    let freeze = vec!["model.vision_model.*".to_owned(), "*.mlp.*".to_owned()];
    let (trained, _) = run(TrainConfig { freeze, ..training() }, model());
    for ((path, before), (_, after)) in weights(&model()).iter().zip(&weights(&trained)) {
        let frozen = path.starts_with("vision.") || path.contains(".mlp.");
        assert_eq!(before == after, frozen, "{path}");
    }
    let config = TrainConfig { freeze: vec!["vision.*".to_owned()], ..training() };
    let error = Trainer::new(config).unwrap().run(model(), &processor(), &samples(), None, &mut ()).unwrap_err();
    assert!(error.to_string().contains("model.vision_model."), "{error}");
}

#[test]
fn resumed_run_equals_uninterrupted_run() {
    let (straight, wanted) = run(TrainConfig { batch_size: 3, ..training() }, model());
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig { batch_size: 3, output: Some(folder.path().to_owned()), ..training() };
    let mut first = Losses { stop: Some(2), ..Losses::default() };
    let trainer = || Trainer::new(config.clone()).unwrap();
    trainer().run(model(), &processor(), &samples(), None, &mut first).unwrap();
    let checkpoint = latest_checkpoint(folder.path()).unwrap().unwrap();
    assert!(checkpoint.ends_with("checkpoint-2"));
    // Everything, including the processor, is loaded from the checkpoint.
    let processor = Processor::from_directory(&checkpoint).unwrap();
    let mut second = Losses::default();
    let trained = trainer()
        .resume(&checkpoint)
        .run(load_model(&checkpoint).unwrap(), &processor, &samples(), None, &mut second)
        .unwrap();
    assert_eq!([first.losses, second.losses].concat(), wanted);
    assert_eq!(weights(&trained.model), weights(&straight));
    assert_eq!(trained.steps, 6);
    // A model of other sizes cannot resume from it.
    let other = TrainConfig { freeze: Vec::new(), ..config.clone() };
    let mut narrow = crate::common::config();
    narrow.text.intermediate_size = 40;
    let narrow = smolvlm_train::initial_model(&narrow, 0).unwrap();
    let error = Trainer::new(other).unwrap().resume(&checkpoint).run(narrow, &processor, &samples(), None, &mut ());
    assert!(matches!(error.unwrap_err(), Error::Resume { .. }));
}

#[test]
fn old_checkpoints_are_deleted_and_partial_ones_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("checkpoint-9.partial")).unwrap();
    let config = TrainConfig { save_every: 2, keep: 2, output: Some(folder.path().to_owned()), ..training() };
    run(config, model());
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["checkpoint-4", "checkpoint-6", "checkpoint-9.partial", "metrics.jsonl"]);
    assert!(latest_checkpoint(folder.path()).unwrap().unwrap().ends_with("checkpoint-6"));
    let metrics = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 6);
}

#[test]
fn bad_samples_stop_training_or_are_skipped() {
    let mut bad = samples();
    let missing = Message::user().image("no/such/picture.png").text("What is it?");
    bad.push(Example::answer(missing, "Nothing.").with_origin("train.jsonl, line 5"));
    bad.push(Example::new(Message::user().text("Nobody answers.")));
    bad.push(Example::answer(Message::user().text("long".repeat(100)), "Too long."));
    let stop = Trainer::new(TrainConfig { steps: 4, ..training() }).unwrap();
    let error = stop.run(model(), &processor(), &bad, None, &mut ()).unwrap_err().to_string();
    assert!(error.starts_with("sample "), "{error}");
    let config = TrainConfig { steps: 4, bad_samples: Policy::Skip, ..training() };
    let mut observer = Losses::default();
    Trainer::new(config.clone()).unwrap().run(model(), &processor(), &bad, None, &mut observer).unwrap();
    let has = |part: &str| observer.skipped.iter().any(|why| why.contains(part));
    assert!(has("train.jsonl, line 5") && has("no/such/picture.png") && has("assistant") && has("limit of 256"));
    assert_eq!(observer.losses.len(), 4);
    let only_bad = bad.split_off(4);
    let error = Trainer::new(config).unwrap().run(model(), &processor(), &only_bad, None, &mut ()).unwrap_err();
    assert!(matches!(error, Error::NoUsableSample { skipped: 3, .. }), "{error}");
}

#[test]
fn non_finite_loss_stops_or_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let diverging = TrainConfig {
        learning_rate: 1e30,
        warmup: 0,
        save_every: 1,
        output: Some(folder.path().to_owned()),
        ..training()
    };
    let error =
        Trainer::new(diverging.clone()).unwrap().run(model(), &processor(), &samples(), None, &mut ()).unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }), "{error}");
    load_model(&latest_checkpoint(folder.path()).unwrap().unwrap()).unwrap();
    let mut observer = Losses::default();
    let skip = TrainConfig { bad_steps: Policy::Skip, output: None, ..diverging };
    Trainer::new(skip).unwrap().run(model(), &processor(), &samples(), None, &mut observer).unwrap();
    assert_eq!(observer.losses.len(), 6);
}

#[test]
fn invalid_options_are_errors() {
    for config in [
        TrainConfig { steps: 0, ..training() },
        TrainConfig { batch_size: 0, ..training() },
        TrainConfig { learning_rate: f64::NAN, ..training() },
        TrainConfig { betas: [0.9, 1.0], ..training() },
        TrainConfig { clip_norm: 0.0, ..training() },
    ] {
        assert!(matches!(Trainer::new(config).unwrap_err(), Error::Option { .. }));
    }
    let nothing: Vec<Example> = Vec::new();
    let error = Trainer::new(training()).unwrap().run(model(), &processor(), &nothing, None, &mut ()).unwrap_err();
    assert!(matches!(error, Error::EmptyDataset));
}
