//! Peak of resident memory.

/// Peak resident memory of this process so far, in MiB; known on Linux only.
pub fn mebibytes() -> Option<f64> {
    high_water(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn high_water(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::high_water;

    #[test]
    fn peak_memory_is_parsed_from_status() {
        let status = "Name:\tsmolvlm\nVmPeak:\t  999 kB\nVmHWM:\t    1536 kB\nVmRSS:\t 5 kB\n";
        assert_eq!(high_water(status), Some(1.5));
        assert_eq!([high_water(""), high_water("VmHWM:"), high_water("VmHWM:\tmany kB")], [None; 3]);
    }
}
