//! LoRA adapters and their base models.

use crate::{Error, Source};
use smolvlm_checkpoint::PeftConfig;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A LoRA adapter, saved by PEFT or by this project's training, that is merged into the weights on loading.
///
/// Parsed from `DIR` or `DIR=WEIGHT`:
///
/// ```
/// use smolvlm::Adapter;
///
/// assert_eq!("style=0.5".parse::<Adapter>()?, Adapter::new("style").weight(0.5));
/// # Ok::<(), smolvlm::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Adapter {
    /// The folder with `adapter_config.json` and `adapter_model.safetensors`.
    pub folder: PathBuf,
    /// Factor of the adapter's weight update; 1 is the adapter as trained. The updates of several adapters add up.
    pub weight: f32,
}

impl Adapter {
    /// The adapter in a folder, with weight 1.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), weight: 1.0 }
    }

    /// The same adapter with another weight.
    #[must_use]
    pub fn weight(mut self, weight: f32) -> Self {
        self.weight = weight;
        self
    }
}

impl FromStr for Adapter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let legal = "DIR, or DIR=WEIGHT with a number";
        let wrong = || Error::Option { option: "adapter", value: text.to_owned(), legal };
        // The name of a folder may contain an equals sign.
        match text.rsplit_once('=').filter(|_| !Path::new(text).is_dir()) {
            Some((folder, weight)) => {
                let weight: f32 = weight.parse().ok().filter(|weight: &f32| weight.is_finite()).ok_or_else(wrong)?;
                if folder.is_empty() { Err(wrong()) } else { Ok(Self::new(folder).weight(weight)) }
            }
            None if text.is_empty() => Err(wrong()),
            None => Ok(Self::new(text)),
        }
    }
}

/// The base model named by an adapter's configuration: a folder, relative to the working directory as in PEFT or else
/// to the adapter's folder, or anything else that [`Source::parse`] accepts.
///
/// # Errors
///
/// [`Error::AdapterBase`] if no base model is named, or if it cannot be found.
pub(crate) fn base_source(config: &PeftConfig, folder: &Path) -> Result<Source, Error> {
    let base = config.base_model();
    let wrong = || Error::AdapterBase { folder: folder.to_owned(), base: base.map(str::to_owned) };
    let name = base.ok_or_else(wrong)?;
    let beside = folder.join(name);
    if !Path::new(name).is_dir() && beside.is_dir() {
        return Ok(Source::Directory(beside));
    }
    match Source::parse(name) {
        Ok(Source::Hub { repo, revision: None }) => {
            Ok(Source::Hub { repo, revision: config.base_revision().map(str::to_owned) })
        }
        Ok(source) => Ok(source),
        Err(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapter_arguments_are_a_folder_with_an_optional_weight() {
        let parse = |text: &str| text.parse::<Adapter>();
        assert_eq!(parse("a/b").unwrap(), Adapter::new("a/b"));
        assert_eq!(parse("a=b=-0.25").unwrap(), Adapter::new("a=b").weight(-0.25));
        for wrong in ["", "=1", "a=", "a=b", "a=nan", "a=inf"] {
            assert!(matches!(parse(wrong), Err(Error::Option { option: "adapter", .. })), "{wrong}");
        }
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("lr=1");
        std::fs::create_dir(&odd).unwrap();
        assert_eq!(parse(odd.to_str().unwrap()).unwrap(), Adapter::new(&odd));
    }
}
