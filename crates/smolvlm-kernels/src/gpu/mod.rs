//! Kernels for graphics cards, through CubeCL: what a decode step consists of, in launches that each do much.

mod attention;
pub mod decoder;
mod likeliest;
mod product;
mod reduce;
pub mod rows;
pub mod tensor;
#[cfg(all(test, feature = "wgpu"))]
mod tests;
pub mod weights;
