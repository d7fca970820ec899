//! Check of the machine code of functions that the kernels' macro `vectorized!` defines.
//!
//! What such a function calls without inlining, such as a closure that is too large, is compiled for the baseline
//! instruction set: right, but several times slower, and no test of results would notice.

use crate::process::{cargo, disassemble, succeeds, target};

/// The functions that the macro makes of one, and the registers of each.
const VARIANTS: [(&str, &str); 2] = [("::avx2>:", "%ymm"), ("::avx512>:", "%zmm")];

/// Gathers and scatters of a function whose data are strided.
const MAX_STRIDED: usize = 8;

/// Disassembles the kernels and reports functions that use no vector registers, gather or call others of the crate.
pub fn check() -> Result<(), String> {
    if !cfg!(target_arch = "x86_64") || !succeeds("objdump", &["--version"]) {
        eprintln!("> without the check of vectorized functions, which needs objdump and an x86-64 processor");
        return Ok(());
    }
    // Optimized in the development profile, too.
    cargo("build --package smolvlm-kernels --quiet")?;
    let library = target().join("debug/libsmolvlm_kernels.rlib");
    let (checked, faults) = faults(&disassemble("objdump", &library)?);
    if checked == 0 {
        return Err(format!("no vectorized function in {}", library.display()));
    }
    if faults.is_empty() { Ok(()) } else { Err(format!("not vectorized:\n{}", faults.join("\n"))) }
}

/// The number of vectorized functions in a disassembly, and what is wrong with them.
fn faults(assembly: &str) -> (usize, Vec<String>) {
    let (mut checked, mut faults) = (0, Vec::new());
    for function in assembly.split("\n\n") {
        let mut lines = function.lines().skip_while(|line| !line.ends_with(">:"));
        let Some(name) = lines.next() else { continue };
        let Some((_, registers)) = VARIANTS.iter().find(|(end, _)| name.ends_with(end)) else { continue };
        checked += 1;
        let body: Vec<&str> = lines.collect();
        // A function that only copies has no arithmetic.
        let is_scalar = |line: &&str| ["addss", "mulss", "subss", "fmadd"].iter().any(|word| line.contains(word));
        let has_vectors = body.iter().any(|line| line.contains(registers));
        if !has_vectors && body.iter().any(is_scalar) {
            faults.push(format!("{name} uses no vector registers"));
        }
        // Loops over short rows are best vectorized within the row; across rows they become many gathers and scatters.
        let is_strided = |line: &&&str| line.contains("gather") || line.contains("scatter");
        if body.iter().filter(is_strided).count() > MAX_STRIDED {
            faults.push(format!("{name} gathers or scatters: see `one_by_one`"));
        }
        // The line after a call names what it calls; constants are in sections of their own.
        let is_own = |line: &&&str| line.contains("smolvlm_kernels") && !line.contains(".rodata");
        let called = body.iter().filter(|line| line.contains("R_X86_64")).filter(is_own);
        faults.extend(called.map(|line| format!("{name} calls {}", line.trim())));
    }
    (checked, faults)
}

#[cfg(test)]
mod tests {
    use super::faults;

    #[test]
    fn calls_and_scalar_code_are_found() {
        let good = "0 <a::avx2>:\n 1:\tvaddps %ymm0,%ymm1,%ymm2\n\t5: R_X86_64_GOTPCREL\tcore::panicking::panic\n";
        let calls = "0 <b::avx512>:\n 1:\tvaddps %zmm0,%zmm1,%zmm2\n\t5: R_X86_64_PLT32\tsmolvlm_kernels::b::plain::{{closure}}\n";
        let scalar = "0 <c::avx2>:\n 1:\taddss %xmm0,%xmm1\n";
        let strided = ["0 <e::avx512>:", &" 1:\tvgatherdps (%r11,%zmm8,1),%zmm9{%k1}\n".repeat(9)].join("\n");
        let (checked, faults) = faults(&[good, calls, scalar, &strided, "0 <d::plain>:\n 1:\tret\n"].join("\n"));
        assert_eq!((checked, faults.len()), (4, 3), "{faults:?}");
    }
}
