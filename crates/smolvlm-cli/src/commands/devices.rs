//! `smolvlm devices`: what `--device` can be here.

use crate::failure::Failure;
use smolvlm::DeviceInfo;
use std::io::Write;

/// Prints a line for each device: its name for `--device`, then what it calls itself.
pub fn run() -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let auto = smolvlm::auto_device();
    for info in smolvlm::devices() {
        let is_auto = auto.as_ref().is_some_and(|auto| auto.device == info.device);
        writeln!(stdout, "{}", line(&info, is_auto))?;
    }
    Ok(())
}

fn line(info: &DeviceInfo, is_auto: bool) -> String {
    let auto = if is_auto { " (auto)" } else { "" };
    format!("{:<12} {}{auto}", info.device.to_string(), info.name)
}
