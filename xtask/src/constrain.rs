//! `cargo xtask constrain`: JSON of random schemas.

use crate::process::ignored_test;

/// Runs the ignored test that generates JSON for 10,000 random schemas in each format and prints violations and times.
pub fn run() -> Result<(), String> {
    ignored_test("constrain::json_of_ten_thousand_schemas_is_valid")
}
