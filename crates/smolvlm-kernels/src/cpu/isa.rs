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
    /// Dot products of bf16 pairs (AVX512-BF16, or FEAT_BF16 on AArch64).
    pub bf16: bool,
    /// Dot products of groups of four bytes (AVX512-VNNI).
    pub vnni: bool,
    /// Dot products of groups of four bytes of equal signedness (FEAT_DotProd on AArch64).
    pub dotprod: bool,
    /// Products of 8-bit matrices of mixed signedness (FEAT_I8MM on AArch64, which includes FEAT_DotProd).
    pub i8mm: bool,
}

impl Level {
    /// The level of that name in `SMOLVLM_ISA`.
    fn named(name: &str) -> Option<Self> {
        match name {
            "baseline" => Some(Self::Baseline),
            "avx2" => Some(Self::Avx2),
            "avx512" => Some(Self::Avx512),
            _ => None,
        }
    }
}

impl Isa {
    const BASELINE: Self = Self { level: Level::Baseline, bf16: false, vnni: false, dotprod: false, i8mm: false };

    /// The instruction sets of this processor, capped by the environment variable `SMOLVLM_ISA`: `baseline`, `avx2` or
    /// `avx512` (none of them with the optional instructions). Detected once. Other values have no effect here: see
    /// [`unknown_cap`](Self::unknown_cap).
    pub fn current() -> Self {
        static CURRENT: OnceLock<Isa> = OnceLock::new();
        *CURRENT.get_or_init(|| {
            let cap = std::env::var(VARIABLE).ok().and_then(|name| Level::named(&name));
            Self::detect().capped(cap)
        })
    }

    /// The value of `SMOLVLM_ISA` if it names no instruction set, which programs should report as an error.
    pub fn unknown_cap() -> Option<String> {
        let value = std::env::var_os(VARIABLE)?.to_string_lossy().into_owned();
        (!value.is_empty() && Level::named(&value).is_none()).then_some(value)
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
            ..Self::BASELINE
        }
    }

    #[cfg(target_arch = "aarch64")]
    fn detect() -> Self {
        use std::arch::is_aarch64_feature_detected;
        let dotprod = is_aarch64_feature_detected!("dotprod");
        Self {
            bf16: is_aarch64_feature_detected!("bf16"),
            dotprod,
            i8mm: dotprod && is_aarch64_feature_detected!("i8mm"),
            ..Self::BASELINE
        }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn detect() -> Self {
        Self::BASELINE
    }

    fn capped(self, cap: Option<Level>) -> Self {
        match cap {
            Some(level) => Self { level: self.level.min(level), ..Self::BASELINE },
            None => self,
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

#[cfg(test)]
mod tests {
    use super::{Isa, Level};

    #[test]
    fn cap_never_adds_instructions() {
        let all = Isa { level: Level::Avx512, bf16: true, vnni: true, dotprod: true, i8mm: true };
        assert_eq!(all.capped(None), all);
        assert_eq!(all.capped(Some(Level::Avx512)), Isa { level: Level::Avx512, ..Isa::BASELINE });
        assert_eq!(all.capped(Some(Level::Avx2)).level, Level::Avx2);
        assert_eq!(all.capped(Some(Level::Baseline)), Isa::BASELINE);
        assert_eq!(Isa::BASELINE.capped(Some(Level::Avx512)), Isa::BASELINE);
    }

    /// A mistyped variable would let the tests of an instruction set run with all of them.
    #[test]
    fn the_environment_names_an_instruction_set() {
        assert_eq!(Isa::unknown_cap(), None);
        assert_eq!(
            ["baseline", "avx2", "avx512", "AVX2"].map(Level::named),
            [Some(Level::Baseline), Some(Level::Avx2), Some(Level::Avx512), None]
        );
    }
}
