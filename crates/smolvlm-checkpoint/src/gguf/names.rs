//! Names of the tensors of GGUF files, and the order of their rows.
//!
//! Source of the names: `gguf-py/gguf/constants.py` and `tensor_mapping.py` of llama.cpp.

use super::file::GgufFile;

/// The tensors of a text file that are in no layer: name in the file, name in the checkpoint.
const TEXT: [(&str, &str); 3] =
    [("token_embd", "model.text_model.embed_tokens"), ("output_norm", "model.text_model.norm"), ("output", "lm_head")];

/// The tensors of a layer of a text file, and of the text model.
const TEXT_LAYER: [(&str, &str); 9] = [
    ("attn_norm", "input_layernorm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// The tensors of an `mmproj` file that are in no layer.
const VISION: [(&str, &str); 4] = [
    ("v.patch_embd", "model.vision_model.embeddings.patch_embedding"),
    ("v.position_embd", "model.vision_model.embeddings.position_embedding"),
    ("v.post_ln", "model.vision_model.post_layernorm"),
    ("mm.model.fc", "model.connector.modality_projection.proj"),
];

/// The tensors of a layer of an `mmproj` file, and of the vision encoder.
const VISION_LAYER: [(&str, &str); 8] = [
    ("ln1", "layer_norm1"),
    ("ln2", "layer_norm2"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_out", "self_attn.out_proj"),
    ("ffn_up", FC1),
    ("ffn_down", FC2),
];

const FC1: &str = "mlp.fc1";
const FC2: &str = "mlp.fc2";

/// The name in the checkpoint of a tensor of a text file; none for tensors that the model does not have.
pub(super) fn text_name(name: &str) -> Option<String> {
    translate(name, &TEXT, "blk.", "model.text_model.layers.", &TEXT_LAYER)
}

/// The name in the checkpoint of a tensor of an `mmproj` file.
pub(super) fn vision_name(name: &str) -> Option<String> {
    translate(name, &VISION, "v.blk.", "model.vision_model.encoder.layers.", &VISION_LAYER)
}

/// The name in the file of a tensor of a checkpoint.
pub(crate) fn gguf_name(name: &str) -> Option<String> {
    let swap = |pair: (&'static str, &'static str)| (pair.1, pair.0);
    translate(name, &TEXT.map(swap), "model.text_model.layers.", "blk.", &TEXT_LAYER.map(swap)).or_else(|| {
        translate(name, &VISION.map(swap), "model.vision_model.encoder.layers.", "v.blk.", &VISION_LAYER.map(swap))
    })
}

/// Translates a name with the suffix `.weight` or `.bias`: one of `outside`, or one of `inside` after a prefix and the
/// number of a layer.
fn translate(
    name: &str,
    outside: &[(&str, &str)],
    prefix: &str,
    new_prefix: &str,
    inside: &[(&str, &str)],
) -> Option<String> {
    let (stem, suffix) = name.rsplit_once('.').filter(|(_, suffix)| matches!(*suffix, "weight" | "bias"))?;
    if let Some((_, new)) = outside.iter().find(|(old, _)| *old == stem) {
        return Some(format!("{new}.{suffix}"));
    }
    let (layer, part) = stem.strip_prefix(prefix)?.split_once('.')?;
    // Only the usual spelling, so that no two names become the same.
    let layer = layer.parse::<u32>().ok().filter(|number| number.to_string() == layer)?;
    let (_, new) = inside.iter().find(|(old, _)| *old == part)?;
    Some(format!("{new_prefix}{layer}.{new}.{suffix}"))
}

/// Whether an `mmproj` file has the names of the two feed-forward matrices swapped, as converters before June 2025
/// wrote them: the one named after the output then has as many inputs as the layer.
pub(super) fn has_swapped_names(file: &GgufFile, hidden_size: usize) -> bool {
    let inputs = |name| file.shape(name).and_then(|shape| shape.last().copied());
    inputs("v.blk.0.ffn_down.weight") == Some(hidden_size) && inputs("v.blk.0.ffn_up.weight") != Some(hidden_size)
}

/// Exchanges the two feed-forward matrices of the vision encoder in a name.
pub(super) fn swap_name(name: &str) -> String {
    if name.contains(FC1) { name.replace(FC1, FC2) } else { name.replace(FC2, FC1) }
}

/// The order of a stored matrix's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// That of the checkpoint.
    Checkpoint,
    /// The two halves of each head are interleaved, since llama.cpp rotates neighboring values.
    Interleaved {
        /// Rows per head, an even number.
        head_dim: usize,
    },
}

impl RowOrder {
    /// The order of a text file's tensor.
    pub(super) fn of_text(name: &str, shape: &[usize], head_dim: usize) -> Self {
        let is_rotated = name.starts_with("blk.") && [".attn_q.", ".attn_k."].iter().any(|part| name.contains(part));
        let whole = shape[0].is_multiple_of(head_dim.max(1)) && head_dim.is_multiple_of(2) && head_dim > 0;
        if is_rotated && whole { Self::Interleaved { head_dim } } else { Self::Checkpoint }
    }

    /// Index of the stored row that holds row `row` of the checkpoint's matrix.
    pub(crate) fn stored(self, row: usize) -> usize {
        match self {
            Self::Checkpoint => row,
            Self::Interleaved { head_dim } => {
                let (within, half) = (row % head_dim, head_dim / 2);
                row - within + 2 * (within % half) + within / half
            }
        }
    }

    /// Index of the row of the checkpoint's matrix that is stored as row `row`.
    pub(super) fn checkpoint(self, row: usize) -> usize {
        match self {
            Self::Checkpoint => row,
            Self::Interleaved { head_dim } => {
                let within = row % head_dim;
                row - within + within % 2 * (head_dim / 2) + within / 2
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_translated_in_both_directions() {
        for (own, checkpoint) in [
            ("token_embd.weight", "model.text_model.embed_tokens.weight"),
            ("output.weight", "lm_head.weight"),
            ("blk.12.attn_q.bias", "model.text_model.layers.12.self_attn.q_proj.bias"),
            ("v.blk.0.ffn_up.weight", "model.vision_model.encoder.layers.0.mlp.fc1.weight"),
            ("mm.model.fc.weight", "model.connector.modality_projection.proj.weight"),
        ] {
            assert_eq!(text_name(own).or_else(|| vision_name(own)).as_deref(), Some(checkpoint));
            assert_eq!(gguf_name(checkpoint).as_deref(), Some(own));
        }
        for other in
            ["", "blk.0.attn_q", "blk.00.attn_q.weight", "blk.+1.attn_q.weight", "blk.x.attn_q.weight", "blk.0"]
        {
            assert_eq!(text_name(other), None, "{other}");
        }
    }

    #[test]
    fn rows_of_a_head_are_interleaved() {
        let order = RowOrder::Interleaved { head_dim: 6 };
        let rows: Vec<usize> = (0..12).map(|row| order.stored(row)).collect();
        assert_eq!(rows, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
        assert!((0..12).all(|row| order.checkpoint(order.stored(row)) == row));
    }
}
