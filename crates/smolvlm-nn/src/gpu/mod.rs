//! Tensors on GPUs: access to their buffers, our kernels applied to them, and the selection of CubeK's kernels for
//! prompts and images.

pub mod matmul;
mod ops;
mod prompt;
pub mod tensor;

pub(crate) use ops::{activate, layer_norm, rms_norm, rotate};
pub use ops::{copied, copy_into};
pub(crate) use prompt::prompt_attention;
pub use prompt::suits_recording;
