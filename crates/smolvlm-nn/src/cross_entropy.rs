//! Cross-entropy loss.

use burn::tensor::{Int, Tensor, TensorData, activation};

/// Summed cross-entropy loss: the sum of the negative log-probabilities of the targets, times `scale`.
///
/// # Shapes
///
/// `[rows, classes]` and one target per row, below the number of classes, to `[1]`.
///
/// # Panics
///
/// When the number of targets differs from the number of rows, or a target is out of range.
pub fn cross_entropy(logits: Tensor<2>, targets: &[u32], scale: f32) -> Tensor<1> {
    #[cfg(feature = "autodiff")]
    if let Some(loss) = crate::autodiff::cross_entropy(&logits, targets, scale) {
        return loss;
    }
    let classes = targets.iter().map(|&target| target as i32).collect::<Vec<i32>>();
    let classes = TensorData::new(classes, [targets.len(), 1]);
    let classes = Tensor::<2, Int>::from_data(classes, &logits.device());
    activation::log_softmax(logits, 1).gather(1, classes).sum() * -scale
}
