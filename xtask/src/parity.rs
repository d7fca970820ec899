//! `cargo xtask parity`: the measured errors of every device, as `docs/parity.md` shows them.

use crate::process::{features, root};
use std::process::Command;

const PAGE: &str = "docs/parity.md";
/// The lines around the table.
const MARKS: [&str; 2] = ["<!-- written by `cargo xtask parity` -->\n", "<!-- end -->\n"];
/// The test target that runs the goldens on every device, and the filter that selects them.
const TEST: [&str; 4] = ["test", "--workspace", "--test", "integration"];
const FILTER: &str = "devices::";
const HEAD: &str = "\
| device | name | dtype | tolerated | image features | logits | cases |
|---|---|---|---|---|---|---|
";

/// Runs the goldens on all devices of the tests' build and of these backends, and writes the table into the page.
pub fn run(backends: &[String]) -> Result<(), String> {
    let mut words: Vec<String> = TEST.map(str::to_owned).into();
    words.extend(features());
    words.extend(backends.iter().map(|backend| format!("--features=smolvlm/{backend},smolvlm/fusion")));
    words.extend(["--", FILTER, "--nocapture"].map(str::to_owned));
    eprintln!("> cargo {}", words.join(" "));
    let output = Command::new("cargo").args(&words).current_dir(root()).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("the goldens do not hold:\n{text}{}", String::from_utf8_lossy(&output.stderr)));
    }
    let rows: String = text.lines().filter(|line| line.starts_with("| ")).map(|line| format!("{line}\n")).collect();
    let page = root().join(PAGE);
    let old = std::fs::read_to_string(&page).map_err(|error| format!("{PAGE}: {error}"))?;
    let new = replaced(&old, &format!("{HEAD}{rows}")).ok_or_else(|| format!("{PAGE} lacks the marks of the table"))?;
    std::fs::write(&page, new).map_err(|error| format!("{PAGE}: {error}"))
}

/// A page with another table between the marks.
fn replaced(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(MARKS[0])?;
    let (_, after) = rest.split_once(MARKS[1])?;
    Some(format!("{before}{}{table}{}{after}", MARKS[0], MARKS[1]))
}

#[cfg(test)]
mod tests {
    use super::{FILTER, MARKS, TEST, replaced};
    use crate::process::root;

    #[test]
    fn only_the_table_changes() {
        let page = format!("a\n{}old\n{}b\n", MARKS[0], MARKS[1]);
        assert_eq!(replaced(&page, "new\n").unwrap(), page.replace("old", "new"));
        assert!(replaced("no marks", "new").is_none());
    }

    /// The target and its module exist, and so do the marks of the page.
    #[test]
    fn the_test_exists() {
        let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
        let target = TEST[3];
        assert!(read("tests/Cargo.toml").contains(&format!("name = \"{target}\"")));
        let module = FILTER.trim_end_matches(':');
        assert!(read(&format!("tests/{target}/main.rs")).contains(&format!("mod {module};")));
        assert!(MARKS.iter().all(|mark| read(super::PAGE).contains(mark)));
    }
}
