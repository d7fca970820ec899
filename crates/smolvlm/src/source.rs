//! Checkpoint sources.

use crate::{Error, spelling};
use smolvlm_config::Preset;
use std::path::{Path, PathBuf};

/// Maximum edit distance at which the name of a Hub repository is taken for a misspelled folder.
const MAX_REPOSITORY_TYPOS: usize = 2;

/// The name of [`Source::Demo`], and the maximum edit distance at which a word is taken for a misspelling of it.
const DEMO: &str = "demo";
const MAX_DEMO_TYPOS: usize = 1;

/// The source of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A folder in the layout of a Hugging Face checkpoint.
    Directory(PathBuf),
    /// A repository of the Hugging Face Hub, downloaded once into the cache shared with its other tools.
    Hub {
        /// `owner/name`.
        repo: String,
        /// Branch, tag or commit; `main` if none.
        revision: Option<String>,
    },
    /// The small trained model embedded by the feature `demo`: it answers questions about synthetic images and needs no
    /// network.
    Demo,
    /// Random weights and a synthetic tokenizer at a preset's real size, created in memory: for benchmarks.
    Random(Preset),
}

impl Source {
    /// A checkpoint folder.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self::Directory(path.into())
    }

    /// A Hub repository, `owner/name`, at revision `main`.
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

    /// Parses a model argument: a folder if one of that name exists, else [`Demo`](Self::Demo) for `demo`, else a Hub
    /// repository `owner/name`, optionally `owner/name@revision`. A repository name that is close to the path of an
    /// existing folder is rejected as a misspelled path unless it has a revision.
    ///
    /// # Errors
    ///
    /// [`Error::Source`] if it is none of these, with a suggestion if there is one.
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
                match spelling::similar_folder(path, MAX_REPOSITORY_TYPOS).filter(|_| revision.is_none()) {
                    Some(similar) => refuse(format!(
                        "; did you mean the folder {}? For the Hub repository write {repo}@main",
                        similar.display()
                    )),
                    None => Ok(Self::Hub { repo: repo.to_owned(), revision }),
                }
            }
            _ => {
                let max_distance = text.chars().count().div_ceil(4).max(MAX_REPOSITORY_TYPOS);
                refuse(match spelling::similar_folder(path, max_distance) {
                    Some(similar) => format!("; did you mean the folder {}?", similar.display()),
                    None if spelling::edit_distance(text, DEMO) <= MAX_DEMO_TYPOS => format!("; did you mean {DEMO}?"),
                    None => String::new(),
                })
            }
        }
    }
}

/// The hint for a path that is a file.
fn file_advice(path: &Path) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.join("config.json").is_file() {
        format!(", but a file; use the folder that contains it: {}", folder.display())
    } else {
        ", but a file; use a folder with config.json, tokenizer.json, a processor configuration and model.safetensors"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn model_arguments_are_parsed_as_folder_demo_or_repository() {
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
    fn files_and_misspelled_folders_get_a_suggestion() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("smolvlm-256m");
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["config.json", "model.safetensors"] {
            std::fs::write(folder.join(name), "{}").unwrap();
        }
        std::fs::write(root.path().join("model.gguf"), "GGUF").unwrap();
        let error = |path: std::path::PathBuf| Source::parse(path.to_str().unwrap()).unwrap_err().to_string();
        let weights = error(folder.join("model.safetensors"));
        assert!(weights.ends_with(&format!("use the folder that contains it: {}", folder.display())), "{weights}");
        assert!(error(root.path().join("model.gguf")).contains("use a folder with config.json"));
        for typo in ["smolvlm-256", "SmolVLM-265m"] {
            let error = error(root.path().join(typo));
            assert!(error.contains(&format!("did you mean the folder {}?", folder.display())), "{error}");
        }
        // Relative to this crate's folder, where `src/device` exists.
        let error = Source::parse("src/devices").unwrap_err().to_string();
        assert!(error.contains("src/device?") && error.contains("src/devices@main"), "{error}");
        assert!(matches!(Source::parse("src/devices@main"), Ok(Source::Hub { .. })));
        assert_eq!(Source::parse("src/elsewhere").unwrap(), Source::hub("src/elsewhere"));
    }
}
