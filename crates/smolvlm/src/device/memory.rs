//! Total and free memory of devices in bytes, if they report it.

/// Total main memory, or the limit of this process's cgroup, and the free part of it.
#[cfg(any(feature = "flex", feature = "ndarray", feature = "cubecl-cpu"))]
pub(super) fn main_memory() -> (Option<u64>, Option<u64>) {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let (mut memory, mut free) = (system.total_memory(), system.available_memory());
    if let Some(limits) = system.cgroup_limits() {
        memory = memory.min(limits.total_memory);
        // The page cache counts as used in a cgroup, but is reclaimed on demand; so count resident memory only.
        free = free.min(limits.total_memory.saturating_sub(limits.rss));
    }
    let known = memory > 0;
    (known.then_some(memory), known.then_some(free))
}

/// Free main memory in bytes, if known.
pub(crate) fn free_main_memory() -> Option<u64> {
    #[cfg(any(feature = "flex", feature = "ndarray", feature = "cubecl-cpu"))]
    return main_memory().1;
    #[cfg(not(any(feature = "flex", feature = "ndarray", feature = "cubecl-cpu")))]
    None
}

/// GPU memory that the driver lets a program allocate, and the free part of it, which only NVIDIA's driver reports.
#[cfg(any(feature = "cuda", feature = "metal", feature = "vulkan", feature = "webgpu", feature = "wgpu"))]
pub(super) fn of_gpu(device: crate::Device, handle: &burn::tensor::Device) -> (Option<u64>, Option<u64>) {
    let memory = match handle.as_dispatch() {
        burn::backend::DispatchDevice::Cube(device) => device.client().properties().memory.max_memory(),
        // CPU backends, if compiled in.
        #[allow(unreachable_patterns)]
        _ => None,
    };
    let free = match device {
        #[cfg(feature = "cuda")]
        crate::Device::Cuda(index) => {
            let info = cudarc::driver::CudaContext::new(index).and_then(|context| context.mem_get_info());
            info.ok().map(|(free, _)| free as u64)
        }
        _ => None,
    };
    (memory, free)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    #[test]
    fn main_memory_is_reported() {
        let (memory, free) = super::main_memory();
        // Every machine that can build this has more.
        assert!(memory.unwrap() > 256 << 20);
        assert!(free.unwrap() <= memory.unwrap());
    }
}
