//! `smolvlm devices`: lists the available devices.

use crate::failure::Failure;
use smolvlm::DeviceInfo;
use std::io::Write;

/// Prints a line per device: the value for `--device`, total and free memory, and its name.
pub fn run() -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let devices = smolvlm::devices();
    let auto = devices.iter().position(DeviceInfo::suits_auto);
    let gigabytes =
        |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{:.1} GB", bytes as f64 / 1e9));
    for (index, DeviceInfo { device, name, memory, free, .. }) in devices.iter().enumerate() {
        let mark = if auto == Some(index) { " (auto)" } else { "" };
        let (memory, free) = (gigabytes(*memory), gigabytes(*free));
        writeln!(stdout, "{:<12} {memory:>9} {free:>9} free  {name}{mark}", device.to_string())?;
    }
    Ok(())
}
