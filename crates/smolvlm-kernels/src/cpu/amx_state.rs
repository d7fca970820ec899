//! Permission to use the tile registers of AMX, which Linux grants to a process on request.

use std::arch::x86_64::__cpuid_count;

/// Bits of CPUID leaf 7, register EDX.
const AMX_BF16: u32 = 1 << 22;
const AMX_TILE: u32 = 1 << 24;

/// Whether the processor multiplies tiles of bf16, and the system lets this process use them.
pub(super) fn enable() -> bool {
    let features = __cpuid_count(7, 0).edx;
    features & AMX_BF16 != 0 && features & AMX_TILE != 0 && request()
}

/// Asks for the tile registers: `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`, see
/// <https://docs.kernel.org/arch/x86/xstate.html>.
#[cfg(target_os = "linux")]
fn request() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_int = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    #[expect(unsafe_code, reason = "a system call")]
    // SAFETY: the call takes two integers and changes only what the process may use; older systems return an error.
    let result = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) };
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn request() -> bool {
    false
}
