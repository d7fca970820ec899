//! Kernels for graphics cards, through CubeCL: what a decode step consists of, in launches that each do much.

mod attention;
pub mod decoder;
mod flash;
pub use flash::flash_attention;
mod likeliest;
mod product;
mod reduce;
pub mod rows;
#[cfg(feature = "persistence")]
mod settings;
#[cfg(feature = "persistence")]
pub use settings::keep_compiled_kernels;
pub mod tensor;
#[cfg(all(test, feature = "wgpu"))]
mod tests;
pub mod weights;
