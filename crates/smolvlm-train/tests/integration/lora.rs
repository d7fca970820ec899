//! LoRA adapters: training, merging, saving and loading.

use crate::common::{Losses, model, processor, samples, training, weights};
use smolvlm_checkpoint::PeftConfig;
use smolvlm_train::{
    Error, LoraConfig, TrainConfig, Trainer, evaluate, latest_checkpoint, load_adapters, merge_adapters, save_adapters,
};

fn loss(model: &smolvlm_model::SmolVlmModel) -> f64 {
    evaluate(model, &processor(), &samples(), &training()).unwrap().eval_loss
}

#[test]
fn only_adapters_train_and_can_be_merged_saved_and_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let lora = LoraConfig { rank: 4, alpha: 8.0, targets: vec!["model.text_model.*".to_owned(), "fc1".to_owned()] };
    let start = lora.attach(model(), 3).unwrap();
    assert_eq!(loss(&start), loss(&model()));
    let config = TrainConfig {
        steps: 40,
        learning_rate: 2e-2,
        base_model: Some("owner/name@v1".to_owned()),
        output: Some(folder.path().to_owned()),
        ..training()
    };
    let mut observer = Losses::default();
    let trained =
        Trainer::new(config.clone()).unwrap().run(start.clone(), &processor(), &samples(), None, &mut observer);
    let trained = trained.unwrap().model;
    assert!(observer.losses[39] < 0.75 * observer.losses[0], "{:?}", observer.losses);
    for ((path, before), (_, after)) in weights(&start).iter().zip(&weights(&trained)) {
        assert_eq!(before != after, path.contains(".adapter."), "{path}");
    }

    let trained_loss = loss(&trained);
    let merged = merge_adapters(trained.clone());
    assert!((loss(&merged) - trained_loss).abs() < 1e-4);
    assert_eq!(weights(&merged).len(), weights(&model()).len());

    // Checkpoints hold the adapters and the state to resume from.
    let checkpoint = latest_checkpoint(folder.path()).unwrap().unwrap();
    let loaded = load_adapters(model(), &checkpoint).unwrap();
    assert_eq!(weights(&loaded), weights(&trained));
    let written = PeftConfig::read(&checkpoint).unwrap();
    assert_eq!((written.base_model(), written.base_revision()), (Some("owner/name"), Some("v1")));
    let more = TrainConfig { steps: 41, ..config };
    let more = Trainer::new(more).unwrap().resume(&checkpoint).run(loaded, &processor(), &samples(), None, &mut ());
    assert_eq!(more.unwrap().steps, 41);
}

#[test]
fn wrong_targets_and_files_are_errors() {
    let none = LoraConfig { targets: vec!["qq_proj".to_owned()], ..LoraConfig::default() };
    assert!(matches!(none.attach(model(), 0).unwrap_err(), Error::NoSuchParameter { .. }));
    assert!(LoraConfig { rank: 0, ..LoraConfig::default() }.attach(model(), 0).is_err());
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(save_adapters(&model(), None, folder.path()).unwrap_err(), Error::Adapter { .. }));
    let missing = load_adapters(model(), folder.path()).unwrap_err();
    assert!(matches!(missing, Error::Checkpoint(smolvlm_checkpoint::Error::Adapter { .. })), "{missing}");
    let lora = LoraConfig { targets: vec!["q_proj".to_owned()], ..LoraConfig::default() };
    save_adapters(&lora.attach(model(), 0).unwrap(), Some("base"), folder.path()).unwrap();
    let mut other = crate::common::config();
    other.text.hidden_size = 48;
    let other = smolvlm_train::initial_model(&other, 0).unwrap();
    let error = load_adapters(other, folder.path()).unwrap_err();
    assert!(error.to_string().contains("does not fit"), "{error}");
}
