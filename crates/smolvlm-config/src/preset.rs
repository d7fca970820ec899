//! Presets of the released model sizes and of a tiny one.

use std::{fmt, str::FromStr};

use crate::{Error, GenerationConfig, ModelConfig, ProcessorConfig};

/// A preset model size.
///
/// The values are those of the SmolVLM2 checkpoints, except that `rope_theta` of the 2.2B model, 130000, was not taken
/// from its file; if there is a checkpoint, use its value. It does not affect the shapes of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// SmolVLM2-256M-Video-Instruct.
    Smol256M,
    /// SmolVLM2-500M-Video-Instruct.
    Smol500M,
    /// SmolVLM2-2.2B-Instruct.
    Smol2B,
    /// Not a released size: the shape of the 256M model with 6.6 million parameters, 128-pixel tiles and the released
    /// vocabulary, for tests and demonstrations.
    Tiny,
}

impl Preset {
    /// All presets, from smallest to largest.
    pub const ALL: [Preset; 4] = [Preset::Tiny, Preset::Smol256M, Preset::Smol500M, Preset::Smol2B];

    /// The name that [`Preset::from_str`] parses: `256m`, `500m`, `2.2b` or `tiny`.
    pub fn name(&self) -> &'static str {
        match self {
            Preset::Smol256M => "256m",
            Preset::Smol500M => "500m",
            Preset::Smol2B => "2.2b",
            Preset::Tiny => "tiny",
        }
    }

    /// The model configuration.
    pub fn model(&self) -> ModelConfig {
        embedded(ModelConfig::from_json(match self {
            Preset::Smol256M => include_str!("../presets/256m/config.json"),
            Preset::Smol500M => include_str!("../presets/500m/config.json"),
            Preset::Smol2B => include_str!("../presets/2.2b/config.json"),
            Preset::Tiny => include_str!("../presets/tiny/config.json"),
        }))
    }

    /// The processor configuration, with the chat template.
    pub fn processor(&self) -> ProcessorConfig {
        let mut config = embedded(ProcessorConfig::from_json(match self {
            Preset::Smol256M => include_str!("../presets/256m/processor_config.json"),
            Preset::Smol500M => include_str!("../presets/500m/processor_config.json"),
            Preset::Smol2B => include_str!("../presets/2.2b/processor_config.json"),
            Preset::Tiny => include_str!("../presets/tiny/processor_config.json"),
        }));
        config.chat_template = Some(include_str!("../presets/chat_template.jinja").to_owned());
        config
    }

    /// The generation parameters.
    pub fn generation(&self) -> GenerationConfig {
        embedded(GenerationConfig::from_json(include_str!("../presets/generation_config.json")))
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = Error;

    /// Parses the name of a preset, ignoring case.
    fn from_str(name: &str) -> Result<Self, Error> {
        Preset::ALL
            .into_iter()
            .find(|preset| preset.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| Error::unsupported("preset", name, "256m, 500m, 2.2b or tiny"))
    }
}

/// Unwraps an embedded preset, all of which are covered by tests.
fn embedded<T>(result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| panic!("a preset is broken: {error}"))
}
