//! Graphics cards, through CubeCL: kernels of our own for decode steps, which consist of launches that each do much, and the choice
//! among the kernels of others for prompts and images.

mod attention;
pub mod decoder;
mod likeliest;
pub mod matmul;
mod product;
mod prompt;
mod reduce;
pub mod rows;
#[cfg(feature = "persistence")]
mod settings;
pub mod tensor;
#[cfg(all(test, feature = "wgpu"))]
mod tests;
pub mod weights;

pub use prompt::prompt_attention;
#[cfg(feature = "persistence")]
pub use settings::keep_compiled_kernels;
