//! The loss of language models.

use burn::tensor::{Int, Tensor, TensorData, activation};

/// The sum of the negative logarithms of the targets' probabilities, times `scale`.
///
/// # Shapes
///
/// `[rows, classes]` and one target a row, below the number of classes, to `[1]`.
///
/// # Panics
///
/// When there are not as many targets as rows, or one is no class.
pub fn cross_entropy(logits: Tensor<2>, targets: &[u32], scale: f32) -> Tensor<1> {
    #[cfg(feature = "autodiff")]
    if let Some(loss) = crate::grad::cross_entropy(&logits, targets, scale) {
        return loss;
    }
    let classes = targets.iter().map(|&target| target as i32).collect::<Vec<i32>>();
    let classes = TensorData::new(classes, [targets.len(), 1]);
    let classes = Tensor::<2, Int>::from_data(classes, &logits.device());
    activation::log_softmax(logits, 1).gather(1, classes).sum() * -scale
}
