//! Rotary position embedding parameters.

use std::f64::consts::TAU;

use serde_json::{Value, json};

use crate::{
    Error,
    check::{at_least_one, positive},
    json::{COUNT, NUMBER, Node, TEXT},
};

/// The default RoPE base frequency.
const DEFAULT_THETA: f64 = 10_000.0;

/// Rotary position embedding variants.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeParameters {
    /// Frequencies `theta^(-2i/D)`. The released models use this one.
    Default {
        /// Base of the frequencies.
        theta: f64,
    },
    /// The default frequencies, divided by a factor.
    Linear {
        /// Base of the frequencies.
        theta: f64,
        /// Divisor of all frequencies.
        factor: f64,
    },
    /// The scaling of Llama 3.1: the frequencies of long wavelengths are divided by a factor, those of short ones are
    /// kept, those in between are interpolated.
    Llama3 {
        /// Base of the frequencies.
        theta: f64,
        /// Divisor of the frequencies of long wavelengths.
        factor: f64,
        /// Wavelengths above `original_max_position_embeddings / low_freq_factor` are long.
        low_freq_factor: f64,
        /// Wavelengths below `original_max_position_embeddings / high_freq_factor` are short.
        high_freq_factor: f64,
        /// Context length of the original training.
        original_max_position_embeddings: usize,
    },
}

impl Default for RopeParameters {
    fn default() -> Self {
        RopeParameters::Default { theta: DEFAULT_THETA }
    }
}

impl RopeParameters {
    /// Base of the frequencies.
    pub fn theta(&self) -> f64 {
        match *self {
            RopeParameters::Default { theta }
            | RopeParameters::Linear { theta, .. }
            | RopeParameters::Llama3 { theta, .. } => theta,
        }
    }

    /// Radians per position of each of the `head_dim / 2` rotated pairs, rounded to `f32` after each step like the
    /// reference (transformers 5.24.0, `modeling_llama.py` and `modeling_rope_utils.py`).
    pub fn inverse_frequencies(&self, head_dim: usize) -> Vec<f32> {
        let theta = f64::from(self.theta() as f32);
        let plain = (0..head_dim / 2).map(|i| {
            let exponent = (2 * i) as f32 / head_dim as f32;
            // `f32::powf` differs between platforms; the rounded result of `f64` does not.
            1.0 / theta.powf(f64::from(exponent)) as f32
        });
        match *self {
            RopeParameters::Default { .. } => plain.collect(),
            RopeParameters::Linear { factor, .. } => plain.map(|frequency| frequency / factor as f32).collect(),
            RopeParameters::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
                ..
            } => {
                let positions = original_max_position_embeddings as f64;
                let long = (positions / low_freq_factor) as f32;
                let short = (positions / high_freq_factor) as f32;
                let (low, span) = (low_freq_factor as f32, (high_freq_factor - low_freq_factor) as f32);
                let (positions, factor) = (positions as f32, factor as f32);
                plain
                    .map(|frequency| {
                        // In the reference, a number divided by a tensor is a reciprocal and a product.
                        let wavelength = frequency.recip() * TAU as f32;
                        if wavelength < short {
                            frequency
                        } else if wavelength > long {
                            frequency / factor
                        } else {
                            let smooth = (wavelength.recip() * positions - low) / span;
                            (1.0 - smooth) * frequency / factor + smooth * frequency
                        }
                    })
                    .collect()
            }
        }
    }

    /// Reads the old keys (`rope_theta`, `rope_scaling`) and the new one (`rope_parameters`) of a text configuration.
    pub(crate) fn read(node: &Node<'_>, max_position_embeddings: usize) -> Result<Self, Error> {
        let scaling = node.object("rope_scaling")?.filter(|scaling| scaling.keys().next().is_some());
        let parameters = match scaling {
            Some(scaling) => Some(scaling),
            None => node.object("rope_parameters")?,
        };
        let Some(parameters) = parameters else {
            let theta = node.get("rope_theta", NUMBER)?.unwrap_or(DEFAULT_THETA);
            return Ok(RopeParameters::Default { theta });
        };
        let theta = match parameters.get("rope_theta", NUMBER)? {
            Some(theta) => theta,
            None => node.get("rope_theta", NUMBER)?.unwrap_or(DEFAULT_THETA),
        };
        let (type_key, name) = match parameters.get("rope_type", TEXT)? {
            Some(name) => ("rope_type", name),
            None => ("type", parameters.get("type", TEXT)?.unwrap_or_else(|| "default".to_owned())),
        };
        let required = |key: &str| {
            parameters.get(key, NUMBER)?.ok_or_else(|| {
                Error::invalid(parameters.key(key), format!("is missing; required by rope type {name:?}"))
            })
        };
        match name.as_str() {
            "default" => Ok(RopeParameters::Default { theta }),
            "linear" => {
                whole_head(node, &parameters)?;
                Ok(RopeParameters::Linear { theta, factor: required("factor")? })
            }
            "llama3" => {
                whole_head(node, &parameters)?;
                Ok(RopeParameters::Llama3 {
                    theta,
                    factor: required("factor")?,
                    low_freq_factor: required("low_freq_factor")?,
                    high_freq_factor: required("high_freq_factor")?,
                    original_max_position_embeddings: parameters
                        .get("original_max_position_embeddings", COUNT)?
                        .unwrap_or(max_position_embeddings),
                })
            }
            _ => Err(Error::unsupported(parameters.key(type_key), &name, "default, linear, llama3")),
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        match *self {
            RopeParameters::Default { theta } => json!({"rope_type": "default", "rope_theta": theta}),
            RopeParameters::Linear { theta, factor } => {
                json!({"rope_type": "linear", "rope_theta": theta, "factor": factor})
            }
            RopeParameters::Llama3 {
                theta,
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => json!({
                "rope_type": "llama3",
                "rope_theta": theta,
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_position_embeddings,
            }),
        }
    }

    /// Checks the values.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a base or factor that is not above zero, or a high frequency factor that is not above the
    /// low one.
    pub fn validate(&self) -> Result<(), Error> {
        positive("text_config.rope_parameters.rope_theta", self.theta())?;
        match *self {
            RopeParameters::Default { .. } => Ok(()),
            RopeParameters::Linear { factor, .. } => positive("text_config.rope_parameters.factor", factor),
            RopeParameters::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
                ..
            } => {
                positive("text_config.rope_parameters.factor", factor)?;
                positive("text_config.rope_parameters.low_freq_factor", low_freq_factor)?;
                positive("text_config.rope_parameters.high_freq_factor", high_freq_factor)?;
                if high_freq_factor <= low_freq_factor {
                    return Err(Error::invalid(
                        "text_config.rope_parameters.high_freq_factor",
                        format!("must be above low_freq_factor ({low_freq_factor}), is {high_freq_factor}"),
                    ));
                }
                at_least_one(&[(
                    "text_config.rope_parameters.original_max_position_embeddings",
                    original_max_position_embeddings,
                )])
            }
        }
    }
}

/// Rejects rotation of a part of each head with scaling. The default type ignores the key, as in the reference.
fn whole_head(node: &Node<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    for owner in [parameters, node] {
        match owner.nullable("partial_rotary_factor", NUMBER)? {
            Some(part) if part != 1.0 => {
                return Err(Error::invalid(
                    owner.key("partial_rotary_factor"),
                    format!("must be 1 because Llama rotates whole heads, is {part}"),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}
