//! One file a command.

pub mod describe;
pub mod forward;
pub mod generate;
pub mod process;
pub mod random;
