//! Linear layers with weights in the layout of checkpoints.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};

/// A linear layer, `y = x W^T + b`, with `W` in the layout of checkpoints, `[out, in]`: rows are contiguous over the
/// inputs, which suits matrix-vector products, and loading needs no transposition.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    shape: [usize; 2],
    /// A trainable low-rank update of the weight.
    pub adapter: Option<Adapter>,
}

/// A LoRA adapter: the low-rank update `scale up down` of a linear layer (Hu et al. 2022, arXiv 2106.09685).
#[derive(Module, Debug)]
pub struct Adapter {
    /// `[rank, in]`.
    pub down: Param<Tensor<2>>,
    /// `[out, rank]`.
    pub up: Param<Tensor<2>>,
    /// Scaling factor of the update.
    pub scale: f64,
}

impl Adapter {
    /// Computes the update of the layer's outputs from the layer's inputs.
    ///
    /// # Shapes
    ///
    /// `[.., in]` to `[.., out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        linear(linear(x, self.down.val(), None) * self.scale, self.up.val(), None)
    }

    /// The update of the layer's weight, `[out, in]`.
    pub fn weight(&self) -> Tensor<2> {
        self.up.val().matmul(self.down.val()) * self.scale
    }
}

impl Linear {
    /// Creates a layer with normally distributed weights of standard deviation `range` and, with `bias`, a bias of
    /// zeros. Allocated lazily on first use.
    pub fn init(input: usize, output: usize, bias: bool, range: f64, device: &Device) -> Self {
        let weight = Initializer::Normal { mean: 0.0, std: range }.init([output, input], device);
        Self::new(weight, bias.then(|| Initializer::Zeros.init([output], device)), [output, input])
    }

    /// Creates a layer with this weight, `[out, in]`, and bias, `[out]`.
    pub fn from_tensors(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Self {
        let shape = weight.dims();
        Self::new(Param::from_tensor(weight), bias.map(Param::from_tensor), shape)
    }

    fn new(weight: Param<Tensor<2>>, bias: Option<Param<Tensor<1>>>, shape: [usize; 2]) -> Self {
        Self { weight, bias, shape, adapter: None }
    }

    /// Number of input features.
    pub fn inputs(&self) -> usize {
        self.shape[1]
    }

    /// Number of output features.
    pub fn outputs(&self) -> usize {
        self.shape[0]
    }

    /// Applies the layer, and its adapter if it has one.
    ///
    /// # Shapes
    ///
    /// `[.., in]` to `[.., out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let bias = self.bias.as_ref().map(Param::val);
        let update = self.adapter.as_ref().map(|adapter| adapter.forward(x.clone()));
        let y = linear(x, self.weight.val(), bias);
        match update {
            Some(update) => y + update,
            None => y,
        }
    }

    /// Adds the update of the adapter to the weight and removes the adapter.
    pub fn merge_adapter(&mut self) {
        if let Some(adapter) = self.adapter.take() {
            self.weight = Param::initialized(self.weight.id, self.weight.val() + adapter.weight());
        }
    }
}

/// Computes `x W^T + b` as one matrix product over all rows; the transposed weight is a view.
///
/// # Shapes
///
/// `[.., in]`, `[out, in]` and `[out]` to `[.., out]`.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    #[cfg(feature = "autodiff")]
    if let Some(y) = crate::autodiff::linear(&x, &weight, bias.as_ref()) {
        return y;
    }
    let mut shape = x.dims();
    let [output, input] = weight.dims();
    let rows: usize = shape[..D - 1].iter().product();
    shape[D - 1] = output;
    let y = matmul(x.reshape([rows, input]), weight.transpose());
    let y = match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    };
    y.reshape(shape)
}

/// The product of two matrices or batches of matrices, at the full precision of the data type.
pub(crate) fn matmul<const D: usize>(lhs: Tensor<D>, rhs: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "cubecl")]
    if let Some(product) = crate::gpu::matmul::try_matmul(&lhs, &rhs) {
        return product;
    }
    lhs.matmul(rhs)
}

#[cfg(test)]
mod tests {
    use super::{Adapter, Linear};
    use burn::module::Param;
    use burn::tensor::{Device, Tensor};

    fn layer() -> Linear {
        let device = Device::flex();
        Linear::from_tensors(
            Tensor::from_data([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]], &device),
            Some(Tensor::from_data([10.0, 20.0], &device)),
        )
    }

    fn run(layer: &Linear) -> Vec<f32> {
        let x = Tensor::<3>::from_data([[[1.0, 1.0, 1.0], [2.0, 0.0, -2.0]]], &Device::flex());
        let y = layer.forward(x);
        assert_eq!(y.dims(), [1, 2, 2]);
        y.into_data().try_to_vec::<f32>().unwrap()
    }

    #[test]
    fn forward_multiplies_with_the_transposed_weight() {
        assert_eq!(run(&layer()), [16.0, 19.5, 6.0, 19.0]);
    }

    #[test]
    fn adapters_add_their_update_until_they_are_merged() {
        let (mut layer, device) = (layer(), Device::flex());
        layer.adapter = Some(Adapter {
            down: Param::from_tensor(Tensor::from_data([[1.0, 0.0, 0.0]], &device)),
            up: Param::from_tensor(Tensor::from_data([[1.0], [2.0]], &device)),
            scale: 0.5,
        });
        assert_eq!(run(&layer), [16.5, 20.5, 7.0, 21.0]);
        layer.merge_adapter();
        assert!(layer.adapter.is_none());
        assert_eq!(run(&layer), [16.5, 20.5, 7.0, 21.0]);
    }
}
