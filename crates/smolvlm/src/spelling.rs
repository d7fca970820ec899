//! Suggestions for misspelled paths.

use std::fs;
use std::path::{Path, PathBuf};

/// Maximum number of directory entries to examine.
const MAX_ENTRIES: usize = 10_000;

/// The existing sibling folder whose name is closest to that of a missing path, at most `max_distance` edits away.
pub(crate) fn similar_folder(path: &Path, max_distance: usize) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?.to_lowercase();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let near = subfolders(parent.unwrap_or(Path::new("."))).filter_map(|folder| {
        let other = folder.file_name()?.to_str()?.to_owned();
        let distance = edit_distance(&name, &other.to_lowercase());
        (distance <= max_distance && distance < name.chars().count()).then_some((distance, other))
    });
    let (_, other) = near.min()?;
    Some(parent.map_or_else(|| PathBuf::from(&other), |parent| parent.join(&other)))
}

/// The subfolders of a folder.
pub(crate) fn subfolders(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().take(MAX_ENTRIES).flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir())
}

/// Levenshtein distance: the number of characters to insert, delete or replace.
pub(crate) fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (above, y) in row.iter_mut().skip(1).zip(&b) {
            let changed = diagonal + usize::from(x != *y);
            diagonal = *above;
            left = changed.min(*above + 1).min(left + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levenshtein_distance_counts_edits() {
        for (a, b, expected) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("abc", "acb", 2)]
        {
            assert_eq!(edit_distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn similar_folder_names_are_suggested() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("SmolVLM2-256M")).unwrap();
        fs::write(root.path().join("SmolVLM2-256N"), "").unwrap();
        let similar = |name: &str, max_distance| similar_folder(&root.path().join(name), max_distance);
        for name in ["smolvlm2-256m", "SmolVLM2-256", "SmolVLM2-265M", "SmolVLM2-256N"] {
            assert_eq!(similar(name, 2), Some(root.path().join("SmolVLM2-256M")), "{name}");
        }
        assert_eq!(similar("SmolVLM2-500M", 2), None);
        assert_eq!(similar("other", 3), None);
        assert_eq!(super::similar_folder(&root.path().join("none/at/all"), 3), None);
    }
}
