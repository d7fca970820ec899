//! What devices can hold and what of it is free, in bytes, as far as they say.

/// The machine's memory, or what this process may have of it; and what of that is free.
#[cfg(any(feature = "flex", feature = "ndarray", feature = "cpu"))]
pub(super) fn main() -> (Option<u64>, Option<u64>) {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let (mut memory, mut free) = (system.total_memory(), system.available_memory());
    if let Some(limits) = system.cgroup_limits() {
        memory = memory.min(limits.total_memory);
        // What the system keeps of files counts as used there, but is given back when memory is asked for.
        free = free.min(limits.total_memory.saturating_sub(limits.rss));
    }
    let known = memory > 0;
    (known.then_some(memory), known.then_some(free))
}

/// Bytes of main memory that are free now, as far as they are known.
pub(crate) fn free_main_memory() -> Option<u64> {
    #[cfg(any(feature = "flex", feature = "ndarray", feature = "cpu"))]
    return main().1;
    #[cfg(not(any(feature = "flex", feature = "ndarray", feature = "cpu")))]
    None
}

/// What the driver lets a program have of a card's memory, and what of the card's is free: NVIDIA's driver alone says that.
#[cfg(any(feature = "cuda", feature = "metal", feature = "vulkan", feature = "webgpu", feature = "wgpu"))]
pub(super) fn of_card(device: crate::Device, handle: &burn::tensor::Device) -> (Option<u64>, Option<u64>) {
    let memory = match handle.as_dispatch() {
        burn::backend::DispatchDevice::Cube(device) => device.client().properties().memory.max_memory(),
        // Processors' backends, which the build may have as well.
        #[allow(unreachable_patterns)]
        _ => None,
    };
    let free = match device {
        #[cfg(feature = "cuda")]
        crate::Device::Cuda(index) => {
            let said = cudarc::driver::CudaContext::new(index).and_then(|context| context.mem_get_info());
            said.ok().map(|(free, _)| free as u64)
        }
        _ => None,
    };
    (memory, free)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    #[test]
    fn a_machine_has_memory() {
        let (memory, free) = super::main();
        // No machine that builds this has less.
        assert!(memory.unwrap() > 256 << 20);
        assert!(free.unwrap() <= memory.unwrap());
    }
}
