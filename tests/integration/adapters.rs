//! LoRA adapters against PEFT: greedy tokens and logits, alone and combined, in every number format.

use burn::tensor::Device;
use serde_json::Value;
use smolvlm::config::{FloatType, Preset};
use smolvlm::model::{ForwardOptions, HostTensor, ModelInputs, SmolVlmModel};
use smolvlm::{
    Adapter, Checkpoint, Conversation, Dtype, Error, ForwardRequest, Message, Options, SamplingParams, SmolVlm, Source,
};
use smolvlm_tests::{exact, golden_root, read_json, relative_error, with_absolute_paths};
use std::fs;
use std::path::{Path, PathBuf};

/// Largest error of logits, relative to the largest logit.
const TOLERANCE: f32 = 1e-4;

fn model_folder(checkpoint: &str) -> PathBuf {
    golden_root().join(checkpoint).join("model")
}

fn adapter(name: &str) -> Adapter {
    Adapter::new(golden_root().join(name))
}

/// Returns the adapters of a golden case, with their weights.
fn adapters(case: &Value) -> Vec<Adapter> {
    let pairs = case["adapters"].as_array().unwrap().iter();
    pairs.map(|pair| adapter(pair[0].as_str().unwrap()).weight(pair[1].as_f64().unwrap() as f32)).collect()
}

/// Returns all golden cases by name.
fn cases() -> Vec<(String, Value)> {
    let record = read_json(&golden_root().join("adapters/expected.json"));
    let cases = record.as_object().unwrap().iter().filter(|(name, _)| *name != "versions");
    cases.map(|(name, case)| (name.clone(), case.clone())).collect()
}

fn conversation(answer: &Value) -> Conversation {
    let whole = with_absolute_paths(&Value::Array(vec![answer["conversation"].clone()]));
    Conversation::many_from_json(&whole.to_string()).unwrap().remove(0)
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

fn load(source: Source, adapters: Vec<Adapter>, dtype: Dtype) -> SmolVlm {
    SmolVlm::load(source, Options { adapters, dtype, ..exact() }).unwrap()
}

fn logits(model: &SmolVlm, conversation: &Conversation) -> Vec<f32> {
    model.forward(std::slice::from_ref(conversation), ForwardRequest::default()).unwrap().logits.data
}

fn check(model: &SmolVlm, name: &str, case: &Value) {
    for answer in case["answers"].as_array().unwrap() {
        let conversation = conversation(answer);
        let error = relative_error(&logits(model, &conversation), &floats(&answer["logits"]));
        println!("{error:.1e} {name}");
        assert!(error <= TOLERANCE, "{name}: logits are off by {error} of the largest");
        let found = model.generate(conversation, SamplingParams::greedy().max_new_tokens(12)).unwrap();
        assert_eq!(serde_json::json!(found.token_ids), answer["generated"], "{name}");
    }
}

#[test]
fn answers_equal_those_of_peft() {
    let cases = cases();
    assert!(cases.len() >= 14);
    for (name, case) in cases {
        let source = Source::directory(model_folder(case["checkpoint"].as_str().unwrap()));
        check(&load(source, adapters(&case), Dtype::F32), &name, &case);
    }
}

#[test]
fn adapter_folder_as_model_loads_its_base_model() {
    for (name, case) in cases() {
        if let [pair] = case["adapters"].as_array().unwrap().as_slice()
            && pair[0].as_str().unwrap().starts_with("adapters/")
        {
            check(
                &load(Source::directory(adapter(pair[0].as_str().unwrap()).folder), vec![], Dtype::F32),
                &name,
                &case,
            );
        }
    }
}

#[test]
fn adapters_apply_to_tensors_as_to_packed_weights() {
    for (name, case) in cases() {
        let checkpoint = Checkpoint::Directory(model_folder(case["checkpoint"].as_str().unwrap()));
        let checkpoint = checkpoint.with_adapters(&adapters(&case)).unwrap();
        let (config, weights) = (checkpoint.config().unwrap(), checkpoint.weights().unwrap().unwrap());
        let (model, _) = SmolVlmModel::load(&config, &weights, &Device::flex(), FloatType::F32).unwrap();
        let processor = checkpoint.processor(&exact()).unwrap();
        // The second conversation has no image.
        let answer = &case["answers"][1];
        let batch = processor.process(&[conversation(answer)], &Default::default()).unwrap();
        let inputs = ModelInputs::text(&batch.input_ids);
        let mut cache = model.new_cache(&inputs.padding, batch.len);
        let output = model.forward(&inputs, &mut cache, ForwardOptions::default()).unwrap();
        let found = HostTensor::read(output.logits.unwrap()).unwrap().data;
        let error = relative_error(&found, &floats(&answer["logits"]));
        assert!(error <= TOLERANCE, "{name}: logits are off by {error} of the largest");
    }
}

/// Merging in f32 before rounding equals loading a merged f32 checkpoint, in every format.
#[test]
fn every_format_is_rounded_from_merged_f32_weights() {
    for name in ["three", "tied-head", "biases"] {
        let case = cases().into_iter().find(|(other, _)| other == name).unwrap().1;
        let folder = model_folder(case["checkpoint"].as_str().unwrap());
        let checkpoint = Checkpoint::Directory(folder.clone()).with_adapters(&adapters(&case)).unwrap();
        let (config, weights) = (checkpoint.config().unwrap(), checkpoint.weights().unwrap().unwrap());
        let (model, _) = SmolVlmModel::load(&config, &weights, &Device::flex(), FloatType::F32).unwrap();
        let merged = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            fs::copy(&entry, merged.path().join(entry.file_name().unwrap())).unwrap();
        }
        model.save(FloatType::F32, merged.path().join("model.safetensors")).unwrap();
        let conversation = conversation(&case["answers"][0]);
        for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Q8, Dtype::Q4] {
            let found = logits(&load(Source::directory(&folder), adapters(&case), dtype), &conversation);
            let wanted = logits(&load(Source::directory(merged.path()), vec![], dtype), &conversation);
            assert_eq!(found, wanted, "{name}, {dtype}");
        }
    }
}

#[test]
fn quantized_checkpoint_includes_the_adapters() {
    for name in ["two", "tied-embeddings", "module"] {
        let case = cases().into_iter().find(|(other, _)| other == name).unwrap().1;
        let folder = model_folder(case["checkpoint"].as_str().unwrap());
        let conversation = conversation(&case["answers"][0]);
        for dtype in [Dtype::Q8, Dtype::Q4] {
            let out = tempfile::tempdir().unwrap();
            smolvlm::quantize(Source::directory(&folder), &adapters(&case), dtype, out.path(), &mut |_| {}).unwrap();
            assert!(!out.path().join("adapter_config.json").exists());
            let wanted = logits(&load(Source::directory(&folder), adapters(&case), dtype), &conversation);
            let found = logits(&load(Source::directory(out.path()), vec![], Dtype::Auto), &conversation);
            assert_eq!(found, wanted, "{name}, {dtype}");
        }
    }
}

/// Copies an adapter's folder and modifies its configuration.
fn copy_adapter(name: &str, to: &Path, change: impl FnOnce(&mut Value)) {
    fs::create_dir_all(to).unwrap();
    let from = adapter(name).folder;
    fs::copy(from.join("adapter_model.safetensors"), to.join("adapter_model.safetensors")).unwrap();
    let mut config = read_json(&from.join("adapter_config.json"));
    change(&mut config);
    fs::write(to.join("adapter_config.json"), config.to_string()).unwrap();
}

#[test]
fn processor_in_adapter_folder_is_used_and_copied_by_quantize() {
    let folder = tempfile::tempdir().unwrap();
    let base = model_folder("gqa-256m").to_string_lossy().into_owned();
    copy_adapter("adapter", folder.path(), |config| config["base_model_name_or_path"] = base.clone().into());
    for name in ["tokenizer.json", "tokenizer_config.json", "processor_config.json"] {
        fs::copy(model_folder("gqa-256m").join(name), folder.path().join(name)).unwrap();
    }
    let template = "{% for message in messages %}adapted{% endfor %}";
    fs::write(folder.path().join("chat_template.jinja"), template).unwrap();
    let words = Conversation::from(Message::user().text("x"));
    let rendered = |source: &Path| {
        let processor = SmolVlm::load_processor(Source::directory(source), &exact(), &mut |_| {}).unwrap();
        processor.render(&words, &Default::default()).unwrap()
    };
    assert_eq!(rendered(folder.path()), "adapted");
    let out = tempfile::tempdir().unwrap();
    smolvlm::quantize(Source::directory(folder.path()), &[], Dtype::Q8, out.path(), &mut |_| {}).unwrap();
    assert_eq!(rendered(out.path()), "adapted");
    // As in transformers, an adapter in the folder of a complete model applies to that model.
    fs::write(folder.path().join("adapter_config.json"), r#"{"peft_type": "LORA", "r": 2, "lora_alpha": 6}"#).unwrap();
    for name in ["config.json", "generation_config.json", "model.safetensors"] {
        fs::copy(model_folder("gqa-256m").join(name), folder.path().join(name)).unwrap();
    }
    let case = cases().into_iter().find(|(name, _)| name == "adapter").unwrap().1;
    fs::remove_file(folder.path().join("chat_template.jinja")).unwrap();
    fs::copy(model_folder("gqa-256m").join("chat_template.jinja"), folder.path().join("chat_template.jinja")).unwrap();
    check(&load(Source::directory(folder.path()), vec![], Dtype::F32), "whole", &case);
}

#[test]
fn nested_adapters_resolve_to_their_base_model() {
    let folder = tempfile::tempdir().unwrap();
    let outer = folder.path().join("outer");
    let inner = adapter("adapters/patterns").folder.to_string_lossy().into_owned();
    copy_adapter("adapters/tables", &outer, |config| config["base_model_name_or_path"] = inner.clone().into());
    let nested = load(Source::directory(&outer), vec![], Dtype::F32);
    let both = vec![adapter("adapters/patterns"), adapter("adapters/tables")];
    let together = load(Source::directory(model_folder("gqa-256m")), both, Dtype::F32);
    let conversation = Conversation::from(Message::user().text("What is it?"));
    assert_eq!(logits(&nested, &conversation), logits(&together, &conversation));

    let cyclic = folder.path().join("circle");
    copy_adapter("adapter", &cyclic, |config| config["base_model_name_or_path"] = "../circle".into());
    assert!(matches!(SmolVlm::load(Source::directory(&cyclic), exact()), Err(Error::AdapterDepth { .. })));
}

#[test]
fn unusable_adapters_are_refused_with_an_explanation() {
    let error = |source: Source, adapters: Vec<Adapter>| {
        let loaded = SmolVlm::load(source, Options { adapters, ..exact() });
        loaded.map(drop).unwrap_err().to_string()
    };
    let gqa = || Source::directory(model_folder("gqa-256m"));
    for (adapters, expected) in [
        (vec![adapter("adapters/module").weight(0.5)], "its weight must be 1"),
        (vec![adapter("adapters/module"), adapter("adapters/patterns")], "cannot be combined"),
        (vec![adapter("adapters/patterns"), adapter("adapters/module")], "cannot be combined"),
        (vec![adapter("adapter").weight(f32::NAN)], "weight is NaN"),
        (vec![adapter("no/such/adapter")], "adapter_config.json"),
        (vec![adapter("gqa-256m/model")], "adapter_config.json"),
    ] {
        let message = error(gqa(), adapters);
        assert!(message.contains(expected), "{message}");
    }
    let other = error(Source::directory(model_folder("mha-2b")), vec![adapter("adapter")]);
    assert!(other.contains("adapter of another model"), "{other}");
    assert!(matches!(
        SmolVlm::load(Source::random(Preset::Tiny), Options { adapters: vec![adapter("adapter")], ..exact() }),
        Err(Error::AdapterOfRandom)
    ));

    let folder = tempfile::tempdir().unwrap();
    for (name, base) in [("none", Value::Null), ("path", "/no/such/model".into())] {
        let place = folder.path().join(name);
        copy_adapter("adapter", &place, |config| config["base_model_name_or_path"] = base);
        let message = error(Source::directory(&place), vec![]);
        assert!(message.contains("--model") && message.contains("--adapter"), "{message}");
    }
    // Reported before anything is loaded, and by commands that need no weights.
    let place = folder.path().join("dora");
    copy_adapter("adapter", &place, |config| config["use_dora"] = true.into());
    let options = Options { adapters: vec![Adapter::new(&place)], ..exact() };
    let message = SmolVlm::load_processor(gqa(), &options, &mut |_| {}).unwrap_err().to_string();
    assert!(message.contains("use_dora"), "{message}");
    // Modules named in modules_to_save must be present.
    let place = folder.path().join("missing");
    copy_adapter("adapter", &place, |config| config["modules_to_save"] = serde_json::json!(["lm_head"]));
    let message = error(gqa(), vec![Adapter::new(&place)]);
    assert!(message.contains("lm_head"), "{message}");
}
