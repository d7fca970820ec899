//! Which instructions the processor at hand has.

use std::sync::OnceLock;

/// Vector registers that plain loops are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every processor of the architecture has: SSE2 on x86-64, NEON on AArch64.
    Baseline,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, BW, CD, DQ and VL.
    Avx512,
}

/// Instructions that kernels choose by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa {
    /// Vector registers.
    pub level: Level,
    /// Products of bf16 pairs (AVX512-BF16).
    pub bf16: bool,
    /// Products of groups of four bytes (AVX512-VNNI).
    pub vnni: bool,
}

impl Isa {
    /// Those of this processor, less what the environment variable `SMOLVLM_ISA` hides: `baseline`, `avx2` and `avx512`
    /// (without BF16 and VNNI) name the most that is to be used. Read once.
    pub fn current() -> Self {
        static CURRENT: OnceLock<Isa> = OnceLock::new();
        *CURRENT.get_or_init(|| Self::detect().capped(std::env::var("SMOLVLM_ISA").ok().as_deref()))
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
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn detect() -> Self {
        Self { level: Level::Baseline, bf16: false, vnni: false }
    }

    fn capped(self, cap: Option<&str>) -> Self {
        let level = match cap {
            Some("baseline") => Level::Baseline,
            Some("avx2") => Level::Avx2,
            Some("avx512") => Level::Avx512,
            _ => return self,
        };
        Self { level: self.level.min(level), bf16: false, vnni: false }
    }
}

/// Defines a function whose plain loops are compiled for each vector width; the one at hand is called. In its body, the
/// constant `FUSED` says whether the processor multiplies and adds in one instruction.
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
                // SAFETY: `Isa` found these instructions on this processor.
                $crate::cpu::isa::Level::Avx512 => return unsafe { avx512($($arg),*) },
                // SAFETY: likewise.
                $crate::cpu::isa::Level::Avx2 => return unsafe { avx2($($arg),*) },
                $crate::cpu::isa::Level::Baseline => {}
            }
            // Every AArch64 processor has fused products.
            plain::<{ cfg!(target_arch = "aarch64") } $(, $generic)?>($($arg),*)
        }
    };
}
pub(crate) use vectorized;

#[cfg(test)]
mod tests {
    use super::{Isa, Level};

    #[test]
    fn a_cap_hides_and_never_adds() {
        let all = Isa { level: Level::Avx512, bf16: true, vnni: true };
        assert_eq!(all.capped(None), all);
        assert_eq!(all.capped(Some("avx512")), Isa { level: Level::Avx512, bf16: false, vnni: false });
        assert_eq!(all.capped(Some("avx2")).level, Level::Avx2);
        let old = Isa { level: Level::Baseline, bf16: false, vnni: false };
        assert_eq!(old.capped(Some("avx512")), old);
    }
}
