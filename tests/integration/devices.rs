//! The goldens on every device that this build can use on this machine: Flex always, others with the cargo features of
//! the same names. `cargo xtask parity` writes the table printed here to `docs/parity.md`.

use serde_json::Value;
use smolvlm::{
    Conversation, Device, DeviceInfo, Dtype, Error, ForwardRequest, Options, SamplingParams, SmolVlm, Source,
};
use smolvlm_tests::{Case, Checkpoint, Golden, checkpoints, relative_error, tensor_rows, with_absolute_paths};
use std::collections::BTreeMap;

/// Largest error of logits and image features, relative to their largest value. Matrix products sum in a different
/// order than torch's; bf16 keeps 8 bits of every weight and, on tensors, of every result.
fn tolerance(dtype: Dtype) -> f32 {
    if dtype == Dtype::F32 { 2e-5 } else { 0.06 }
}

/// The largest errors of a device, and the cases that differ from the reference.
#[derive(Default)]
struct Errors {
    features: f32,
    logits: f32,
    cases: usize,
    failures: Vec<String>,
}

#[test]
fn goldens() {
    let devices = smolvlm::devices();
    assert!(devices.iter().any(|info| info.device == Device::Flex));
    let mut failures = Vec::new();
    for info in devices {
        for dtype in [Dtype::F32, Dtype::Bf16] {
            match errors(&info, dtype) {
                Ok(errors) => {
                    println!(
                        "| {} | {} | {dtype} | {:.0e} | {:.1e} | {:.1e} | {} |",
                        info.device,
                        info.name,
                        tolerance(dtype),
                        errors.features,
                        errors.logits,
                        errors.cases
                    );
                    let of_device = |failure| format!("{} {dtype}: {failure}", info.device);
                    failures.extend(errors.failures.into_iter().map(of_device));
                }
                Err(Error::NoDtype { .. }) => assert!(dtype != Dtype::F32, "{} has no f32", info.device),
                Err(error) => failures.push(format!("{} {dtype}: {error}", info.device)),
            }
        }
    }
    // Asserted at the end, so that one run on a machine with a GPU shows all failures.
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// GPUs send the host only the most likely tokens where these suffice.
#[test]
fn samples_are_the_same_on_all_devices() {
    let checkpoints = checkpoints();
    let checkpoint = checkpoints.iter().find(|checkpoint| !checkpoint.cases().is_empty()).unwrap();
    let case = checkpoint.cases().remove(0);
    let conversations = with_absolute_paths(&case.expected["conversations"]).to_string();
    let conversations = Conversation::many_from_json(&conversations).unwrap();
    let settings: [fn(SamplingParams) -> SamplingParams; 4] = [
        |params| params.top_k(20),
        |params| params.temperature(0.6).top_p(0.9),
        |params| params.top_k(0).repetition_penalty(1.2),
        // More tokens than a GPU selects.
        |params| params.top_k(80),
    ];
    let mut wanted: Vec<Vec<Vec<u32>>> = Vec::new();
    for info in smolvlm::devices() {
        let options = Options { device: info.device, dtype: Dtype::F32, ..Options::default() };
        let model = SmolVlm::load(Source::directory(checkpoint.model()), options).unwrap();
        let sample = |set: &fn(SamplingParams) -> SamplingParams| {
            let params = SamplingParams::sampling().seed(4).max_new_tokens(12);
            let answers = model.batch(&conversations, set(params)).unwrap();
            answers.into_iter().map(|answer| answer.token_ids).collect()
        };
        let found: Vec<Vec<Vec<u32>>> = settings.iter().map(sample).collect();
        if wanted.is_empty() {
            assert!(found[0] != found[3], "different tokens are sampled");
            wanted = found;
        } else {
            assert_eq!(found, wanted, "{}", info.device);
        }
    }
}

fn errors(info: &DeviceInfo, dtype: Dtype) -> Result<Errors, Error> {
    let mut errors = Errors::default();
    for checkpoint in checkpoints() {
        for (splitting, cases) in by_splitting(&checkpoint) {
            let options = Options { device: info.device, dtype, image_splitting: splitting, ..Options::default() };
            let model = SmolVlm::load(Source::directory(checkpoint.model()), options)?;
            assert_eq!(model.device().device, info.device);
            for case in cases {
                check(&model, &case, dtype, &mut errors);
            }
        }
    }
    Ok(errors)
}

/// Groups cases by their override of the checkpoint's image splitting.
fn by_splitting(checkpoint: &Checkpoint) -> BTreeMap<Option<bool>, Vec<Case>> {
    let mut found: BTreeMap<Option<bool>, Vec<Case>> = BTreeMap::new();
    for case in checkpoint.cases() {
        let splitting = case.expected["image_processor"]["do_image_splitting"].as_bool();
        found.entry(splitting).or_default().push(case);
    }
    found
}

fn check(model: &SmolVlm, case: &Case, dtype: Dtype, errors: &mut Errors) {
    let conversations = with_absolute_paths(&case.expected["conversations"]).to_string();
    let conversations = Conversation::many_from_json(&conversations).unwrap();
    let request = ForwardRequest { all_logits: true, ..ForwardRequest::default() };
    errors.cases += 1;
    let seen = match model.forward(&conversations, request) {
        Ok(seen) => seen,
        Err(error) => return errors.failures.push(format!("{}: {error}", case.name)),
    };
    let golden = Golden::new(case);
    let logits = tensor_rows(seen.logits, &golden.integers("logit_positions"));
    let worst = relative_error(&logits.data, &golden.floats("logits").data);
    errors.logits = errors.logits.max(worst);
    errors.note(worst <= tolerance(dtype), || format!("{}: logits off by {worst}", case.name));
    if let Some(features) = seen.image_features {
        let worst = relative_error(&features.data, &golden.floats("connector_out").data);
        errors.features = errors.features.max(worst);
        errors.note(worst <= tolerance(dtype), || format!("{}: image features off by {worst}", case.name));
    }
    if dtype == Dtype::F32 {
        let limit = case.expected["max_new_tokens"].as_u64().unwrap() as usize;
        match model.batch(&conversations, model.sampling().max_new_tokens(limit)) {
            Ok(answers) => {
                let tokens: Value = answers.iter().map(|answer| answer.token_ids.clone()).collect();
                let wanted = &case.expected["generated"];
                errors.note(tokens == *wanted, || format!("{}: {tokens} instead of {wanted}", case.name));
            }
            Err(error) => errors.failures.push(format!("{}: {error}", case.name)),
        }
    }
}

impl Errors {
    fn note(&mut self, holds: bool, failure: impl FnOnce() -> String) {
        if !holds {
            self.failures.push(failure());
        }
    }
}
