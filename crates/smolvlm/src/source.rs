//! Checkpoint sources.

use crate::{Error, gguf, spelling};
use smolvlm_config::Preset;
use std::fmt;
use std::io;
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
    /// Files of llama.cpp in GGUF.
    Gguf {
        /// The text model (architecture `llama`).
        text: PathBuf,
        /// Vision encoder and connector; without them, the model takes text only.
        mmproj: Option<PathBuf>,
    },
    /// A repository of the Hugging Face Hub with GGUF files, of which one text model and one mmproj file are
    /// downloaded.
    HubGguf {
        /// `owner/name`.
        repo: String,
        /// Branch, tag or commit; `main` if none.
        revision: Option<String>,
        /// Type at the end of the text model's name, such as `Q8_0`; if none, the only one or a usual one.
        kind: Option<String>,
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

    /// GGUF files: a text model, and vision encoder and connector.
    pub fn gguf(text: impl Into<PathBuf>, mmproj: Option<PathBuf>) -> Self {
        Self::Gguf { text: text.into(), mmproj }
    }

    /// Adds vision encoder and connector (an mmproj file) to a text model in GGUF.
    ///
    /// # Errors
    ///
    /// [`Error::MmprojWithoutGguf`] for other sources.
    pub fn with_mmproj(self, mmproj: PathBuf) -> Result<Self, Error> {
        match self {
            Self::Gguf { text, .. } => Ok(Self::gguf(text, Some(mmproj))),
            other => Err(Error::MmprojWithoutGguf { model: other.to_string() }),
        }
    }

    /// The trained model of the feature `demo`.
    pub fn demo() -> Self {
        Self::Demo
    }

    /// Random weights at a preset's size.
    pub fn random(preset: Preset) -> Self {
        Self::Random(preset)
    }

    /// The model's name without folders: that of its folder, of its file without the extension, or of its repository
    /// without the owner.
    #[cfg(feature = "flex")]
    pub(crate) fn name(&self) -> String {
        let folder = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
        match self {
            // Paths such as `.` have no name.
            Self::Directory(path) => folder(path).or_else(|| folder(&path.canonicalize().ok()?)).unwrap_or_default(),
            Self::Gguf { text, .. } => text.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Hub { repo, .. } | Self::HubGguf { repo, .. } => repo.rsplit('/').next().unwrap_or(repo).to_owned(),
            Self::Demo => DEMO.to_owned(),
            Self::Random(preset) => format!("random-{preset}"),
        }
    }

    /// Parses a model argument: a folder or GGUF file if one of that name exists, else [`Demo`](Self::Demo) for `demo`,
    /// else a Hub repository `owner/name`, optionally `owner/name@revision`. A name that ends in `GGUF`, or a type
    /// after a colon as in `owner/name:Q8_0`, is a repository of GGUF files ([`HubGguf`](Self::HubGguf)). A repository
    /// name that is close to the path of an existing folder is rejected as a misspelled path unless it has a revision.
    ///
    /// # Errors
    ///
    /// [`Error::Source`] if it is none of these, with a suggestion if there is one; [`Error::Read`] for a path that
    /// ends in `.gguf` and does not exist.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(Self::directory(text));
        }
        if text == DEMO {
            return Ok(Self::Demo);
        }
        if gguf::is_gguf(path) {
            return Ok(Self::gguf(text, None));
        }
        let refuse = |advice: String| Err(Error::Source { text: text.to_owned(), advice });
        if path.exists() {
            return refuse(file_advice(path));
        }
        if gguf::has_gguf_name(path) {
            let source = io::Error::new(io::ErrorKind::NotFound, "file not found");
            return Err(Error::Read { path: path.to_owned(), source });
        }
        let (repo, revision) = match text.split_once('@') {
            Some((repo, revision)) => (repo, Some(revision.to_owned())),
            None => (text, None),
        };
        let (repo, kind) = match repo.split_once(':') {
            Some((repo, kind)) => (repo, Some(kind.to_owned())),
            None => (repo, None),
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
                    None if kind.as_deref() == Some("") => {
                        refuse(format!("; give a type after the colon, as in {repo}:Q8_0"))
                    }
                    None if kind.is_some() || name.to_ascii_lowercase().ends_with("gguf") => {
                        Ok(Self::HubGguf { repo: repo.to_owned(), revision, kind })
                    }
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

impl fmt::Display for Source {
    /// The form that [`Source::parse`] takes, where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |revision: &Option<String>| revision.as_ref().map_or_else(String::new, |name| format!("@{name}"));
        match self {
            Self::Directory(path) | Self::Gguf { text: path, .. } => write!(f, "{}", path.display()),
            Self::Hub { repo, revision } => write!(f, "{repo}{}", at(revision)),
            Self::HubGguf { repo, revision, kind } => {
                let kind = kind.as_ref().map_or_else(String::new, |kind| format!(":{kind}"));
                write!(f, "{repo}{kind}{}", at(revision))
            }
            Self::Demo => f.write_str(DEMO),
            Self::Random(preset) => write!(f, "random weights of size {preset}"),
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
    #[cfg(feature = "flex")]
    use smolvlm_config::Preset;

    #[test]
    fn model_arguments_are_parsed_as_folder_demo_or_repository() {
        assert_eq!(Source::parse("src").unwrap(), Source::directory("src"));
        assert_eq!(Source::parse("owner/name").unwrap(), Source::hub("owner/name"));
        assert_eq!(Source::parse("demo").unwrap(), Source::demo());
        let pinned = Source::Hub { repo: "owner/name".into(), revision: Some("v1".into()) };
        assert_eq!(Source::parse("owner/name@v1").unwrap(), pinned);
        let gguf = |revision: Option<&str>, kind: Option<&str>| Source::HubGguf {
            repo: "owner/name-GGUF".into(),
            revision: revision.map(str::to_owned),
            kind: kind.map(str::to_owned),
        };
        assert_eq!(Source::parse("owner/name-GGUF").unwrap(), gguf(None, None));
        assert_eq!(Source::parse("owner/name-GGUF:Q8_0@v1").unwrap(), gguf(Some("v1"), Some("Q8_0")));
        assert!(
            matches!(Source::parse("owner/name:f16").unwrap(), Source::HubGguf { kind: Some(kind), .. } if kind == "f16")
        );
        for text in ["owner/name", "owner/name@v1", "owner/name-GGUF:Q8_0@v1", "demo", "src"] {
            assert_eq!(Source::parse(text).unwrap().to_string(), text);
        }
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
    fn missing_gguf_files_and_types_are_errors() {
        for name in ["owner/none.gguf", "none.GGUF"] {
            assert_eq!(Source::parse(name).unwrap_err().to_string(), format!("{name}: file not found"));
        }
        for name in ["owner/name:", "owner/name:@v1"] {
            let error = Source::parse(name).unwrap_err().to_string();
            assert!(error.contains("as in owner/name:Q8_0"), "{error}");
        }
    }

    #[cfg(feature = "flex")]
    #[test]
    fn names_of_models_have_no_folder() {
        // Relative to this crate's folder.
        for (source, name) in [
            (Source::directory("."), "smolvlm"),
            (Source::directory("a/b/."), "b"),
            (Source::gguf("a/b-Q8_0.gguf", None), "b-Q8_0"),
            (Source::hub("owner/name"), "name"),
            (Source::random(Preset::Tiny), "random-tiny"),
        ] {
            assert_eq!(source.name(), name);
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
        std::fs::write(root.path().join("model.onnx"), "").unwrap();
        let text = root.path().join("model.gguf");
        std::fs::write(&text, "GGUF").unwrap();
        assert_eq!(Source::parse(text.to_str().unwrap()).unwrap(), Source::gguf(&text, None));
        let blob = root.path().join("sha256-0");
        std::fs::write(&blob, "GGUF").unwrap();
        assert_eq!(Source::parse(blob.to_str().unwrap()).unwrap(), Source::gguf(&blob, None));
        let both = Source::gguf(&text, None).with_mmproj("b.gguf".into()).unwrap();
        assert_eq!(both, Source::gguf(&text, Some("b.gguf".into())));
        let error = Source::demo().with_mmproj("b.gguf".into()).unwrap_err().to_string();
        assert!(error.contains("'demo' is not one"), "{error}");
        let error = |path: std::path::PathBuf| Source::parse(path.to_str().unwrap()).unwrap_err().to_string();
        let weights = error(folder.join("model.safetensors"));
        assert!(weights.ends_with(&format!("use the folder that contains it: {}", folder.display())), "{weights}");
        assert!(error(root.path().join("model.onnx")).contains("use a folder with config.json"));
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
