//! Validation of names before they become part of a path or a URL.

use super::HubError;

/// Maximum length of an owner or name on the hub.
const MAX_NAME: usize = 96;
/// Maximum length of a revision or file name; file systems allow 255 bytes in one component.
const MAX_COMPONENT: usize = 200;

/// Checks `owner/name` by the hub's rules (huggingface_hub, `validate_repo_id`), with a required owner.
pub(super) fn check_repo(repo: &str) -> Result<(), HubError> {
    let invalid = |reason| Err(HubError::InvalidRepoId { repo: shorten(repo), reason });
    let Some((owner, name)) = repo.split_once('/') else {
        return invalid("it contains no '/'");
    };
    for part in [owner, name] {
        if part.is_empty() || part.len() > MAX_NAME {
            return invalid("owner and name must have 1 to 96 characters");
        }
        if !part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            return invalid("owner and name must consist of letters, digits, '-', '_' and '.'");
        }
        if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) || part.contains("--") || part.contains("..") {
            return invalid("owner and name must not contain '--' or '..' nor begin or end with '-' or '.'");
        }
    }
    if name.ends_with(".git") { invalid("the name must not end with '.git'") } else { Ok(()) }
}

/// Checks a branch, tag or commit: allowed by git (git-check-ref-format) and in file names on every platform.
pub(super) fn check_revision(revision: &str) -> Result<(), HubError> {
    let invalid = |reason| Err(HubError::InvalidRevision { revision: shorten(revision), reason });
    if revision.is_empty() || revision.len() > MAX_COMPONENT {
        return invalid("it must have 1 to 200 characters");
    }
    if revision.contains(|c: char| c.is_control() || c.is_whitespace() || "\\:*?\"<>|~^[".contains(c)) {
        return invalid("it must not contain whitespace or any of \\ : * ? \" < > | ~ ^ [");
    }
    if revision.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.ends_with('.')) {
        return invalid("its parts between '/' must not be empty nor begin or end with '.'");
    }
    Ok(())
}

/// Whether a text is a full commit id.
pub(super) fn is_commit(text: &str) -> bool {
    is_hex(text, 40)
}

/// Whether a text consists of exactly `digits` hexadecimal digits in lower case.
pub(super) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Whether a text is safe as one component of a local path.
pub(super) fn is_component(text: &str) -> bool {
    (1..=MAX_COMPONENT).contains(&text.len())
        && !text.starts_with('.')
        && !text.ends_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
}

/// Shortens and escapes a text for a one-line message.
pub(super) fn shorten(text: &str) -> String {
    text.chars().take(MAX_COMPONENT).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_ids_follow_the_rules_of_the_hub() {
        for good in ["HuggingFaceTB/SmolVLM2-256M-Video-Instruct", "a/b", "A_1.x/b-c_d.e"] {
            check_repo(good).unwrap();
        }
        let long = format!("a/{}", "b".repeat(97));
        for bad in [
            "", "a", "/", "a/", "/b", "a/b/c", "../b", "a/..", "a/.b", "a/b.", "-a/b", "a-/b", "a--b/c", "a/b..c",
            "a/b c", "a/b\n", "a\\b/c", "a/b?x", "a/b%2e", "a/b.git", "a/ö", "C:/x", &long,
        ] {
            assert!(matches!(check_repo(bad), Err(HubError::InvalidRepoId { .. })), "{bad:?}");
        }
        let message = check_repo("a/b\n\u{1b}[31m").unwrap_err().to_string();
        assert!(!message.contains(char::is_control), "{message:?}");
    }

    #[test]
    fn revisions_are_valid_git_refs_and_file_names() {
        for good in ["main", "v1.0", "refs/pr/1", "feature/x+y", "fix#1", "ветка"] {
            check_revision(good).unwrap();
        }
        let long = "b".repeat(201);
        for bad in
            ["", "/", "a/", "/a", "a//b", "..", "../x", "a/../b", "a/.b", ".git", "a b", "a\\b", "C:x", "a\0", &long]
        {
            assert!(matches!(check_revision(bad), Err(HubError::InvalidRevision { .. })), "{bad:?}");
        }
    }

    #[test]
    fn path_components_and_commit_ids_are_checked() {
        for good in ["model-00001-of-00002.safetensors", &"ab".repeat(32), "0-1+2"] {
            assert!(is_component(good), "{good}");
        }
        for bad in ["", ".", "..", ".x", "x.", "a/b", "a\\b", "a b", "a:b", "ä", &"a".repeat(201)] {
            assert!(!is_component(bad), "{bad}");
        }
        assert!(is_commit(&"0a".repeat(20)));
        assert!(!is_commit(&"0A".repeat(20)) && !is_commit("main") && !is_commit(&"0".repeat(39)));
    }
}
