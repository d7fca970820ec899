//! Layers on packed weights, for the CPU kernels. They work on slices in host memory, not on Burn tensors.

use smolvlm_kernels::PackedFormat;
use smolvlm_kernels::cpu::{Epilogue, Matrix, PackedLhs, PackedMatrix, Pool, layer_norm, rms_norm};

/// A source of the parameters of packed layers, by their path in the model.
pub trait PackedSource {
    /// An error in reading a parameter.
    type Error;

    /// Packs the matrix at `path`. `shape` starts with the number of outputs; the product of the rest is the number of
    /// inputs.
    ///
    /// # Errors
    ///
    /// When there is no such parameter of that shape.
    fn matrix(&self, path: &str, shape: &[usize], format: PackedFormat) -> Result<PackedMatrix, Self::Error>;

    /// Reads the values of the parameter at `path`, row-major.
    ///
    /// # Errors
    ///
    /// As [`matrix`](Self::matrix).
    fn values(&self, path: &str, shape: &[usize]) -> Result<Vec<f32>, Self::Error>;
}

/// A linear layer with packed weights, `y = x W^T + b`.
#[derive(Debug)]
pub struct PackedLinear {
    weight: PackedMatrix,
    bias: Option<Vec<f32>>,
}

/// A layer without bias.
impl From<PackedMatrix> for PackedLinear {
    fn from(weight: PackedMatrix) -> Self {
        Self { weight, bias: None }
    }
}

impl PackedLinear {
    /// Loads the layer at `path`, whose weight has the shape `[outputs, inputs]`.
    ///
    /// # Errors
    ///
    /// Those of the source.
    pub fn load<S: PackedSource>(
        source: &S,
        path: &str,
        shape: [usize; 2],
        has_bias: bool,
        format: PackedFormat,
    ) -> Result<Self, S::Error> {
        let weight = source.matrix(&format!("{path}.weight"), &shape, format)?;
        Self::with_bias(source, path, weight, has_bias)
    }

    /// A layer with this weight, and with the bias at `path` if it has one.
    ///
    /// # Errors
    ///
    /// Those of the source.
    pub fn with_bias<S: PackedSource>(
        source: &S,
        path: &str,
        weight: PackedMatrix,
        has_bias: bool,
    ) -> Result<Self, S::Error> {
        let bias = has_bias.then(|| source.values(&format!("{path}.bias"), &[weight.outputs()])).transpose()?;
        Ok(Self { weight, bias })
    }

    /// Number of output features.
    pub fn outputs(&self) -> usize {
        self.weight.outputs()
    }

    /// Number format of the weight.
    pub fn format(&self) -> PackedFormat {
        self.weight.format()
    }

    /// The weight with an output to which the layer's bias is added: an argument of
    /// [`matmuls`](smolvlm_kernels::cpu::matmuls).
    pub fn to<'a>(&'a self, output: Epilogue<'a>) -> (&'a PackedMatrix, Epilogue<'a>) {
        (&self.weight, output.with_bias(self.bias.as_deref()))
    }

    /// The weight and its bias: an argument of [`gated_matmul`](smolvlm_kernels::cpu::gated_matmul).
    pub fn parts(&self) -> (&PackedMatrix, Option<&[f32]>) {
        (&self.weight, self.bias.as_deref())
    }
}

/// An RMS norm with its weight in host memory.
#[derive(Debug)]
pub struct PackedRmsNorm {
    weight: Vec<f32>,
    eps: f32,
}

impl PackedRmsNorm {
    /// Loads the norm at `path`.
    ///
    /// # Errors
    ///
    /// Those of the source.
    pub fn load<S: PackedSource>(source: &S, path: &str, width: usize, eps: f64) -> Result<Self, S::Error> {
        Ok(Self { weight: source.values(&format!("{path}.weight"), &[width])?, eps: eps as f32 })
    }

    /// Number of features.
    pub fn width(&self) -> usize {
        self.weight.len()
    }

    /// Normalizes one row.
    ///
    /// # Panics
    ///
    /// When a row has another width.
    pub fn apply(&self, x: &[f32], out: &mut [f32]) {
        rms_norm(x, &self.weight, self.eps, out);
    }

    /// Normalizes all rows of `x` into the left-hand side of a product.
    pub fn pack(&self, pool: &Pool, x: &Matrix<f32>, out: &mut PackedLhs) {
        out.fill(pool, x.rows(), x.columns(), |row, out| self.apply(x.row(row), out));
    }
}

/// A layer norm with its parameters in host memory.
#[derive(Debug)]
pub struct PackedLayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
}

impl PackedLayerNorm {
    /// Loads the norm at `path`.
    ///
    /// # Errors
    ///
    /// Those of the source.
    pub fn load<S: PackedSource>(source: &S, path: &str, width: usize, eps: f64) -> Result<Self, S::Error> {
        let values = |name: &str| source.values(&format!("{path}.{name}"), &[width]);
        Ok(Self { weight: values("weight")?, bias: values("bias")?, eps: eps as f32 })
    }

    /// Normalizes one row.
    ///
    /// # Panics
    ///
    /// When a row has another width.
    pub fn apply(&self, x: &[f32], out: &mut [f32]) {
        layer_norm(x, &self.weight, &self.bias, self.eps, out);
    }

    /// Normalizes all rows of `x` into the left-hand side of a product.
    pub fn pack(&self, pool: &Pool, x: &Matrix<f32>, out: &mut PackedLhs) {
        out.fill(pool, x.rows(), x.columns(), |row, out| self.apply(x.row(row), out));
    }
}
