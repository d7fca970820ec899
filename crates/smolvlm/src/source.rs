//! Where a checkpoint comes from.

use crate::Error;
use smolvlm_config::Preset;
use std::path::{Path, PathBuf};

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
    /// `demo`, else a hub repository `owner/name`, optionally `owner/name@revision`.
    ///
    /// # Errors
    ///
    /// [`Error::Source`] if it is neither.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if Path::new(text).is_dir() {
            return Ok(Self::directory(text));
        }
        if text == "demo" {
            return Ok(Self::Demo);
        }
        let (repo, revision) = match text.split_once('@') {
            Some((repo, revision)) => (repo, Some(revision.to_owned())),
            None => (text, None),
        };
        let looks_like_path = text.starts_with(['.', '/', '~']) || text.contains('\\');
        let parts: Vec<&str> = repo.split('/').collect();
        match parts.as_slice() {
            [owner, name] if !looks_like_path && !owner.is_empty() && !name.is_empty() => {
                Ok(Self::Hub { repo: repo.to_owned(), revision })
            }
            _ => Err(Error::Source { text: text.to_owned() }),
        }
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
        for wrong in ["", "nowhere", "./no/such", "/no/such", "a/b/c", "a/"] {
            let error = Source::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("neither"), "{error}");
        }
    }
}
