//! The table of a checkpoint's tensors: their names, shapes and module parameters.
//!
//! All tensor names are defined here. Source: the state dict of transformers 5.24.0
//! (`modeling_smolvlm.py`, `modeling_llama.py`).

use smolvlm_config::{ModelConfig, TextConfig, VisionConfig};

/// The role of a tensor, which determines the distribution of random weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorKind {
    /// A weight matrix or the patch convolution, `[out, in, ..]`.
    Weight,
    /// A bias vector.
    Bias,
    /// The scale of a norm, near one.
    Scale,
    /// A lookup table with one row per entry.
    Embedding,
}

/// One tensor of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name in the checkpoint, such as `model.text_model.norm.weight`.
    pub name: String,
    /// Path of the parameter in the model, such as `text.norm.weight`.
    pub module_path: String,
    /// Shape, in both checkpoint and module.
    pub shape: Vec<usize>,
    /// Role.
    pub kind: TensorKind,
}

impl TensorSpec {
    /// Number of values.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Name of the output projection.
pub const LM_HEAD: &str = "lm_head.weight";
/// Name of the token embeddings, which a tied output projection uses.
pub(crate) const TOKEN_EMBEDDINGS: &str = "model.text_model.embed_tokens.weight";
/// Path of the token embeddings in the model.
pub const EMBEDDINGS_PATH: &str = "text.embed_tokens.weight";
/// Prefix of every name except the output projection's; some checkpoints omit it.
pub(crate) const PREFIX: &str = "model.";

/// Whether a stored tensor belongs to the vision encoder or the connector.
pub(crate) fn is_vision_tensor(name: &str) -> bool {
    name.starts_with("model.vision_model.") || name.starts_with("model.connector.")
}

/// Whether a stored tensor is a matrix of a layer of the text model.
pub(crate) fn is_text_matrix(name: &str) -> bool {
    name.starts_with("model.text_model.layers.") && name.ends_with("_proj.weight")
}

/// Whether a stored tensor holds rotary frequencies, which older exports contain and the model does not use.
pub(crate) fn is_rotary_buffer(name: &str) -> bool {
    name.ends_with(".rotary_emb.inv_freq")
}

/// Lists every tensor of a model with this configuration, in the order of the forward pass.
///
/// With `tie_word_embeddings` the output projection is omitted, since it is the token embedding matrix.
pub fn tensor_specs(config: &ModelConfig) -> Vec<TensorSpec> {
    let mut table = Table::default();
    table.vision(&config.vision);
    table.push(
        "model.connector.modality_projection.proj.weight",
        "connector.proj.weight",
        &[config.text.hidden_size, config.vision.hidden_size * config.scale_factor * config.scale_factor],
        TensorKind::Weight,
    );
    table.text(&config.text);
    if !config.tie_word_embeddings {
        table.specs.push(lm_head_spec(config));
    }
    table.specs
}

/// The output projection of an untied model.
pub fn lm_head_spec(config: &ModelConfig) -> TensorSpec {
    TensorSpec {
        name: LM_HEAD.to_owned(),
        module_path: LM_HEAD.to_owned(),
        shape: vec![config.text.vocab_size, config.text.hidden_size],
        kind: TensorKind::Weight,
    }
}

#[derive(Default)]
struct Table {
    specs: Vec<TensorSpec>,
}

impl Table {
    fn push(&mut self, name: &str, module_path: &str, shape: &[usize], kind: TensorKind) {
        self.specs.push(TensorSpec {
            name: name.to_owned(),
            module_path: module_path.to_owned(),
            shape: shape.to_vec(),
            kind,
        });
    }

    /// Adds a matrix `[out, in]` and, with `bias`, its bias `[out]`.
    fn linear(&mut self, name: &str, module_path: &str, out: usize, input: usize, bias: bool) {
        self.push(&format!("{name}.weight"), &format!("{module_path}.weight"), &[out, input], TensorKind::Weight);
        if bias {
            self.push(&format!("{name}.bias"), &format!("{module_path}.bias"), &[out], TensorKind::Bias);
        }
    }

    /// Adds the scale `[size]` of a norm and, for a layer norm, its bias `[size]`.
    fn norm(&mut self, name: &str, module_path: &str, size: usize, bias: bool) {
        self.push(&format!("{name}.weight"), &format!("{module_path}.weight"), &[size], TensorKind::Scale);
        if bias {
            self.push(&format!("{name}.bias"), &format!("{module_path}.bias"), &[size], TensorKind::Bias);
        }
    }

    fn vision(&mut self, config: &VisionConfig) {
        let (hidden, patch) = (config.hidden_size, config.patch_size);
        let name = "model.vision_model.embeddings";
        self.push(
            &format!("{name}.patch_embedding.weight"),
            "vision.embeddings.patch_embedding.weight",
            &[hidden, config.num_channels, patch, patch],
            TensorKind::Weight,
        );
        self.push(
            &format!("{name}.patch_embedding.bias"),
            "vision.embeddings.patch_embedding.bias",
            &[hidden],
            TensorKind::Bias,
        );
        self.push(
            &format!("{name}.position_embedding.weight"),
            "vision.embeddings.position_embedding.weight",
            &[config.grid() * config.grid(), hidden],
            TensorKind::Embedding,
        );
        for layer in 0..config.num_hidden_layers {
            let name = format!("model.vision_model.encoder.layers.{layer}");
            let path = format!("vision.layers.{layer}");
            for norm in ["layer_norm1", "layer_norm2"] {
                self.norm(&format!("{name}.{norm}"), &format!("{path}.{norm}"), hidden, true);
            }
            for proj in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                let (name, path) = (format!("{name}.self_attn.{proj}"), format!("{path}.self_attn.{proj}"));
                self.linear(&name, &path, hidden, hidden, true);
            }
            let (name, path) = (format!("{name}.mlp"), format!("{path}.mlp"));
            let inner = config.intermediate_size;
            self.linear(&format!("{name}.fc1"), &format!("{path}.fc1"), inner, hidden, true);
            self.linear(&format!("{name}.fc2"), &format!("{path}.fc2"), hidden, inner, true);
        }
        self.norm("model.vision_model.post_layernorm", "vision.post_layernorm", hidden, true);
    }

    fn text(&mut self, config: &TextConfig) {
        let hidden = config.hidden_size;
        let queries = config.num_attention_heads * config.head_dim;
        let keys = config.num_key_value_heads * config.head_dim;
        self.push(TOKEN_EMBEDDINGS, EMBEDDINGS_PATH, &[config.vocab_size, hidden], TensorKind::Embedding);
        for layer in 0..config.num_hidden_layers {
            let name = format!("model.text_model.layers.{layer}");
            let path = format!("text.layers.{layer}");
            for norm in ["input_layernorm", "post_attention_layernorm"] {
                self.norm(&format!("{name}.{norm}"), &format!("{path}.{norm}"), hidden, false);
            }
            for (proj, out, input) in [
                ("q_proj", queries, hidden),
                ("k_proj", keys, hidden),
                ("v_proj", keys, hidden),
                ("o_proj", hidden, queries),
            ] {
                let (name, path) = (format!("{name}.self_attn.{proj}"), format!("{path}.self_attn.{proj}"));
                self.linear(&name, &path, out, input, config.attention_bias);
            }
            for (proj, out, input) in [
                ("gate_proj", config.intermediate_size, hidden),
                ("up_proj", config.intermediate_size, hidden),
                ("down_proj", hidden, config.intermediate_size),
            ] {
                let (name, path) = (format!("{name}.mlp.{proj}"), format!("{path}.mlp.{proj}"));
                self.linear(&name, &path, out, input, config.mlp_bias);
            }
        }
        self.norm("model.text_model.norm", "text.norm", hidden, false);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use smolvlm_config::Preset;

    use super::*;

    fn total(specs: &[TensorSpec]) -> usize {
        specs.iter().map(TensorSpec::elements).sum()
    }

    #[test]
    fn presets_have_the_published_parameter_counts() {
        for (preset, tensors, parameters) in [
            (Preset::Smol256M, 471, 256_484_928),
            (Preset::Smol500M, 489, 507_482_304),
            (Preset::Smol2B, 657, 2_246_784_880),
        ] {
            let config = preset.model();
            let specs = tensor_specs(&config);
            assert_eq!(specs.len(), tensors, "{}", preset.name());
            assert_eq!(total(&specs), parameters, "{}", preset.name());
            assert_eq!(total(&specs), config.parameter_count(), "{}", preset.name());
        }
    }

    #[test]
    fn names_and_paths_are_unique() {
        let specs = tensor_specs(&Preset::Smol2B.model());
        let names: HashSet<_> = specs.iter().map(|spec| &spec.name).collect();
        let paths: HashSet<_> = specs.iter().map(|spec| &spec.module_path).collect();
        assert_eq!(names.len(), specs.len());
        assert_eq!(paths.len(), specs.len());
        assert!(specs.iter().all(|spec| spec.name == LM_HEAD || spec.name.starts_with(PREFIX)));
    }

    #[test]
    fn tied_models_have_no_output_projection() {
        let mut config = Preset::Smol256M.model();
        config.tie_word_embeddings = true;
        let specs = tensor_specs(&config);
        assert_eq!(specs.len(), 470);
        assert_eq!(total(&specs), 256_484_928 - 49280 * 576);
    }

    #[test]
    fn text_biases_depend_on_the_configuration() {
        let mut config = Preset::Smol256M.model();
        let layers = config.text.num_hidden_layers;
        config.text.attention_bias = true;
        assert_eq!(tensor_specs(&config).len(), 471 + 4 * layers);
        config.text.mlp_bias = true;
        let specs = tensor_specs(&config);
        assert_eq!(specs.len(), 471 + 7 * layers);
        let down = specs.iter().find(|spec| spec.name == "model.text_model.layers.3.mlp.down_proj.bias").unwrap();
        assert_eq!(down.shape, [576]);
    }
}
