//! Layer norm and RMS norm.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{DType, Device, Tensor, module};

/// Layer norm, `y = (x - mean) / sqrt(var + eps) * weight + bias` over the last axis.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[width]`.
    pub weight: Param<Tensor<1>>,
    /// `[width]`.
    pub bias: Param<Tensor<1>>,
    /// Added to the variance.
    pub eps: f64,
}

impl LayerNorm {
    /// Creates a layer norm with weights of one and biases of zero.
    pub fn init(width: usize, eps: f64, device: &Device) -> Self {
        Self { weight: Initializer::Ones.init([width], device), bias: Initializer::Zeros.init([width], device), eps }
    }

    /// Normalizes in f32 and rounds once, at the end.
    ///
    /// # Shapes
    ///
    /// `[.., width]` to the same.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "cubecl")]
        if let Some(y) = crate::gpu::layer_norm(&x, &self.weight.val(), &self.bias.val(), self.eps) {
            return y;
        }
        let dtype = x.dtype();
        let wide = |tensor: Tensor<1>| tensor.cast(DType::F32);
        let (weight, bias) = (wide(self.weight.val()), wide(self.bias.val()));
        #[cfg(feature = "autodiff")]
        if let Some(y) = crate::autodiff::layer_norm(&x, &weight, &bias, self.eps) {
            return y;
        }
        module::layer_norm(x.cast(DType::F32), weight, Some(bias), self.eps).cast(dtype)
    }
}

/// RMS norm, `y = weight * x / sqrt(mean(x^2) + eps)` over the last axis (Zhang and Sennrich 2019, arXiv 1910.07467).
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// `[width]`.
    pub weight: Param<Tensor<1>>,
    /// Added to the mean square.
    pub eps: f64,
}

impl RmsNorm {
    /// Creates an RMS norm with weights of one.
    pub fn init(width: usize, eps: f64, device: &Device) -> Self {
        Self { weight: Initializer::Ones.init([width], device), eps }
    }

    /// Normalizes in f32 and rounds to the data type of `x` before the multiplication with the weight, as in
    /// transformers 5.24.0 (modeling_llama.py).
    ///
    /// # Shapes
    ///
    /// `[.., width]` to the same.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "autodiff")]
        if let Some(y) = crate::autodiff::rms_norm(&x, &self.weight.val(), self.eps) {
            return y;
        }
        #[cfg(feature = "cubecl")]
        if let Some(y) = crate::gpu::rms_norm(&x, &self.weight.val(), self.eps) {
            return y;
        }
        let dtype = x.dtype();
        let x = x.cast(DType::F32);
        let scale = (x.clone().square().mean_dim(D - 1) + self.eps).sqrt().recip();
        (x * scale).cast(dtype) * self.weight.val().unsqueeze()
    }
}

#[cfg(test)]
mod tests {
    use super::{LayerNorm, RmsNorm};
    use burn::module::Param;
    use burn::tensor::{DType, Device, Tensor};

    const X: [[f32; 4]; 2] = [[1.0, -2.0, 3.0, 0.5], [1e-4, 2e-4, -1e-4, 0.0]];
    const WEIGHT: [f32; 4] = [0.5, 2.0, -1.0, 1.5];
    const BIAS: [f32; 4] = [0.1, -0.2, 0.3, 0.0];

    fn param(values: [f32; 4]) -> Param<Tensor<1>> {
        Param::from_tensor(Tensor::from_data(values, &Device::flex()))
    }

    /// Reference implementation in f64.
    fn reference(row: &[f32; 4], centered: bool, eps: f64, bias: [f32; 4]) -> [f64; 4] {
        let row = row.map(f64::from);
        let mean = if centered { row.iter().sum::<f64>() / 4.0 } else { 0.0 };
        let spread = (row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4.0 + eps).sqrt();
        std::array::from_fn(|i| (row[i] - mean) / spread * f64::from(WEIGHT[i]) + f64::from(bias[i]))
    }

    #[test]
    fn norms_match_the_reference() {
        let x = || Tensor::<2>::from_data(X, &Device::flex());
        let layer = LayerNorm { weight: param(WEIGHT), bias: param(BIAS), eps: 1e-6 };
        let rms = RmsNorm { weight: param(WEIGHT), eps: 1e-5 };
        for (found, centered, eps, bias) in
            [(layer.forward(x()), true, 1e-6, BIAS), (rms.forward(x()), false, 1e-5, [0.0; 4])]
        {
            let found = found.into_data().try_to_vec::<f32>().unwrap();
            let wanted = X.iter().flat_map(|row| reference(row, centered, eps, bias));
            for (found, wanted) in found.iter().zip(wanted) {
                assert!((f64::from(*found) - wanted).abs() < 1e-5, "{found} instead of {wanted}");
            }
        }
    }

    #[test]
    fn half_precision_is_rounded_before_the_weight() {
        let x = Tensor::<2>::from_data(X, &Device::flex()).cast(DType::BF16);
        let weight = Tensor::<1>::from_data(WEIGHT, &Device::flex()).cast(DType::BF16);
        let rms = RmsNorm { weight: Param::from_tensor(weight), eps: 1e-5 };
        let y = rms.forward(x);
        assert_eq!(y.dtype(), DType::BF16);
        // 1 / sqrt((1 + 4 + 9 + 0.25) / 4 + 1e-5) = 0.52981..., in bf16 0.53125; times 0.5.
        assert_eq!(y.cast(DType::F32).into_data().try_to_vec::<f32>().unwrap()[0], 0.53125 * 0.5);
    }
}
