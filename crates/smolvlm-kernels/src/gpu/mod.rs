//! GPU kernels, through CubeCL: fused kernels for decode steps, and elementwise operations on whole tensors.

mod argmax;
mod attention;
pub mod decode_batch;
pub mod decoder;
pub mod elementwise;
mod gemv;
mod hardware;
mod kv_copy;
pub mod kv_pool;
pub mod prompt_cache;
pub mod recording;
mod reduce;
#[cfg(feature = "persistence")]
mod settings;
mod stream;
#[cfg(all(test, feature = "wgpu"))]
mod tests;
mod top;
pub mod weights;

#[cfg(feature = "persistence")]
pub use settings::keep_compiled_kernels;
pub use stream::GpuStream;
pub use top::MAX_TOP;
