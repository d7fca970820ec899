//! Detection of the instruction sets of the processor.

use std::sync::OnceLock;

/// The environment variable that hides newer instruction sets.
const VARIABLE: &str = "SMOLVLM_ISA";

/// Vector instruction sets that portable loops are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The baseline of the architecture: SSE2 on x86-64, NEON on AArch64.
    Baseline,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, BW, CD, DQ and VL.
    Avx512,
}

/// Instruction sets by which kernels are selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa {
    /// Vector instruction set.
    pub level: Level,
    /// Dot products of bf16 pairs (AVX512-BF16; FEAT_BF16 on ARM64).
    pub bf16: bool,
    /// Dot products of groups of four bytes (AVX512-VNNI).
    pub vnni: bool,
    /// The same in 256-bit vectors (AVX-VNNI), which newer processors without AVX-512 have.
    pub avx_vnni: bool,
    /// Tile products of bf16 pairs (AMX-BF16).
    pub amx: bool,
    /// Dot products of groups of four bytes, both signed or both unsigned (FEAT_DotProd on ARM64).
    pub dotprod: bool,
    /// Dot products of unsigned with signed bytes, and products of matrices of bytes (FEAT_I8MM on ARM64).
    pub i8mm: bool,
}

/// The largest sets that `SMOLVLM_ISA` allows, by name.
const CAPS: [(&str, Isa); 5] = [
    ("baseline", Isa::BASELINE),
    ("avx2", Isa { level: Level::Avx2, ..Isa::BASELINE }),
    ("avxvnni", Isa { level: Level::Avx2, avx_vnni: true, ..Isa::BASELINE }),
    ("avx512", Isa { level: Level::Avx512, ..Isa::BASELINE }),
    ("avx512bf16", Isa { level: Level::Avx512, bf16: true, vnni: true, avx_vnni: true, ..Isa::BASELINE }),
];

impl Isa {
    const BASELINE: Self = Self {
        level: Level::Baseline,
        bf16: false,
        vnni: false,
        avx_vnni: false,
        amx: false,
        dotprod: false,
        i8mm: false,
    };

    /// The instruction sets of this processor, capped by the environment variable `SMOLVLM_ISA`: `baseline`, `avx2`,
    /// `avxvnni`, `avx512` (without BF16, VNNI and AMX) or `avx512bf16` (without AMX). Detected once. Other values have
    /// no effect here: see [`unknown_cap`](Self::unknown_cap).
    pub fn current() -> Self {
        static CURRENT: OnceLock<Isa> = OnceLock::new();
        *CURRENT.get_or_init(|| {
            let detected = Self::detect();
            match std::env::var(VARIABLE).ok().and_then(|name| Self::cap(&name)) {
                Some(cap) => detected.capped(cap),
                None => detected,
            }
        })
    }

    /// The cap of that name.
    fn cap(name: &str) -> Option<Self> {
        CAPS.iter().find(|(known, _)| *known == name).map(|(_, cap)| *cap)
    }

    /// The value of `SMOLVLM_ISA` if it names no instruction set, which programs should report as an error.
    pub fn unknown_cap() -> Option<String> {
        let value = std::env::var_os(VARIABLE)?.to_string_lossy().into_owned();
        (!value.is_empty() && Self::cap(&value).is_none()).then_some(value)
    }

    #[cfg(target_arch = "x86_64")]
    fn detect() -> Self {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512cd")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        Self {
            level: match (avx512, avx2) {
                (true, _) => Level::Avx512,
                (false, true) => Level::Avx2,
                (false, false) => Level::Baseline,
            },
            bf16: avx512 && is_x86_feature_detected!("avx512bf16"),
            vnni: avx512 && is_x86_feature_detected!("avx512vnni"),
            avx_vnni: avx2 && is_x86_feature_detected!("avxvnni"),
            amx: avx512 && super::amx_state::enable(),
            ..Self::BASELINE
        }
    }

    #[cfg(target_arch = "aarch64")]
    fn detect() -> Self {
        use std::arch::is_aarch64_feature_detected;
        Self {
            bf16: is_aarch64_feature_detected!("bf16"),
            dotprod: is_aarch64_feature_detected!("dotprod"),
            i8mm: is_aarch64_feature_detected!("i8mm"),
            ..Self::BASELINE
        }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn detect() -> Self {
        Self::BASELINE
    }

    fn capped(self, cap: Self) -> Self {
        Self {
            level: self.level.min(cap.level),
            bf16: self.bf16 && cap.bf16,
            vnni: self.vnni && cap.vnni,
            avx_vnni: self.avx_vnni && cap.avx_vnni,
            amx: self.amx && cap.amx,
            dotprod: self.dotprod && cap.dotprod,
            i8mm: self.i8mm && cap.i8mm,
        }
    }
}

/// Defines a function that is compiled for each vector instruction set and dispatched at run time. In its body, the
/// constant `FUSED` tells whether the processor has fused multiply-adds.
macro_rules! vectorized {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$generic:ident: $bound:path>)? ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)]
        $vis fn $name $(<$generic: $bound>)? ($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, clippy::extra_unused_type_parameters)]
            fn plain<const FUSED: bool $(, $generic: $bound)?>($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx512 $(<$generic: $bound>)? ($($arg: $ty),*) $(-> $ret)? {
                plain::<true $(, $generic)?>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx2 $(<$generic: $bound>)? ($($arg: $ty),*) $(-> $ret)? {
                plain::<true $(, $generic)?>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            match $crate::cpu::isa::Isa::current().level {
                // SAFETY: `Isa` detected these instructions on this processor.
                $crate::cpu::isa::Level::Avx512 => return unsafe { avx512($($arg),*) },
                // SAFETY: likewise.
                $crate::cpu::isa::Level::Avx2 => return unsafe { avx2($($arg),*) },
                $crate::cpu::isa::Level::Baseline => {}
            }
            // Every AArch64 processor has fused multiply-adds.
            plain::<{ cfg!(target_arch = "aarch64") } $(, $generic)?>($($arg),*)
        }
    };
}
pub(crate) use vectorized;

/// The same value, opaque to the compiler. Applied to what a loop iterates over, it keeps the compiler from processing
/// several iterations at once, with gathers and scatters, where one iteration fills the vectors.
#[inline(always)]
pub(crate) fn one_by_one<T>(value: T) -> T {
    std::hint::black_box(value)
}

#[cfg(test)]
mod tests {
    use super::{CAPS, Isa, Level};

    #[test]
    fn cap_never_adds_instructions() {
        let all =
            Isa { level: Level::Avx512, bf16: true, vnni: true, avx_vnni: true, amx: true, dotprod: true, i8mm: true };
        for (_, cap) in CAPS {
            assert_eq!(all.capped(cap), cap);
        }
        assert_eq!(Isa::BASELINE.capped(all), Isa::BASELINE);
    }

    /// A mistyped variable would let the tests of an instruction set run with all of them.
    #[test]
    fn the_environment_names_an_instruction_set() {
        assert_eq!(Isa::unknown_cap(), None);
        assert_eq!(Isa::cap("avx2").map(|cap| cap.level), Some(Level::Avx2));
        assert_eq!(Isa::cap("AVX2"), None);
    }
}
