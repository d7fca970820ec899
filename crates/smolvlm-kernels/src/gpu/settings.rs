//! Settings of CubeCL, which a process has once.

use cubecl::config::cache::CacheConfig;
use cubecl::config::compilation::CompilationConfig;
use cubecl::config::environment::EnvironmentConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

/// Keeps compiled kernels in the user's cache folder, below `cubecl`: compiling them takes longer than an answer. A process that
/// has made its own settings, or used a card, keeps those.
pub fn keep_compiled_kernels() {
    let compilation = CompilationConfig { cache: true, ..Default::default() };
    let environment = EnvironmentConfig { path: CacheConfig::Global, ..Default::default() };
    let settings = CubeClRuntimeConfig { compilation, environment, ..Default::default() };
    CubeClRuntimeConfig::try_set(settings.override_from_env());
}
