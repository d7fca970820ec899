//! The smolvlm command.
fn main() {}
