//! Lookup tables.

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
    /// A table of normally distributed values with standard deviation `range`; nothing is allocated before the first use.
    pub fn init(ids: usize, width: usize, range: f64, device: &Device) -> Self {
        Self { weight: Initializer::Normal { mean: 0.0, std: range }.init([ids, width], device) }
    }

    /// The rows of the ids.
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

    /// The other way round: products with every row, for output projections that share the table.
    ///
    /// # Shapes
    ///
    /// `[B, T, width]` to `[B, T, ids]`.
    pub fn project(&self, x: Tensor<3>) -> Tensor<3> {
        linear(x, self.weight.val(), None)
    }
}

/// Rows of a table.
///
/// # Shapes
///
/// `[ids, width]` and `[n]` to `[n, width]`.
///
/// # Panics
///
/// When an id is none of the table's, on most devices; on others the row means nothing.
pub fn gather_rows(table: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
    #[cfg(feature = "autodiff")]
    if let Some(rows) = crate::grad::gather_rows(&table, &ids) {
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
    fn rows_by_id() {
        let device = Device::flex();
        let table = Embedding { weight: Param::from_tensor(Tensor::from_data([[0.0, 1.0], [2.0, 3.0]], &device)) };
        let rows = table.forward(Tensor::<2, Int>::from_data([[1, 0, 1]], &device));
        assert_eq!(rows.dims(), [1, 3, 2]);
        assert_eq!(rows.into_data().try_to_vec::<f32>().unwrap(), [2.0, 3.0, 0.0, 1.0, 2.0, 3.0]);
    }
}
