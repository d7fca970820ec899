//! Export of a model to GGUF files.

use std::path::Path;

use smolvlm_config::{HiddenAct, ModelConfig, ProcessorConfig, RopeParameters, Size};

use super::ggml_type::GgmlType;
use super::metadata::Metadata;
use super::names::{RowOrder, gguf_name};
use super::vocabulary::{GgufVocabulary, UNUSED};
use super::writer::{Entry, write};
use crate::error::Error;
use crate::tensor_specs::{LM_HEAD, TOKEN_EMBEDDINGS, TensorKind, TensorSpec, is_vision_tensor};
use crate::weight_source::WeightSource;

/// A model to write as GGUF files for llama.cpp.
#[derive(Debug, Clone, Copy)]
pub struct GgufExport<'a> {
    /// Name of the model.
    pub name: &'a str,
    /// Configuration of the model.
    pub config: &'a ModelConfig,
    /// Configuration of the processor.
    pub processor: &'a ProcessorConfig,
    /// Vocabulary of the tokenizer.
    pub vocabulary: &'a GgufVocabulary,
    /// The weights.
    pub source: &'a WeightSource<'a>,
}

impl GgufExport<'_> {
    /// Writes the text model: matrices in `ggml_type` (F32, F16, BF16, Q8_0, Q4_0 or Q4_1), embeddings and output
    /// projection in Q8_0 for types of 4 bits, the rest in F32. Matrices whose rows are not whole blocks are F16.
    ///
    /// # Errors
    ///
    /// [`Error::Gguf`] for another type and for a model that llama.cpp does not have, errors of loading, and
    /// [`Error::Io`] when the file cannot be written.
    pub fn write_text(&self, ggml_type: GgmlType, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let mut metadata = self.general("llama", "model", file_type(ggml_type, path)?);
        has_activation(self.config.text.hidden_act, HiddenAct::Silu, "text model", path)?;
        self.text_sizes(&mut metadata, path)?;
        self.tokenizer(&mut metadata, path)?;
        self.write(path, &metadata, |name| !is_vision_tensor(name), |spec| text_type(spec, ggml_type))
    }

    /// Writes vision encoder and connector: matrices in `ggml_type` (F32, F16, BF16 or Q8_0), the rest in F32.
    ///
    /// # Errors
    ///
    /// As [`write_text`](Self::write_text).
    pub fn write_mmproj(&self, ggml_type: GgmlType, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let vision = &self.config.vision;
        let mut metadata = self.general("clip", "mmproj", file_type(ggml_type, path)?);
        has_activation(vision.hidden_act, HiddenAct::GeluTanh, "vision encoder", path)?;
        metadata.bool("clip.has_vision_encoder", true);
        metadata.text("clip.projector_type", "idefics3");
        metadata.bool("clip.use_gelu", true);
        metadata.size("clip.vision.projection_dim", self.config.text.hidden_size);
        metadata.size("clip.vision.image_size", vision.image_size);
        metadata.size("clip.vision.patch_size", vision.patch_size);
        metadata.size("clip.vision.embedding_length", vision.hidden_size);
        metadata.size("clip.vision.feed_forward_length", vision.intermediate_size);
        metadata.size("clip.vision.block_count", vision.num_hidden_layers);
        metadata.size("clip.vision.attention.head_count", vision.num_attention_heads);
        metadata.f32("clip.vision.attention.layer_norm_epsilon", vision.layer_norm_eps);
        metadata.size("clip.vision.projector.scale_factor", self.config.scale_factor);
        let pixels = &self.processor.image.pixels;
        if let Size::LongestEdge(edge) = pixels.size {
            metadata.u32("clip.vision.preproc_image_size", edge);
        }
        metadata.f32_list("clip.vision.image_mean", &pixels.image_mean);
        metadata.f32_list("clip.vision.image_std", &pixels.image_std);
        self.write(path, &metadata, is_vision_tensor, |spec| vision_type(spec, ggml_type))
    }

    /// The entries that every file starts with.
    fn general(&self, architecture: &str, content: &str, file_type: u32) -> Metadata {
        let mut metadata = Metadata::default();
        metadata.text("general.architecture", architecture);
        metadata.text("general.type", content);
        metadata.text("general.name", self.name);
        metadata.u32("general.file_type", file_type);
        metadata.u32("general.quantization_version", 2);
        metadata
    }

    fn text_sizes(&self, metadata: &mut Metadata, path: &Path) -> Result<(), Error> {
        let text = &self.config.text;
        metadata.size("llama.block_count", text.num_hidden_layers);
        metadata.size("llama.context_length", text.max_position_embeddings);
        metadata.size("llama.embedding_length", text.hidden_size);
        metadata.size("llama.feed_forward_length", text.intermediate_size);
        metadata.size("llama.attention.head_count", text.num_attention_heads);
        metadata.size("llama.attention.head_count_kv", text.num_key_value_heads);
        metadata.size("llama.attention.key_length", text.head_dim);
        metadata.size("llama.attention.value_length", text.head_dim);
        metadata.f32("llama.attention.layer_norm_rms_epsilon", text.rms_norm_eps);
        metadata.size("llama.rope.dimension_count", text.head_dim);
        metadata.f32("llama.rope.freq_base", text.rope.theta());
        metadata.size("llama.vocab_size", text.vocab_size);
        match text.rope {
            RopeParameters::Default { .. } => Ok(()),
            RopeParameters::Linear { factor, .. } => {
                metadata.text("llama.rope.scaling.type", "linear");
                metadata.f32("llama.rope.scaling.factor", factor);
                Ok(())
            }
            RopeParameters::Llama3 { .. } => Err(unsupported(path, "the rotary embedding of Llama 3.1")),
        }
    }

    fn tokenizer(&self, metadata: &mut Metadata, path: &Path) -> Result<(), Error> {
        let vocabulary = self.vocabulary;
        let rows = self.config.text.vocab_size;
        if vocabulary.tokens.len() > rows {
            let what = format!("a tokenizer of {} tokens with a model of {rows} embeddings", vocabulary.tokens.len());
            return Err(unsupported(path, &what));
        }
        let mut tokens: Vec<String> = vocabulary.tokens.iter().map(|(token, _)| token.clone()).collect();
        // Embeddings without a token get an unused one.
        let mut kinds: Vec<i32> = vocabulary.tokens.iter().map(|(_, kind)| kind.number()).collect();
        tokens.extend((tokens.len()..rows).map(|id| format!("[PAD{id}]")));
        kinds.resize(tokens.len(), UNUSED);
        let merges: Vec<String> = vocabulary.merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
        metadata.text("tokenizer.ggml.model", "gpt2");
        metadata.text("tokenizer.ggml.pre", "smollm");
        metadata.texts("tokenizer.ggml.tokens", &tokens);
        metadata.i32_list("tokenizer.ggml.token_type", &kinds);
        metadata.texts("tokenizer.ggml.merges", &merges);
        for (key, id) in [
            ("tokenizer.ggml.bos_token_id", vocabulary.bos_token_id),
            ("tokenizer.ggml.eos_token_id", vocabulary.eos_token_id),
            ("tokenizer.ggml.eot_token_id", vocabulary.eot_token_id),
            ("tokenizer.ggml.padding_token_id", vocabulary.pad_token_id),
            ("tokenizer.ggml.unknown_token_id", vocabulary.unk_token_id),
        ] {
            if let Some(id) = id {
                metadata.u32(key, id);
            }
        }
        metadata.bool("tokenizer.ggml.add_bos_token", false);
        metadata.bool("tokenizer.ggml.add_space_prefix", false);
        if let Some(template) = &self.processor.chat_template {
            metadata.text("tokenizer.chat_template", template);
        }
        Ok(())
    }

    fn write(
        &self,
        path: &Path,
        metadata: &Metadata,
        is_wanted: impl Fn(&str) -> bool,
        ggml_type: impl Fn(&TensorSpec) -> GgmlType,
    ) -> Result<(), Error> {
        self.config.validate()?;
        let head_dim = self.config.text.head_dim;
        let (specs, tensors) = self.source.tensors(self.config)?;
        let wanted = specs.into_iter().filter(|spec| is_wanted(&spec.name));
        let entry = |spec: TensorSpec| {
            let name = gguf_name(&spec.name).ok_or_else(|| unsupported(path, &format!("tensor {}", spec.name)))?;
            Ok(Entry {
                ggml_type: ggml_type(&spec),
                order: RowOrder::of_text(&name, &spec.shape, head_dim),
                name,
                spec,
            })
        };
        let entries = wanted.map(entry).collect::<Result<Vec<_>, Error>>()?;
        write(path, metadata, &entries, &*tensors)
    }
}

/// The number of a file's most common type.
fn file_type(ggml_type: GgmlType, path: &Path) -> Result<u32, Error> {
    let advice = || {
        format!(
            "the type {}: choose {}",
            ggml_type.name(),
            GgmlType::writable().map(GgmlType::name).collect::<Vec<_>>().join(", ")
        )
    };
    ggml_type.file_type().ok_or_else(|| unsupported(path, &advice()))
}

/// Checks that llama.cpp applies the activation function of a part of the model; files do not specify it.
fn has_activation(found: HiddenAct, applied: HiddenAct, part: &str, path: &Path) -> Result<(), Error> {
    if found == applied {
        return Ok(());
    }
    let (found, applied) = (found.name(), applied.name());
    Err(unsupported(path, &format!("a {part} with the activation function {found}; llama.cpp applies {applied}")))
}

fn text_type(spec: &TensorSpec, ggml_type: GgmlType) -> GgmlType {
    let is_4_bit = matches!(ggml_type, GgmlType::Q4_0 | GgmlType::Q4_1);
    match spec.kind {
        TensorKind::Bias | TensorKind::Scale => GgmlType::F32,
        TensorKind::Weight | TensorKind::Embedding => {
            // Errors of these two are those of the logits.
            let is_table = spec.name == LM_HEAD || spec.name == TOKEN_EMBEDDINGS;
            fitting(spec, if is_table && is_4_bit { GgmlType::Q8_0 } else { ggml_type })
        }
    }
}

fn vision_type(spec: &TensorSpec, ggml_type: GgmlType) -> GgmlType {
    // llama.cpp looks up positions and convolves patches in f32.
    if spec.kind == TensorKind::Weight && spec.shape.len() == 2 { fitting(spec, ggml_type) } else { GgmlType::F32 }
}

/// The type, or F16 if the rows of a matrix are not whole blocks of it.
fn fitting(spec: &TensorSpec, ggml_type: GgmlType) -> GgmlType {
    let row = spec.shape.last().copied().unwrap_or(1);
    if row.is_multiple_of(ggml_type.block()) { ggml_type } else { GgmlType::F16 }
}

fn unsupported(path: &Path, what: &str) -> Error {
    Error::Gguf { path: path.to_owned(), message: format!("GGUF files cannot have {what}") }
}

#[cfg(test)]
mod tests;
