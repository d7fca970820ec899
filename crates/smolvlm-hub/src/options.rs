//! Options of downloads and the environment variables that set them.

use super::selection::{Selection, names_in};
use super::{Event, HubError};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// URL of the public hub.
const ENDPOINT: &str = "https://huggingface.co";

/// GGUF files in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufFiles {
    /// The text model.
    pub text: PathBuf,
    /// Vision encoder and connector, if the repository has them.
    pub mmproj: Option<PathBuf>,
}

/// URL, token, cache and timeouts of the Hugging Face Hub.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubOptions {
    /// URL of the hub or a mirror: `https://` or `http://`, host, optional path.
    pub endpoint: String,
    /// Folder of the cache, shared with the other Hugging Face tools.
    pub cache: PathBuf,
    /// Access token. It is sent to the endpoint only, not to hosts that it redirects to.
    pub token: Option<String>,
    /// PEM file of certificates to trust instead of the system's, for networks with a TLS-inspecting proxy.
    pub certificates: Option<PathBuf>,
    /// Whether to use only the cache and no network.
    pub offline: bool,
    /// Whether to store files of a revision as symlinks to their contents. With `false`, or where symlinks cannot be
    /// created, the revision's folder holds the contents.
    pub symlinks: bool,
    /// Maximum time without receiving a byte, in each phase of a request, before an attempt fails. 10 seconds by
    /// default.
    pub timeout: Duration,
    /// Number of consecutive attempts without progress before a download fails. 5 by default, at least 1.
    pub attempts: u32,
    /// Pause after the first failed attempt, doubled after each further one. Half a second by default.
    pub pause: Duration,
}

impl HubOptions {
    /// Options for the public hub without a token, with a cache in this folder.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: ENDPOINT.to_owned(),
            cache: cache.into(),
            token: None,
            certificates: None,
            offline: false,
            symlinks: true,
            timeout: Duration::from_secs(10),
            attempts: 5,
            pause: Duration::from_millis(500),
        }
    }

    /// Options from environment variables; the [crate documentation](crate) lists them.
    ///
    /// # Errors
    ///
    /// [`HubError::InvalidOption`] if no variable sets the cache folder and there is no home folder.
    pub fn from_env() -> Result<Self, HubError> {
        Self::from_variables(|name| std::env::var_os(name), std::env::home_dir())
    }

    /// Fetches the files of a checkpoint that are not in the cache yet and returns the folder with all of them.
    ///
    /// `repo` is `owner/name`. `revision` is a branch, tag or full commit id, by default `main`. `events` is called on
    /// this thread at least ten times per second unless a call takes longer; [`Break`](ControlFlow::Break) cancels.
    ///
    /// Interrupted downloads are resumed, also those of an earlier process. Every file is verified by its git object
    /// id, large files by their SHA-256, before it is added to the cache. Processes that fetch the same file take
    /// turns. If the hub cannot be reached, denies access or sends an unexpected response, or if the cache cannot be
    /// written, a complete cached copy of the revision is used, with a [`Note`](Event::Note).
    ///
    /// # Errors
    ///
    /// See [`HubError`].
    pub fn download(
        &self,
        repo: &str,
        revision: Option<&str>,
        events: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<PathBuf, HubError> {
        super::snapshot::download(self, repo, revision.unwrap_or("main"), Selection::Checkpoint, events)
    }

    /// Fetches a text model and, if the repository has one, an `mmproj` file in GGUF, as [`download`](Self::download).
    ///
    /// `quantization` is that at the end of the text model's name, such as `Q8_0`. Without it, the only one is fetched,
    /// or that of the first of Q8_0, Q4_K_M, Q4_1, Q4_0, BF16, F16, Q6_K and F32. The `mmproj` file is that of the same
    /// quantization, or else of F16, Q8_0, BF16 or F32.
    ///
    /// # Errors
    ///
    /// [`HubError::NoGguf`], and as [`download`](Self::download).
    pub fn download_gguf(
        &self,
        repo: &str,
        revision: Option<&str>,
        quantization: Option<&str>,
        events: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<GgufFiles, HubError> {
        let revision = revision.unwrap_or("main");
        let folder = super::snapshot::download(self, repo, revision, Selection::Gguf(quantization), events)?;
        let chosen =
            super::gguf::choose(names_in(&folder).iter().map(String::as_str), quantization).map_err(|found| {
                HubError::NoGguf {
                    repo: repo.to_owned(),
                    revision: revision.to_owned(),
                    quantization: quantization.map(str::to_owned),
                    found,
                }
            })?;
        Ok(GgufFiles { text: folder.join(chosen.text), mmproj: chosen.mmproj.map(|name| folder.join(name)) })
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>, user: Option<PathBuf>) -> Result<Self, HubError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok()).map(|text| text.trim().to_owned());
        let switch =
            |name: &str| text(name).is_some_and(|value| ["1", "on", "yes", "true"].contains(&&*value.to_lowercase()));
        let folder = |name: &str| set(name).map(|value| expand_home(PathBuf::from(value), user.as_deref()));

        let home = folder("HF_HOME").or_else(|| Some(folder("XDG_CACHE_HOME")?.join("huggingface")));
        let home = home.or_else(|| Some(user.as_ref()?.join(".cache").join("huggingface")));
        let cache = folder("HF_HUB_CACHE").or_else(|| folder("HUGGINGFACE_HUB_CACHE"));
        let cache = cache.or_else(|| Some(home.as_ref()?.join("hub")));
        let Some(cache) = cache else {
            return Err(HubError::InvalidOption {
                name: "HF_HOME",
                reason: "is not set and there is no home folder; set it to a folder for downloads".to_owned(),
            });
        };
        let token_file = || {
            let path = folder("HF_TOKEN_PATH").or_else(|| Some(home.as_ref()?.join("token")))?;
            Some(fs::read_to_string(path).ok()?.trim().to_owned())
        };
        let mut options = Self::new(cache);
        options.certificates = set("SSL_CERT_FILE").map(PathBuf::from);
        // As in huggingface_hub, the second applies only if the first is unset.
        options.offline =
            if set("HF_HUB_OFFLINE").is_some() { switch("HF_HUB_OFFLINE") } else { switch("TRANSFORMERS_OFFLINE") };
        options.symlinks = !switch("HF_HUB_DISABLE_SYMLINKS");
        if !switch("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            let token = text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN"));
            options.token = token.or_else(token_file).filter(|token| !token.is_empty());
        }
        if let Some(endpoint) = text("HF_ENDPOINT") {
            options.endpoint = endpoint;
        }
        Ok(options)
    }
}

impl fmt::Debug for HubOptions {
    /// Omits the token, to keep it out of logs.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HubOptions")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("token", &self.token.as_ref().map(|_| "..."))
            .field("certificates", &self.certificates)
            .field("offline", &self.offline)
            .field("symlinks", &self.symlinks)
            .field("timeout", &self.timeout)
            .field("attempts", &self.attempts)
            .field("pause", &self.pause)
            .finish()
    }
}

/// Replaces a leading `~` with the user's home folder.
fn expand_home(path: PathBuf, user: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), user) {
        (Ok(rest), Some(user)) => user.join(rest),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(variables: &[(&str, &str)], user: Option<&str>) -> Result<HubOptions, HubError> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        HubOptions::from_variables(variable, user.map(PathBuf::from))
    }

    #[test]
    fn the_default_cache_is_that_of_huggingface_hub() {
        let cache = |variables: &[(&str, &str)]| options(variables, Some("/home/me")).unwrap().cache;
        assert_eq!(cache(&[]), Path::new("/home/me/.cache/huggingface/hub"));
        assert_eq!(cache(&[("HF_HOME", ""), ("HF_HUB_CACHE", "")]), Path::new("/home/me/.cache/huggingface/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/xdg")]), Path::new("/xdg/huggingface/hub"));
        assert_eq!(cache(&[("HF_HOME", "~/hf"), ("XDG_CACHE_HOME", "/xdg")]), Path::new("/home/me/hf/hub"));
        assert_eq!(cache(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/cache")]), Path::new("/cache"));
        assert!(options(&[], None).unwrap_err().to_string().contains("HF_HOME"));
        assert_eq!(options(&[("HF_HUB_CACHE", "/cache")], None).unwrap().cache, Path::new("/cache"));
    }

    #[test]
    fn the_token_variable_overrides_the_token_files() {
        let home = tempfile::tempdir().unwrap();
        let home_text = home.path().to_str().unwrap();
        let other = home.path().join("other");
        let token =
            |variables: &[(&str, &str)]| options(&[&[("HF_HOME", home_text)], variables].concat(), None).unwrap().token;
        assert_eq!(token(&[]), None);
        fs::write(home.path().join("token"), "hf_file\n").unwrap();
        fs::write(&other, " hf_other \n").unwrap();
        assert_eq!(token(&[]).as_deref(), Some("hf_file"));
        assert_eq!(token(&[("HF_TOKEN_PATH", other.to_str().unwrap())]).as_deref(), Some("hf_other"));
        assert_eq!(token(&[("HF_TOKEN", " hf_variable\n")]).as_deref(), Some("hf_variable"));
        assert_eq!(token(&[("HF_TOKEN", "x"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        fs::write(home.path().join("token"), "\n").unwrap();
        assert_eq!(token(&[]), None);
    }

    #[test]
    fn variables_set_flags_certificates_and_endpoint() {
        let home = Some("/home/me");
        let plain = options(&[], home).unwrap();
        assert_eq!((plain.endpoint.as_str(), plain.offline), ("https://huggingface.co", false));
        for (value, offline) in [("1", true), ("TRUE", true), ("on", true), ("Yes", true), ("0", false), ("no", false)]
        {
            assert_eq!(options(&[("HF_HUB_OFFLINE", value)], home).unwrap().offline, offline, "{value}");
        }
        assert_eq!(options(&[("SSL_CERT_FILE", "/ca")], home).unwrap().certificates.as_deref(), Some(Path::new("/ca")));
        assert_eq!(options(&[("HF_ENDPOINT", "http://mirror/")], home).unwrap().endpoint, "http://mirror/");
    }

    #[test]
    fn debug_output_omits_the_token() {
        let mut options = HubOptions::new("/cache");
        options.token = Some("hf_secret".to_owned());
        assert!(!format!("{options:?}").contains("secret"));
    }
}
