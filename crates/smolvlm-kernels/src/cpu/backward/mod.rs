//! Gradients of operations over slices, and the matrix products of training.

mod activation;
mod gemm;
mod norm;
mod softmax;

pub use activation::{activation_backward, gate_backward};
pub use gemm::{MatrixView, gemm};
pub use norm::{add_rows, layer_norm_backward, rms_norm_backward};
pub use softmax::{log_sum_exp, scaled_softmax, softmax_backward, softmax_from_log_sums, softmax_rows};
