//! `cargo xtask decide`: accuracy and calibration of decisions.

use crate::process::ignored_test;

/// Runs the ignored test that asks about 2,000 images of each kind and prints the figures of the documentation.
pub fn run() -> Result<(), String> {
    ignored_test("decide::decisions_about_two_thousand_pictures")
}
