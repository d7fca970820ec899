//! Graphics cards, through CubeCL: kernels of our own for decode steps, which consist of launches that each do much, and the choice
//! among the kernels of others for prompts and images.

mod attention;
pub mod decoder;
mod elementwise;
mod hardware;
mod likeliest;
pub mod matmul;
mod product;
mod prompt;
mod reduce;
pub mod rows;
#[cfg(feature = "persistence")]
mod settings;
mod stream;
pub mod tensor;
#[cfg(all(test, feature = "wgpu"))]
mod tests;
pub mod weights;
mod whole;

pub use prompt::prompt_attention;
#[cfg(feature = "persistence")]
pub use settings::keep_compiled_kernels;
pub use stream::on_stream;
pub use whole::{activate, layer_norm, rms_norm, rotate};
