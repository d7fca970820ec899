//! GPUs, through CubeCL: custom fused kernels for decode steps, and the selection of CubeK's kernels for prompts and
//! images.

mod argmax;
mod attention;
pub mod decode_batch;
pub mod decoder;
mod elementwise;
mod gemv;
mod hardware;
pub mod matmul;
mod prompt;
mod reduce;
#[cfg(feature = "persistence")]
mod settings;
mod stream;
pub mod tensor;
mod tensor_ops;
#[cfg(all(test, feature = "wgpu"))]
mod tests;
pub mod weights;

pub use prompt::prompt_attention;
#[cfg(feature = "persistence")]
pub use settings::keep_compiled_kernels;
pub use stream::on_stream;
pub use tensor_ops::{activate, layer_norm, rms_norm, rotate};
