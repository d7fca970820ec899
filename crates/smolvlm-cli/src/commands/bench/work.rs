//! Work of the stages, computed from the configuration, and their minimum time on a machine (roofline model).

use smolvlm::PeakRates;
use smolvlm::config::{FloatType, ModelConfig, TextConfig};
use smolvlm::model::{PackedFormat, WeightFormat};
use std::ops::{Add, Mul};

/// The cost model of a number format.
pub struct FormatCost {
    /// Bits per weight of the text model.
    text_bits: f64,
    /// Peak rate of matrix products, in billions of operations per second.
    arithmetic: fn(&PeakRates) -> f64,
}

/// The cost model of a format. Machines without instructions for the format use f32 products.
pub fn format(format: WeightFormat) -> FormatCost {
    let f32: fn(&PeakRates) -> f64 = |peak_rates| peak_rates.fma_f32_gflops;
    let bf16: fn(&PeakRates) -> f64 = |peak_rates| peak_rates.dot_bf16_gflops.unwrap_or(peak_rates.fma_f32_gflops);
    // Quantized weights are multiplied in bf16 where that is faster.
    let quantized: fn(&PeakRates) -> f64 = |peak_rates| {
        let rates = [peak_rates.dot_int8_gops, peak_rates.dot_bf16_gflops];
        rates.into_iter().flatten().fold(peak_rates.fma_f32_gflops, f64::max)
    };
    let (text_bits, arithmetic) = match format {
        WeightFormat::Tensors(FloatType::F32) => (32.0, f32),
        WeightFormat::Tensors(FloatType::Bf16 | FloatType::F16) => (16.0, bf16),
        WeightFormat::Packed(packed) => {
            let arithmetic = match packed {
                PackedFormat::F32 | PackedFormat::Bf16Weights => f32,
                PackedFormat::Bf16 => bf16,
                PackedFormat::Q8 | PackedFormat::Q4 => quantized,
            };
            (packed.bits(), arithmetic)
        }
    };
    FormatCost { text_bits, arithmetic }
}

/// The work of a stage; arithmetic and memory reads do not overlap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Operations of matrix products and attention; a multiply-add is two.
    operations: f64,
    /// Weights of the text model to read from memory.
    weights: f64,
}

impl Work {
    /// Minimum time at the peak rates of a machine, in seconds.
    pub fn seconds(self, format: &FormatCost, peak_rates: &PeakRates) -> f64 {
        let bytes = self.weights * format.text_bits / 8.0;
        self.operations / (format.arithmetic)(peak_rates) / 1e9 + bytes / peak_rates.read_gbytes_s / 1e9
    }
}

impl Add for Work {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { operations: self.operations + other.operations, weights: self.weights + other.weights }
    }
}

impl Mul<f64> for Work {
    type Output = Self;

    fn mul(self, times: f64) -> Self {
        Self { operations: self.operations * times, weights: self.weights * times }
    }
}

/// The work of one tile in vision encoder and connector.
pub fn tile(config: &ModelConfig, edge: usize) -> Work {
    let vision = &config.vision;
    let [hidden, inner, layers] =
        [vision.hidden_size, vision.intermediate_size, vision.num_hidden_layers].map(|size| size as f64);
    let patches = edge.checked_div(vision.patch_size).unwrap_or(0).pow(2) as f64;
    let values = (vision.num_channels * vision.patch_size.pow(2)) as f64;
    let layer = 4.0 * hidden * hidden + 2.0 * hidden * inner;
    // Each pair of patches counts once for the scores and once for the weighted sum.
    let attention = 2.0 * patches * patches * hidden;
    // Pixel shuffle increases the width by the same factor by which it reduces the number of tokens.
    let connector = hidden * config.text.hidden_size as f64;
    let products = patches * (values * hidden + layers * layer + connector) + layers * attention;
    Work { operations: 2.0 * products, weights: 0.0 }
}

/// The work of prefilling a prompt, with the logits of the last token.
pub fn prefill(config: &TextConfig, tokens: usize) -> Work {
    let count = tokens as f64;
    // Causal: each token attends to itself and those before it.
    let pairs = count * (count + 1.0) / 2.0;
    let width = (config.num_attention_heads * config.head_dim) as f64;
    let attention = config.num_hidden_layers as f64 * 2.0 * pairs * width;
    Work { operations: 2.0 * (count * layers(config) + attention + projection(config)), weights: 0.0 }
}

/// The work of one decode step, for any number of rows: all layers and the output projection, without the embedding
/// table. Keys and values are not counted.
pub fn step(config: &TextConfig) -> Work {
    Work { operations: 0.0, weights: layers(config) + projection(config) }
}

/// Number of weights of all decoder layers.
fn layers(config: &TextConfig) -> f64 {
    let heads = 2 * (config.num_attention_heads + config.num_key_value_heads) * config.head_dim;
    (config.num_hidden_layers * config.hidden_size) as f64 * (heads + 3 * config.intermediate_size) as f64
}

/// Number of weights of the output projection.
fn projection(config: &TextConfig) -> f64 {
    (config.vocab_size * config.hidden_size) as f64
}

#[cfg(test)]
mod tests {
    use super::{PackedFormat, Work, format, prefill, step, tile};
    use smolvlm::config::FloatType;
    use smolvlm::model::WeightFormat;
    use smolvlm::{PeakRates, Preset};

    const PEAK_RATES: PeakRates =
        PeakRates { fma_f32_gflops: 100.0, dot_bf16_gflops: Some(200.0), dot_int8_gops: None, read_gbytes_s: 10.0 };

    #[test]
    fn work_of_the_256m_model_matches_manual_count() {
        let config = Preset::Smol256M.model();
        // 1024 patches: 12 layers of 7,077,888 weights, 16 * 16 * 3 values in, 576 * 768 * 16 / 16 out; 12 times
        // attention.
        let products =
            1024.0 * (12.0 * 7_077_888.0 + 768.0 * 768.0 + 576.0 * 768.0) + 12.0 * 2.0 * 1024.0 * 1024.0 * 768.0;
        assert_eq!(tile(&config, 512), Work { operations: 2.0 * products, weights: 0.0 });
        // 30 layers: queries and output 576 * 576, keys and values 576 * 192, three matrices of 576 * 1536.
        let layers = 30.0 * (2.0 * 331_776.0 + 2.0 * 110_592.0 + 3.0 * 884_736.0);
        let projection = 49_280.0 * 576.0;
        assert_eq!(step(&config.text), Work { operations: 0.0, weights: layers + projection });
        let attention = 30.0 * 2.0 * 3.0 * 576.0;
        let expected = 2.0 * (2.0 * layers + attention + projection);
        assert_eq!(prefill(&config.text, 2), Work { operations: expected, weights: 0.0 });
    }

    #[test]
    fn seconds_follow_from_peak_rates() {
        let work = Work { operations: 100e9, weights: 0.0 } + Work { operations: 0.0, weights: 2.5e9 } * 2.0;
        let seconds = |kept| work.seconds(&format(kept), &PEAK_RATES);
        assert_eq!(
            [WeightFormat::Tensors(FloatType::F32), WeightFormat::Packed(PackedFormat::F32)].map(seconds),
            [3.0; 2]
        );
        // Here bf16 is faster than 8 bits, also for weights of 8 bits, 64 of which have a scale of 16 bits.
        let found = [PackedFormat::Bf16, PackedFormat::Q8].map(|kept| seconds(WeightFormat::Packed(kept)));
        assert_eq!(found, [1.5, 0.5 + 0.5 * 8.25 / 8.0]);
        let plain = PeakRates { dot_bf16_gflops: None, ..PEAK_RATES };
        assert_eq!(work.seconds(&format(WeightFormat::Packed(PackedFormat::Bf16)), &plain), 2.0);
    }
}
