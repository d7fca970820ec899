//! `smolvlm devices`: what `--device` can be here.

use crate::failure::Failure;
use smolvlm::DeviceInfo;
use std::io::Write;

/// Prints a line for each device: its name for `--device`, then what it calls itself.
pub fn run() -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let devices = smolvlm::devices();
    let auto = devices.iter().position(DeviceInfo::suits_auto);
    for (index, DeviceInfo { device, name, .. }) in devices.iter().enumerate() {
        let mark = if auto == Some(index) { " (auto)" } else { "" };
        writeln!(stdout, "{:<12} {name}{mark}", device.to_string())?;
    }
    Ok(())
}
