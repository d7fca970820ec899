//! Where a checkpoint comes from.

use crate::{Error, folder};
use smolvlm_config::Preset;
use std::path::{Path, PathBuf};

/// Characters in which a hub repository's name may differ from a folder's to be taken for a mistyped path.
const TYPOS_OF_REPOSITORY: usize = 2;

/// The name of [`Source::Demo`], and characters in which a word may differ from it to be taken for it mistyped.
const DEMO: &str = "demo";
const TYPOS_OF_DEMO: usize = 1;

/// Where a checkpoint comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A folder in the layout of a Hugging Face checkpoint.
    Directory(PathBuf),
    /// A repository of the Hugging Face hub, downloaded once into the cache its other tools share.
    Hub {
        /// `owner/name`.
        repo: String,
        /// Branch, tag or commit; none means `main`.
        revision: Option<String>,
    },
    /// The small trained model that comes with this crate's feature `demo`: it answers questions about drawn pictures, and
    /// needs no network.
    Demo,
    /// Random weights and a synthetic tokenizer at a preset's real size, made in memory: for timing, not for answers.
    Random(Preset),
}

impl Source {
    /// A checkpoint folder.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self::Directory(path.into())
    }

    /// A hub repository, `owner/name`, at its main revision.
    pub fn hub(repo: impl Into<String>) -> Self {
        Self::Hub { repo: repo.into(), revision: None }
    }

    /// The trained model of the feature `demo`.
    pub fn demo() -> Self {
        Self::Demo
    }

    /// Random weights at a preset's size.
    pub fn random(preset: Preset) -> Self {
        Self::Random(preset)
    }

    /// What a user most likely means by one word: a folder if there is one of that name, else [`Demo`](Self::Demo) for
    /// `demo`, else a hub repository `owner/name`, optionally `owner/name@revision`. A word of that form is a mistyped path
    /// if it nearly names a folder here, unless it has a revision.
    ///
    /// # Errors
    ///
    /// [`Error::Source`] if it is neither, with a suggestion if there is one.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(Self::directory(text));
        }
        if text == DEMO {
            return Ok(Self::Demo);
        }
        let refuse = |advice: String| Err(Error::Source { text: text.to_owned(), advice });
        if path.exists() {
            return refuse(file_advice(path));
        }
        let (repo, revision) = match text.split_once('@') {
            Some((repo, revision)) => (repo, Some(revision.to_owned())),
            None => (text, None),
        };
        let looks_like_path = text.starts_with(['.', '/', '~']) || text.contains('\\');
        let parts: Vec<&str> = repo.split('/').collect();
        match parts.as_slice() {
            [owner, name] if !looks_like_path && !owner.is_empty() && !name.is_empty() => {
                match folder::similar(path, TYPOS_OF_REPOSITORY).filter(|_| revision.is_none()) {
                    Some(similar) => refuse(format!(
                        "; did you mean the folder {}? The hub's repository is {repo}@main",
                        similar.display()
                    )),
                    None => Ok(Self::Hub { repo: repo.to_owned(), revision }),
                }
            }
            _ => {
                let most = text.chars().count().div_ceil(4).max(TYPOS_OF_REPOSITORY);
                refuse(match folder::similar(path, most) {
                    Some(similar) => format!("; did you mean the folder {}?", similar.display()),
                    None if folder::distance(text, DEMO) <= TYPOS_OF_DEMO => format!("; did you mean {DEMO}?"),
                    None => String::new(),
                })
            }
        }
    }
}

/// What to give instead of a file.
fn file_advice(path: &Path) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.join("config.json").is_file() {
        format!(", but a file; give the folder that it is in: {}", folder.display())
    } else {
        ", but a file; give a folder with config.json, tokenizer.json, a processor's configuration and model.safetensors".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn a_word_is_a_folder_or_a_repository() {
        assert_eq!(Source::parse("src").unwrap(), Source::directory("src"));
        assert_eq!(Source::parse("owner/name").unwrap(), Source::hub("owner/name"));
        assert_eq!(Source::parse("demo").unwrap(), Source::demo());
        let pinned = Source::Hub { repo: "owner/name".into(), revision: Some("v1".into()) };
        assert_eq!(Source::parse("owner/name@v1").unwrap(), pinned);
        for typo in ["dmo", "demos", "Demo"] {
            let error = Source::parse(typo).unwrap_err().to_string();
            assert!(error.contains("did you mean demo?"), "{error}");
        }
        for wrong in ["", "nowhere", "./no/such", "/no/such", "a/b/c", "a/"] {
            let error = Source::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("neither"), "{error}");
        }
    }

    #[test]
    fn files_and_mistyped_folders_get_a_suggestion() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("smolvlm-256m");
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["config.json", "model.safetensors"] {
            std::fs::write(folder.join(name), "{}").unwrap();
        }
        std::fs::write(root.path().join("model.gguf"), "GGUF").unwrap();
        let error = |path: std::path::PathBuf| Source::parse(path.to_str().unwrap()).unwrap_err().to_string();
        let weights = error(folder.join("model.safetensors"));
        assert!(weights.ends_with(&format!("give the folder that it is in: {}", folder.display())), "{weights}");
        assert!(error(root.path().join("model.gguf")).contains("give a folder with config.json"));
        for typo in ["smolvlm-256", "SmolVLM-265m"] {
            let error = error(root.path().join(typo));
            assert!(error.contains(&format!("did you mean the folder {}?", folder.display())), "{error}");
        }
        // In this crate's folder: `src/device` exists.
        let error = Source::parse("src/devices").unwrap_err().to_string();
        assert!(error.contains("src/device?") && error.contains("src/devices@main"), "{error}");
        assert!(matches!(Source::parse("src/devices@main"), Ok(Source::Hub { .. })));
        assert_eq!(Source::parse("src/elsewhere").unwrap(), Source::hub("src/elsewhere"));
    }
}
