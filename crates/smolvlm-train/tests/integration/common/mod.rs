//! A model small enough to train in a test, and samples for it. No test file uses all of it.
#![allow(dead_code)]

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use smolvlm_config::{ModelConfig, Preset, Size};
use smolvlm_model::SmolVlmModel;
use smolvlm_processor::{FrameList, Message, Processor, RELEASED_CHAT_TEMPLATE, Rgb, synthetic_tokenizer};
use smolvlm_train::{Example, Observer, StepMetrics, TrainConfig, initial_model};
use std::ops::ControlFlow;

pub fn config() -> ModelConfig {
    let mut config = Preset::Tiny.model();
    let text = &mut config.text;
    (text.hidden_size, text.intermediate_size, text.num_hidden_layers) = (32, 48, 2);
    (text.num_attention_heads, text.num_key_value_heads, text.head_dim) = (4, 2, 8);
    (text.vocab_size, config.image_token_id) = (400, 310);
    text.max_position_embeddings = 256;
    let vision = &mut config.vision;
    (vision.hidden_size, vision.intermediate_size, vision.num_hidden_layers) = (24, 40, 2);
    (vision.num_attention_heads, vision.image_size, vision.patch_size) = (3, 16, 4);
    // A model this narrow needs a larger initial standard deviation for its gradients to be measurable.
    (config.text.initializer_range, config.vision.initializer_range) = (0.15, 0.15);
    (config.scale_factor, config.tie_word_embeddings) = (2, true);
    config
}

pub fn model() -> SmolVlmModel {
    initial_model(&config(), 1).unwrap()
}

pub fn processor() -> Processor {
    let mut processing = Preset::Tiny.processor();
    (processing.image.pixels.size, processing.image.pixels.max_image_size) = (Size::LongestEdge(32), 16);
    (processing.video.pixels.size, processing.video.pixels.max_image_size) = (Size::LongestEdge(16), 16);
    processing.image_seq_len = 4;
    let tokenizer = synthetic_tokenizer(config().text.vocab_size).unwrap();
    Processor::new(processing, tokenizer, Some(RELEASED_CHAT_TEMPLATE.to_owned())).unwrap()
}

/// An image of one color with some texture.
pub fn picture(color: [u8; 3]) -> Rgb {
    let pixels = (0..32 * 32).flat_map(|place: u32| color.map(|value| value ^ (place % 7) as u8)).collect();
    Rgb::new(32, 32, pixels).unwrap()
}

/// Samples with one image, several images, a video, and text only.
pub fn samples() -> Vec<Example> {
    let frames = FrameList::new([picture([0, 0, 250]), picture([0, 250, 0])]);
    vec![
        Example::answer(Message::user().image(picture([250, 0, 0])).text("Colour?"), "Red."),
        Example::answer(
            Message::user().image(picture([0, 250, 0])).image(picture([0, 0, 0])).text("Colours?"),
            "Green, black.",
        ),
        Example::answer(Message::user().video(frames).text("And here?"), "Blue to green."),
        Example::new([
            Message::user().text("Hi"),
            Message::assistant().text("Hello!"),
            Message::user().text("Bye"),
            Message::assistant().text("Ciao"),
        ]),
    ]
}

pub fn training() -> TrainConfig {
    TrainConfig { steps: 6, batch_size: 4, learning_rate: 3e-3, warmup: 2, workers: 2, ..TrainConfig::default() }
}

/// Records every step's loss and stops after a given number of steps.
#[derive(Default)]
pub struct Losses {
    pub losses: Vec<f64>,
    pub skipped: Vec<String>,
    pub stop: Option<usize>,
}

impl Observer for Losses {
    fn step(&mut self, metrics: &StepMetrics) -> ControlFlow<()> {
        self.losses.push(metrics.loss);
        if self.stop == Some(self.losses.len()) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn skipped(&mut self, why: &smolvlm_train::Error) {
        self.skipped.push(why.to_string());
    }
}

/// The paths and values of all parameters.
pub fn weights(model: &SmolVlmModel) -> Vec<(String, Vec<f32>)> {
    #[derive(Default)]
    struct Reader {
        path: Vec<String>,
        found: Vec<(String, Vec<f32>)>,
    }
    impl ModuleVisitor for Reader {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let values = param.val().to_data().try_to_vec::<f32>().unwrap();
            self.found.push((self.path.join("."), values));
        }
    }
    let mut reader = Reader::default();
    model.visit(&mut reader);
    reader.found
}

/// The model with `by` added to one of its parameters.
pub fn perturbed(model: &SmolVlmModel, number: usize, by: &[f32]) -> SmolVlmModel {
    struct Perturber<'a> {
        left: isize,
        by: &'a [f32],
    }
    impl ModuleMapper for Perturber<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.left -= 1;
            if self.left != -1 {
                return param;
            }
            let values = param.val();
            let by = Tensor::<1>::from_floats(self.by, &values.device()).reshape(values.dims());
            Param::initialized(param.id, values + by)
        }
    }
    model.clone().map(&mut Perturber { left: number as isize, by })
}
