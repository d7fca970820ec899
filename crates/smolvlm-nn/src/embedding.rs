//! Embedding tables.

use crate::linear::linear;
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Int, Tensor};

/// A table with one row per id.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[ids, width]`.
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    /// Creates a table of normally distributed values with standard deviation `range`, allocated lazily on first use.
    pub fn init(ids: usize, width: usize, range: f64, device: &Device) -> Self {
        Self { weight: Initializer::Normal { mean: 0.0, std: range }.init([ids, width], device) }
    }

    /// Looks up the rows of the ids.
    ///
    /// # Shapes
    ///
    /// `[B, T]` to `[B, T, width]`. Ids must be below the number of rows.
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [batch, len] = ids.dims();
        let weight = self.weight.val();
        let width = weight.dims()[1];
        gather_rows(weight, ids.reshape([batch * len])).reshape([batch, len, width])
    }

    /// Multiplies with the transposed table: the output projection of models with tied embeddings.
    ///
    /// # Shapes
    ///
    /// `[B, T, width]` to `[B, T, ids]`.
    pub fn project(&self, x: Tensor<3>) -> Tensor<3> {
        linear(x, self.weight.val(), None)
    }
}

/// Gathers rows of a table by id.
///
/// # Shapes
///
/// `[ids, width]` and `[n]` to `[n, width]`.
///
/// # Panics
///
/// When an id is out of range, on most devices; on others the row is then unspecified.
pub fn gather_rows(table: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
    #[cfg(feature = "autodiff")]
    if let Some(rows) = crate::autodiff::gather_rows(&table, &ids) {
        return rows;
    }
    table.select(0, ids)
}

#[cfg(test)]
mod tests {
    use super::Embedding;
    use burn::module::Param;
    use burn::tensor::{Device, Int, Tensor};

    #[test]
    fn forward_gathers_rows_by_id() {
        let device = Device::flex();
        let table = Embedding { weight: Param::from_tensor(Tensor::from_data([[0.0, 1.0], [2.0, 3.0]], &device)) };
        let rows = table.forward(Tensor::<2, Int>::from_data([[1, 0, 1]], &device));
        assert_eq!(rows.dims(), [1, 3, 2]);
        assert_eq!(rows.into_data().try_to_vec::<f32>().unwrap(), [2.0, 3.0, 0.0, 1.0, 2.0, 3.0]);
    }
}
