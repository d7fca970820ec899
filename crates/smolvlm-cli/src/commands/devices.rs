//! `smolvlm devices`: what `--device` can be here.

use crate::failure::Failure;
use smolvlm::DeviceInfo;
use std::io::Write;

/// Prints a line for each device: its name for `--device`, what it can hold, and what it calls itself.
pub fn run() -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let devices = smolvlm::devices();
    let auto = devices.iter().position(DeviceInfo::suits_auto);
    for (index, DeviceInfo { device, name, memory, .. }) in devices.iter().enumerate() {
        let mark = if auto == Some(index) { " (auto)" } else { "" };
        let memory = memory.map_or_else(|| "-".to_owned(), |bytes| format!("{:.1} GB", bytes as f64 / 1e9));
        writeln!(stdout, "{:<12} {memory:>9}  {name}{mark}", device.to_string())?;
    }
    Ok(())
}
