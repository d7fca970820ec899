//! Process-wide CubeCL settings.

use cubecl::config::cache::CacheConfig;
use cubecl::config::compilation::CompilationConfig;
use cubecl::config::environment::EnvironmentConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

/// Enables the kernel cache in the folder `cubecl` of the user's cache folder: compiling takes longer than an answer.
/// Has no effect in a process that has already set its own settings or used a GPU.
pub fn keep_compiled_kernels() {
    let compilation = CompilationConfig { cache: true, ..Default::default() };
    let environment = EnvironmentConfig { path: CacheConfig::Global, ..Default::default() };
    let settings = CubeClRuntimeConfig { compilation, environment, ..Default::default() };
    CubeClRuntimeConfig::try_set(settings.override_from_env());
}
