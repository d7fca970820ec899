#![doc = include_str!("../README.md")]

use std::io;
use std::path::Path;

macro_rules! files {
    ($($name:ident $path:literal $what:literal),* $(,)?) => {
        $(
            #[doc = $what]
            pub const $name: &str = include_str!(concat!("../checkpoint/", $path));
        )*

        /// Names and contents of the checkpoint's files except for the weights.
        pub const FILES: &[(&str, &str)] = &[$(($path, $name)),*];
    };
}

files! {
    CONFIG "config.json" "The model's configuration.",
    GENERATION_CONFIG "generation_config.json" "The generation parameters.",
    PROCESSOR_CONFIG "processor_config.json" "The processor's configuration.",
    CHAT_TEMPLATE "chat_template.jinja" "The chat template.",
    TOKENIZER "tokenizer.json" "The tokenizer.",
    TOKENIZER_CONFIG "tokenizer_config.json" "The tokenizer's configuration, with its special tokens.",
    MODEL_CARD "README.md" "The model card.",
}

/// File name of the weights.
pub const WEIGHTS_NAME: &str = "model.safetensors";

/// The weights, a safetensors file in bf16.
pub static WEIGHTS: &[u8] = include_bytes!("../checkpoint/model.safetensors");

/// Writes the checkpoint to a folder, which is created if necessary, in the layout of Hugging Face checkpoints.
///
/// # Errors
///
/// Errors of writing.
pub fn write(folder: &Path) -> io::Result<()> {
    write_small_files(folder)?;
    // The weights come last, so that a folder with weights is complete.
    std::fs::write(folder.join(WEIGHTS_NAME), WEIGHTS)
}

/// [`write()`] without the weights.
///
/// # Errors
///
/// Errors of writing.
pub fn write_small_files(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    FILES.iter().try_for_each(|(name, text)| std::fs::write(folder.join(name), text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| (path.file_name().unwrap().to_string_lossy().into(), std::fs::read(path).unwrap())).collect()
    }

    #[test]
    fn writes_the_whole_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        super::write(folder.path()).unwrap();
        let shipped = contents(&Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoint"));
        assert!(contents(folder.path()) == shipped);
        let bytes: usize = shipped.values().map(Vec::len).sum();
        assert!(bytes <= 8_000_000, "{bytes} bytes");
    }
}
