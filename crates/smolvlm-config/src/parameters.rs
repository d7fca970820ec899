//! Number of parameters of a model.

use crate::{ModelConfig, TextConfig, VisionConfig};

/// Number of parameters in a checkpoint. Saturates, so that every configuration has a count.
pub(crate) fn count(config: &ModelConfig) -> u128 {
    let text = &config.text;
    let folded = product(&[config.vision.hidden_size, config.scale_factor, config.scale_factor]);
    let connector = folded.saturating_mul(text.hidden_size as u128);
    let embedding = product(&[text.vocab_size, text.hidden_size]);
    let lm_head = if config.tie_word_embeddings { 0 } else { embedding };
    sum(&[vision(&config.vision), connector, embedding, decoder(text), lm_head])
}

fn vision(config: &VisionConfig) -> u128 {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let patch = product(&[hidden, config.num_channels, config.patch_size, config.patch_size]);
    let positions = product(&[config.grid(), config.grid(), hidden]);
    let norm = product(&[2, hidden]);
    let attention = product(&[4, hidden, hidden]).saturating_add(product(&[4, hidden]));
    let mlp = sum(&[product(&[2, hidden, inner]), inner as u128, hidden as u128]);
    let layer = sum(&[norm, attention, norm, mlp]);
    sum(&[patch, hidden as u128, positions, layer.saturating_mul(config.num_hidden_layers as u128), norm])
}

fn decoder(config: &TextConfig) -> u128 {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let queries = product(&[config.num_attention_heads, config.head_dim]);
    let keys = product(&[config.num_key_value_heads, config.head_dim]);
    let widths = sum(&[queries, keys, keys, queries]);
    let mut layer = sum(&[product(&[2, hidden]), widths.saturating_mul(hidden as u128), product(&[3, hidden, inner])]);
    if config.attention_bias {
        layer = sum(&[layer, queries, keys, keys, hidden as u128]);
    }
    if config.mlp_bias {
        layer = sum(&[layer, inner as u128, inner as u128, hidden as u128]);
    }
    layer.saturating_mul(config.num_hidden_layers as u128).saturating_add(hidden as u128)
}

fn product(factors: &[usize]) -> u128 {
    factors.iter().fold(1, |product: u128, &factor| product.saturating_mul(factor as u128))
}

fn sum(terms: &[u128]) -> u128 {
    terms.iter().fold(0, |sum: u128, &term| sum.saturating_add(term))
}
