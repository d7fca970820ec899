//! Rotary position embedding.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// Tables of the cosines and sines of rotary position embedding (Su et al. 2021, arXiv 2104.09864) for positions from
/// 0.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// `[positions, head_dim]`, both halves equal.
    cos: Tensor<2>,
    /// `[positions, head_dim]`, both halves equal.
    sin: Tensor<2>,
}

impl Rotary {
    /// Computes the tables of `positions` positions from the inverse frequencies of half a head. Angles, cosines and
    /// sines are computed in f32 and then rounded to `dtype`, as in transformers 5.24.0 (modeling_llama.py).
    pub fn new(inverse_frequencies: &[f32], positions: usize, device: &Device, dtype: DType) -> Self {
        let half = inverse_frequencies.len();
        let table = |function: fn(f32) -> f32| {
            let angles = (0..positions).flat_map(|position| {
                let half = inverse_frequencies.iter().map(move |inverse| function(position as f32 * inverse));
                half.clone().chain(half)
            });
            let data = TensorData::new(angles.collect(), [positions, 2 * half]);
            Tensor::<2>::from_data(data, (device, DType::F32)).cast(dtype)
        };
        Self { cos: table(f32::cos), sin: table(f32::sin) }
    }

    /// Cosines and sines of `len` positions from `start`, the same for every row: two `[1, 1, len, head_dim]`.
    pub fn range(&self, start: usize, len: usize) -> (Tensor<4>, Tensor<4>) {
        let cut = |table: &Tensor<2>| table.clone().narrow(0, start, len).unsqueeze::<4>();
        (cut(&self.cos), cut(&self.sin))
    }

    /// The tables of cosines and sines, `[positions, head_dim]` each; both halves of a row are equal.
    pub fn tables(&self) -> [Tensor<2>; 2] {
        [self.cos.clone(), self.sin.clone()]
    }

    /// Cosines and sines of the positions of tokens, `[B, T]`: two `[B, 1, T, head_dim]`.
    pub fn at(&self, positions: Tensor<2, Int>) -> (Tensor<4>, Tensor<4>) {
        let [batch, len] = positions.dims();
        let positions = positions.reshape([batch * len]);
        let pick = |table: &Tensor<2>| {
            let width = table.dims()[1];
            table.clone().select(0, positions.clone()).reshape([batch, 1, len, width])
        };
        (pick(&self.cos), pick(&self.sin))
    }
}

/// Applies rotary position embedding, `x * cos + rotate_half(x) * sin`, with the halves of a head as the two
/// coordinates (the layout of llama checkpoints; GPT-J pairs neighbors instead).
///
/// # Shapes
///
/// `x` `[B, heads, T, head_dim]`, `cos` and `sin` `[B or 1, 1, T, head_dim]`.
pub fn rotate(x: Tensor<4>, cos: Tensor<4>, sin: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "autodiff")]
    if let Some(rotated) = crate::autodiff::rotate(&x, &cos, &sin) {
        return rotated;
    }
    #[cfg(feature = "cubecl")]
    if let Some(rotated) = crate::gpu::rotate(&x, &cos, &sin) {
        return rotated;
    }
    let half = x.dims()[3] / 2;
    let (left, right) = (x.clone().narrow(3, 0, half), x.clone().narrow(3, half, half));
    x * cos + Tensor::cat(vec![right.neg(), left], 3) * sin
}

#[cfg(test)]
mod tests {
    use super::{Rotary, rotate};
    use burn::tensor::{DType, Device, Int, Tensor};

    #[test]
    fn rotation_angle_is_position_times_frequency() {
        let device = Device::flex();
        let inverse = [1.0f32, 0.01];
        let rotary = Rotary::new(&inverse, 8, &device, DType::F32);
        let head = [0.5f32, -1.0, 2.0, 0.25];
        let x = Tensor::<1>::from_data(head, &device).reshape([1, 1, 1, 4]);
        let (cos, sin) = rotary.range(5, 1);
        let found = rotate(x.clone(), cos, sin).into_data().try_to_vec::<f32>().unwrap();
        for i in 0..2 {
            let (angle, a, b) = (5.0 * f64::from(inverse[i]), f64::from(head[i]), f64::from(head[i + 2]));
            assert!((f64::from(found[i]) - (a * angle.cos() - b * angle.sin())).abs() < 1e-6);
            assert!((f64::from(found[i + 2]) - (b * angle.cos() + a * angle.sin())).abs() < 1e-6);
        }
        let (cos, sin) = rotary.at(Tensor::<2, Int>::from_data([[5]], &device));
        assert_eq!(rotate(x, cos, sin).into_data().try_to_vec::<f32>().unwrap(), found);
    }
}
