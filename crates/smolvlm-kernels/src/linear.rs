//! Linear layers with weights as checkpoints store them.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};

/// `y = x W^T + b`, with `W` in the layout of checkpoints, `[out, in]`: rows are contiguous over the inputs, which is what
/// matrix-vector products want, and nothing has to be transposed while loading.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// A layer with normally distributed weights of standard deviation `range` and a bias of zeros, if it has one.
    /// Nothing is allocated before the first use.
    pub fn init(input: usize, output: usize, bias: bool, range: f64, device: &Device) -> Self {
        Self {
            weight: Initializer::Normal { mean: 0.0, std: range }.init([output, input], device),
            bias: bias.then(|| Initializer::Zeros.init([output], device)),
        }
    }

    /// # Shapes
    ///
    /// `[.., in]` to `[.., out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        linear(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}

/// `x W^T + b`, `[.., in]` to `[.., out]`, as one matrix product over all rows; the transposed weight is a view.
pub(crate) fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let mut shape = x.dims();
    let [output, input] = weight.dims();
    let rows: usize = shape[..D - 1].iter().product();
    shape[D - 1] = output;
    let y = x.reshape([rows, input]).matmul(weight.transpose());
    let y = match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    };
    y.reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::Linear;
    use burn::module::Param;
    use burn::tensor::{Device, Tensor};

    #[test]
    fn weights_are_output_rows() {
        let device = Device::flex();
        let layer = Linear {
            weight: Param::from_tensor(Tensor::from_data([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]], &device)),
            bias: Some(Param::from_tensor(Tensor::from_data([10.0, 20.0], &device))),
        };
        let x = Tensor::<3>::from_data([[[1.0, 1.0, 1.0], [2.0, 0.0, -2.0]]], &device);
        let y = layer.forward(x);
        assert_eq!(y.dims(), [1, 2, 2]);
        assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), [16.0, 19.5, 6.0, 19.0]);
    }
}
