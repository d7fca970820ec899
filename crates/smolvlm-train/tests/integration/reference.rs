//! Three steps of training compared with transformers: losses, gradient norms, updated weights.

use safetensors::SafeTensors;
use serde_json::Value;
use smolvlm_model::SmolVlmModel;
use smolvlm_processor::{Content, Conversation, ImageSource, Processor};
use smolvlm_train::{
    Example, Observer, StepMetrics, TrainConfig, Trainer, evaluate, load_adapters, load_model, merge_adapters,
    save_adapters,
};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

#[derive(Default)]
struct Kept(Vec<StepMetrics>);

impl Observer for Kept {
    fn step(&mut self, metrics: &StepMetrics) -> ControlFlow<()> {
        self.0.push(metrics.clone());
        ControlFlow::Continue(())
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

fn examples(record: &Value) -> Vec<Example> {
    let conversations = Conversation::many_from_json(&record["conversations"].to_string()).unwrap();
    let place = |mut conversation: Conversation| {
        for content in conversation.messages.iter_mut().flat_map(|message| &mut message.content) {
            if let Content::Image(ImageSource::Path(path)) = content {
                *path = golden().join(&*path);
            }
        }
        Example::new(conversation)
    };
    conversations.into_iter().map(place).collect()
}

fn check(folder: &Path) {
    let record = read(&folder.join("training/training.json"));
    let number = |key: &str| record["options"][key].as_f64().unwrap();
    let list = |value: &Value| value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<f64>>();
    let betas = list(&record["options"]["betas"]);
    let output = tempfile::tempdir().unwrap();
    let examples = examples(&record);
    let config = TrainConfig {
        steps: number("steps") as u64,
        batch_size: examples.len(),
        learning_rate: number("learning_rate"),
        final_rate: number("final_rate"),
        warmup: number("warmup") as u64,
        betas: [betas[0], betas[1]],
        epsilon: number("epsilon"),
        weight_decay: number("weight_decay"),
        clip_norm: number("clip_norm"),
        // Both samples in one padded batch.
        workers: 1,
        output: Some(output.path().to_owned()),
        ..TrainConfig::default()
    };
    let checkpoint = folder.join("model");
    let model = load_model(&checkpoint).unwrap();
    let processor = Processor::from_directory(&checkpoint).unwrap();
    let mut kept = Kept::default();
    let trained = Trainer::new(config).unwrap().run(model, &processor, &examples, None, &mut kept).unwrap();

    let near = |found: f64, wanted: f64| (found - wanted).abs() <= 1e-4 * (1.0 + wanted.abs());
    let (losses, norms) = (list(&record["losses"]), list(&record["norms"]));
    for ((step, loss), norm) in kept.0.iter().zip(losses).zip(norms) {
        assert_eq!(step.targets as u64, record["loss_tokens"].as_u64().unwrap());
        assert!(near(step.loss, loss), "step {}: loss {} instead of {loss}", step.step, step.loss);
        assert!(near(step.grad_norm, norm), "step {}: norm {} instead of {norm}", step.step, step.grad_norm);
    }
    // The saved weights, under the reference's names.
    let saved = std::fs::read(trained.checkpoint.unwrap().join("model.safetensors")).unwrap();
    let expected = std::fs::read(folder.join("training/expected.safetensors")).unwrap();
    let (saved, expected) = (SafeTensors::deserialize(&saved).unwrap(), SafeTensors::deserialize(&expected).unwrap());
    assert_eq!(saved.len(), expected.len());
    let values = |bytes: &[u8]| -> Vec<f32> {
        bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    let stride = record["stride"].as_u64().unwrap() as usize;
    for (name, wanted) in expected.tensors() {
        let found = values(saved.tensor(&name).unwrap().data());
        for (found, wanted) in found.iter().step_by(stride).zip(values(wanted.data())) {
            assert!(
                near(f64::from(*found), f64::from(wanted)),
                "{}: {name}: {found} instead of {wanted}",
                folder.display()
            );
        }
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn peft_adapter_gives_the_reference_loss_and_round_trips() {
    let (checkpoint, adapter) = (golden().join("gqa-256m/model"), golden().join("adapter"));
    let model = load_model(&checkpoint).unwrap();
    let processor = Processor::from_directory(&checkpoint).unwrap();
    let examples = examples(&read(&golden().join("gqa-256m/training/training.json")));
    let wanted = read(&adapter.join("loss.json"));
    let assert_loss = |model: &SmolVlmModel, which: &str| {
        let found = evaluate(model, &processor, &examples, &TrainConfig::default()).unwrap().eval_loss;
        let wanted = wanted[which].as_f64().unwrap();
        assert!((found - wanted).abs() < 1e-4, "{which}: {found} instead of {wanted}");
    };
    assert_loss(&model, "base");
    let adapted = load_adapters(model, &adapter).unwrap();
    assert_loss(&adapted, "adapted");
    assert_loss(&merge_adapters(adapted.clone()), "adapted");

    let folder = tempfile::tempdir().unwrap();
    save_adapters(&adapted, Some("gqa-256m"), folder.path()).unwrap();
    let bytes =
        [&adapter, folder.path()].map(|folder| std::fs::read(folder.join("adapter_model.safetensors")).unwrap());
    let [theirs, ours] = bytes.each_ref().map(|bytes| SafeTensors::deserialize(bytes).unwrap());
    assert_eq!(ours.len(), theirs.len());
    for (name, theirs) in theirs.tensors() {
        let ours = ours.tensor(&name).unwrap();
        assert_eq!((ours.shape(), ours.data()), (theirs.shape(), theirs.data()), "{name}");
    }
    let [theirs, ours] = [&adapter, folder.path()].map(|folder| read(&folder.join("adapter_config.json")));
    for key in ["r", "peft_type", "bias", "base_model_name_or_path", "fan_in_fan_out", "task_type"] {
        assert_eq!(ours[key], theirs[key], "{key}");
    }
    assert_eq!(ours["lora_alpha"].as_f64(), theirs["lora_alpha"].as_f64());
}

#[test]
fn three_steps_match_the_reference() {
    let folders = std::fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path());
    let cases: Vec<PathBuf> = folders.filter(|folder| folder.join("training").is_dir()).collect();
    assert!(cases.len() >= 3);
    cases.iter().for_each(|folder| check(folder));
}
