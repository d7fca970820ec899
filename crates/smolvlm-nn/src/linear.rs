//! Linear layers with weights in the layout of checkpoints or packed.

#[cfg(feature = "flex")]
use crate::HostValues;
use crate::weight::Weight;
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};
#[cfg(feature = "flex")]
use smolvlm_kernels::cpu::{Epilogue, PackedLhs, PackedMatrix, Pool, gated_matmul, matmuls};
#[cfg(feature = "flex")]
use smolvlm_kernels::{Activation, Format};

/// A linear layer, `y = x W^T + b`, with `W` in the layout of checkpoints, `[out, in]`: rows are contiguous over the
/// inputs, which suits matrix-vector products, and loading needs no transposition.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Weight<2>,
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
        Self { weight: Weight::Tensor(weight), bias, shape, adapter: None }
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
    /// `[.., in]` to `[.., out]`; f32 where the weights are packed.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let bias = self.bias.as_ref().map(Param::val);
        let update = self.adapter.as_ref().map(|adapter| adapter.forward(x.clone()));
        let y = match &self.weight {
            Weight::Tensor(weight) => linear(x, weight.val(), bias),
            #[cfg(feature = "flex")]
            Weight::Packed(packed) => packed.forward(x, bias),
        };
        match update {
            Some(update) => y + update,
            None => y,
        }
    }

    /// Adds the update of the adapter to the weight and removes the adapter. Layers with packed weights keep their
    /// adapter.
    pub fn merge_adapter(&mut self) {
        match (&mut self.weight, self.adapter.take()) {
            (Weight::Tensor(weight), Some(adapter)) => {
                *weight = Param::initialized(weight.id, weight.val() + adapter.weight());
            }
            (_, adapter) => self.adapter = adapter,
        }
    }
}

#[cfg(feature = "flex")]
impl Linear {
    /// Replaces the weight by packed weights and removes the adapter.
    ///
    /// # Panics
    ///
    /// When the matrix has a different shape.
    pub fn pack(&mut self, matrix: PackedMatrix) {
        assert_eq!([matrix.outputs(), matrix.inputs()], self.shape, "the matrix must have the shape of the layer");
        (self.weight, self.adapter) = (Weight::packed(matrix), None);
    }

    /// The packed weights, if the weights are packed.
    pub fn packed(&self) -> Option<&PackedMatrix> {
        self.weight.matrix()
    }

    fn packed_or_panic(&self) -> &PackedMatrix {
        match self.packed() {
            Some(packed) => packed,
            None => panic!("a layer of {} inputs and {} outputs is not packed", self.shape[1], self.shape[0]),
        }
    }

    /// The bias in a form that CPU kernels read.
    fn host_bias(&self) -> Option<HostValues> {
        self.bias.as_ref().map(|bias| HostValues::of(bias.val()))
    }
}

/// The number format of the layers; `None` unless all have packed weights in one format and no adapters.
#[cfg(feature = "flex")]
pub fn packed_format<'a>(layers: impl IntoIterator<Item = &'a Linear>) -> Option<Format> {
    let mut formats = layers.into_iter().map(|layer| match layer.adapter {
        Some(_) => None,
        None => layer.packed().map(PackedMatrix::format),
    });
    let first = formats.next()??;
    formats.all(|format| format == Some(first)).then_some(first)
}

/// Applies several layers with packed weights to the same inputs, as one parallel region.
///
/// # Panics
///
/// When the weights of a layer are not packed, or shapes do not match.
#[cfg(feature = "flex")]
pub fn linears<const N: usize>(pool: &Pool, x: &PackedLhs, layers: [(&Linear, Epilogue<'_>); N]) {
    let biases = layers.each_ref().map(|(layer, _)| layer.host_bias());
    let mut biases = biases.iter();
    let matrices = layers.map(|(layer, output)| {
        let bias = biases.next().and_then(Option::as_deref);
        (layer.packed_or_panic(), output.with_bias(bias))
    });
    matmuls(pool, x, matrices);
}

/// Computes `activation(gate(x)) * up(x)` with packed weights.
///
/// # Panics
///
/// As [`linears`].
#[cfg(feature = "flex")]
pub fn gated_linears(
    pool: &Pool,
    x: &PackedLhs,
    gate: &Linear,
    up: &Linear,
    activation: Activation,
    output: Epilogue<'_>,
) {
    let (gate_bias, up_bias) = (gate.host_bias(), up.host_bias());
    let parts = [(gate.packed_or_panic(), gate_bias.as_deref()), (up.packed_or_panic(), up_bias.as_deref())];
    gated_matmul(pool, x, parts, activation, output);
}

/// Computes `x W^T + b`, `[.., in]` to `[.., out]`, as one matrix product over all rows; the transposed weight is a
/// view.
pub(crate) fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
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
    use super::{Adapter, Linear, packed_format};
    use burn::module::Param;
    use burn::tensor::{Device, Tensor};
    use smolvlm_kernels::Format;
    use smolvlm_kernels::cpu::PackedMatrix;

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
    fn packed_weights_give_the_same_outputs() {
        let mut packed = layer();
        let rows = [[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]];
        let row = |row: usize, out: &mut [f32]| -> Result<(), ()> {
            out.copy_from_slice(&rows[row]);
            Ok(())
        };
        packed.pack(PackedMatrix::pack(2, 3, Format::F32, row).unwrap());
        assert_eq!(packed.packed().map(PackedMatrix::format), Some(Format::F32));
        assert_eq!(run(&packed), [16.0, 19.5, 6.0, 19.0]);
        // Adapters apply to packed weights as well.
        let device = Device::flex();
        packed.adapter = Some(Adapter {
            down: Param::from_tensor(Tensor::from_data([[1.0, 0.0, 0.0]], &device)),
            up: Param::from_tensor(Tensor::from_data([[1.0], [2.0]], &device)),
            scale: 0.5,
        });
        assert_eq!(run(&packed), [16.5, 20.5, 7.0, 21.0]);
        assert_eq!(packed_format([&packed]), None);
    }
}
