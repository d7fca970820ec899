//! Arguments of `smolvlm serve`.

use crate::args::Model;
use clap::Args;
use smolvlm::{HostPattern, MediaPolicy, MediaScheme, Options};
use smolvlm_server::{Log, ServerConfig};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `smolvlm serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// IP address to listen on; 0.0.0.0 for all addresses of this machine, which should have an API key
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub host: IpAddr,
    /// Port to listen on; 0 for a free one
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub port: u16,
    /// API key that requests must have; repeatable. Prefer the environment variable, which other users cannot see
    #[arg(long, value_name = "KEY", env = "SMOLVLM_API_KEY", hide_env_values = true)]
    pub api_key: Vec<String>,
    /// Origin of web pages that may use the server, such as `https://example.com`, or * for all; repeatable
    #[arg(long, value_name = "ORIGIN")]
    pub cors_origin: Vec<String>,
    /// Host name that requests may use besides those of this machine; repeatable
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,
    /// Name of the model in responses [default: that of --model]
    #[arg(long, value_name = "NAME")]
    pub model_name: Option<String>,
    /// Number of requests that are processed at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallel: u16,
    /// Number of requests that may wait; others are rejected
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub max_queue: u16,
    /// Maximum number of tokens of all requests that wait, prompts and answers, estimated from their sizes; others are
    /// rejected [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_queue_tokens: Option<u32>,
    /// Time limit of a request in seconds, waiting included
    #[arg(long, value_name = "S", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    pub request_timeout: u32,
    /// Time in seconds to finish running requests after SIGTERM
    #[arg(long, value_name = "S", default_value_t = 30)]
    pub drain_timeout: u32,
    /// Maximum size of a request in MiB, images as base64 included
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub max_body: u16,
    /// Maximum answer length of requests that set none, in tokens [default: the checkpoint's, else 256]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_new_tokens: Option<u32>,
    /// Do not end texts that repeat themselves endlessly
    #[arg(long)]
    pub no_loop_guard: bool,
    /// Host from which requests may fetch images over http: and https:, such as images.example.com or *.example.com;
    /// repeatable. Private addresses are never fetched from
    #[arg(long, value_name = "HOST")]
    pub allow_media_domains: Vec<HostPattern>,
    /// Folder from which requests may read images, as file: URLs or relative paths; repeatable
    #[arg(long, value_name = "DIR")]
    pub allow_media_dir: Vec<PathBuf>,
    /// Decode video files in requests, not only lists of frames
    #[arg(long)]
    pub allow_videos: bool,
    #[command(flatten)]
    pub model: Model,
}

impl Serve {
    /// The configuration of the server.
    pub fn config(&self, log: Log) -> ServerConfig {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let mut config = ServerConfig::default();
        config.address = (self.host, self.port).into();
        // An empty environment variable does not set a key.
        config.api_keys = self.api_key.iter().filter(|key| !key.is_empty()).cloned().collect();
        config.cors_origins.clone_from(&self.cors_origin);
        config.allowed_hosts.clone_from(&self.allow_host);
        config.model_name = self.model_name.clone().unwrap_or_else(|| self.model.name());
        config.parallel = self.parallel.into();
        config.max_queue = self.max_queue.into();
        config.max_queue_tokens = self.max_queue_tokens.map(|tokens| tokens as usize);
        config.request_timeout = seconds(self.request_timeout);
        config.drain_timeout = seconds(self.drain_timeout);
        config.max_body_bytes = usize::from(self.max_body) << 20;
        config.default_max_tokens = self.max_new_tokens.map(|tokens| tokens as usize);
        config.loop_guard = !self.no_loop_guard;
        config.videos = self.allow_videos;
        config.media = self.media_policy();
        config.log = log;
        config
    }

    /// The options to load the model with: limits of images that are given replace those of the server.
    pub fn model_options(&self, config: &ServerConfig) -> Options {
        let mut options = config.model_options(self.model.options());
        self.model.set_image_limits(&mut options.limits);
        options
    }

    fn media_policy(&self) -> MediaPolicy {
        let mut policy = MediaPolicy::untrusted();
        if !self.allow_media_domains.is_empty() {
            policy.schemes.extend([MediaScheme::Http, MediaScheme::Https]);
            policy.hosts = Some(self.allow_media_domains.clone());
        }
        if !self.allow_media_dir.is_empty() {
            policy.schemes.push(MediaScheme::File);
            policy.folders = Some(self.allow_media_dir.clone());
        }
        policy
    }
}

impl Model {
    /// A short name without local paths.
    fn name(&self) -> String {
        if let Some(preset) = self.random {
            return format!("random-{preset}");
        }
        let path = std::path::Path::new(&self.model);
        let name = if path.is_file() { path.file_stem() } else { path.file_name().filter(|_| path.is_dir()) };
        name.map_or_else(|| self.model.clone(), |name| name.to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::Serve;
    use clap::{Args, Command, FromArgMatches};
    use smolvlm::{MediaPolicy, MediaScheme};
    use smolvlm_server::{Log, ServerConfig};

    fn serve(args: &[&str]) -> Serve {
        let command = Serve::augment_args(Command::new("serve"));
        let matches = command.try_get_matches_from([&["serve"], args].concat()).unwrap();
        Serve::from_arg_matches(&matches).unwrap()
    }

    fn config(args: &[&str]) -> ServerConfig {
        serve(args).config(Log::new(|_| {}))
    }

    #[test]
    fn nothing_is_open_by_default() {
        let config = config(&["--model", "demo"]);
        assert!(config.address.ip().is_loopback());
        assert_eq!(config.media, MediaPolicy::untrusted());
        assert!(config.cors_origins.is_empty() && !config.videos && config.loop_guard);
        assert_eq!(config.model_name, "demo");
    }

    #[test]
    fn media_are_opened_by_their_own_options_only() {
        let hosts = config(&["--allow-media-domains", "*.example.com"]).media;
        assert_eq!(hosts.schemes, [MediaScheme::Data, MediaScheme::Http, MediaScheme::Https]);
        assert_eq!(hosts.folders, Some(Vec::new()));
        let folder = config(&["--allow-media-dir", "/media"]).media;
        assert_eq!(folder.schemes, [MediaScheme::Data, MediaScheme::File]);
        assert_eq!((folder.hosts, folder.folders), (Some(Vec::new()), Some(vec!["/media".into()])));
    }

    #[test]
    fn given_limits_of_images_replace_those_of_the_server() {
        let limits = |args: &[&str]| {
            let limits = serve(args).model_options(&config(args)).limits;
            assert_eq!(limits.image, limits.video.image);
            (limits.image.max_pixels, limits.image.max_width, limits.image.max_height)
        };
        assert_eq!(limits(&[]), (40_000_000, 65_536, 65_536));
        assert_eq!(limits(&["--max-image-pixels", "50000000"]), (50_000_000, 65_536, 65_536));
        assert_eq!(limits(&["--max-image-side", "100000"]), (40_000_000, 100_000, 100_000));
    }

    #[test]
    fn names_of_models_have_no_path() {
        let folder = env!("CARGO_MANIFEST_DIR");
        assert_eq!(config(&["--model", folder]).model_name, "smolvlm-cli");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text-Q8_0.gguf");
        std::fs::write(&file, "").unwrap();
        assert_eq!(config(&["--model", file.to_str().unwrap()]).model_name, "text-Q8_0");
        assert_eq!(config(&["--model", "owner/name"]).model_name, "owner/name");
        assert_eq!(config(&["--random", "tiny"]).model_name, "random-tiny");
        assert_eq!(config(&["--model", "demo", "--model-name", "x"]).model_name, "x");
    }
}
