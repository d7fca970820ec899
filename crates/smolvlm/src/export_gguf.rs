//! Writing of GGUF files for llama.cpp.

use crate::checkpoint_files::is_checkpoint_file;
use crate::checkpoint_folder::replace;
use crate::open_checkpoint::RANDOM_SEED;
use crate::{Adapter, Cancel, Error, Options, Progress, Source, gguf};
use smolvlm_checkpoint::{GgmlType, GgufExport, WeightSource};
use std::path::Path;

/// Number formats of the matrices in GGUF files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GgufTypes {
    text: GgmlType,
    mmproj: GgmlType,
}

impl GgufTypes {
    /// Parses the type of the text model (`q8_0`, `q4_0`, `q4_1`, `bf16`, `f16` or `f32`; also `q8` for `q8_0` and `q4`
    /// for `q4_1`) and that of vision encoder and connector (`f16`, `bf16`, `q8_0` or `f32`).
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for another type.
    pub fn parse(text: &str, mmproj: &str) -> Result<Self, Error> {
        let writable = |name: &str| match name.to_ascii_lowercase().as_str() {
            "q8" => Some(GgmlType::Q8_0),
            "q4" => Some(GgmlType::Q4_1),
            _ => GgmlType::writable().find(|kind| kind.name().eq_ignore_ascii_case(name)),
        };
        let wrong = |option, value: &str, legal| Error::Option { option, value: value.to_owned(), legal };
        Ok(Self {
            text: writable(text).ok_or_else(|| wrong("dtype", text, "q8_0, q4_0, q4_1, bf16, f16 or f32 for GGUF"))?,
            mmproj: writable(mmproj)
                .filter(|kind| !has_4_bits(*kind))
                .ok_or_else(|| wrong("mmproj-dtype", mmproj, "f16, bf16, q8_0 or f32"))?,
        })
    }
}

fn has_4_bits(kind: GgmlType) -> bool {
    matches!(kind, GgmlType::Q4_0 | GgmlType::Q4_1)
}

/// Writes a model as GGUF files for llama.cpp: `model-TYPE.gguf` (the text model) and `mmproj-TYPE.gguf` (vision
/// encoder and connector; not of a source without them). Adapters are merged first. Files in the folder for which
/// [`is_replaced_by_export`] is true are replaced or deleted.
///
/// # Errors
///
/// A source whose weights do not match its configuration or whose tokenizer is not that of SmolLM, the source's own
/// folder, a folder of another project, a folder or file that cannot be written; the folder is then unchanged.
pub fn export_gguf(
    source: Source,
    adapters: &[Adapter],
    types: GgufTypes,
    folder: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), Error> {
    let name = source.name();
    let checkpoint = source.open(&Cancel::new(), progress)?.with_adapters(adapters)?;
    checkpoint.check_target(folder)?;
    let (config, weights) = (checkpoint.config()?, checkpoint.weights()?);
    let processor = checkpoint.processor(&Options::default())?;
    let mut settings = processor.config().clone();
    settings.chat_template = processor.template().map(|template| template.source().to_owned());
    let mut vocabulary = gguf::vocabulary(&processor)?;
    // llama.cpp ends answers at these tokens.
    vocabulary.eos_token_id = config.generation.eos_token_ids.first().copied().or(vocabulary.eos_token_id);
    vocabulary.eot_token_id = config.generation.eos_token_ids.get(1).copied();
    let export = GgufExport {
        name: &name,
        config: &config,
        processor: &settings,
        vocabulary: &vocabulary,
        source: &weights.as_ref().map_or(WeightSource::Random(RANDOM_SEED), WeightSource::Weights),
    };
    let text = text_file(types.text);
    replace(folder, &text, is_replaced_by_export, |folder| {
        export.write_text(types.text, folder.join(&text))?;
        if !checkpoint.is_text_only() {
            export.write_mmproj(types.mmproj, folder.join(mmproj_file(types.mmproj)))?;
        }
        Ok(())
    })
}

/// Whether [`export_gguf`] replaces or deletes a file in its folder, judged by its name: files of a checkpoint, and
/// GGUF files with a name that it gives.
pub fn is_replaced_by_export(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let has_name = |kind| name == text_file(kind) || (!has_4_bits(kind) && name == mmproj_file(kind));
    is_checkpoint_file(path) || GgmlType::writable().any(has_name)
}

/// The name of a text model's file.
fn text_file(kind: GgmlType) -> String {
    format!("model-{}.gguf", kind.name())
}

/// The name of an mmproj file.
fn mmproj_file(kind: GgmlType) -> String {
    format!("mmproj-{}.gguf", kind.name())
}

#[cfg(test)]
mod tests {
    use super::{GgmlType, GgufTypes, export_gguf};
    use crate::{Checkpoint, Options, Source};
    use smolvlm_config::Preset;
    use std::fs;

    #[test]
    fn types_are_parsed() {
        let types = GgufTypes::parse("Q4", "bf16").unwrap();
        assert_eq!(types, GgufTypes { text: GgmlType::Q4_1, mmproj: GgmlType::Bf16 });
        assert!(GgufTypes::parse("q5_0", "f16").unwrap_err().to_string().contains("q4_0"));
        assert!(GgufTypes::parse("q8_0", "q4_0").unwrap_err().to_string().contains("f16"));
    }

    /// The folder that is written can be loaded, with the configuration and tokens of the original.
    #[test]
    fn exported_folder_is_a_source() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("tiny");
        for types in [GgufTypes::parse("q8_0", "f16").unwrap(), GgufTypes::parse("q4_0", "q8_0").unwrap()] {
            export_gguf(Source::random(Preset::Tiny), &[], types, &folder, &mut |_| {}).unwrap();
            assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
        }
        let checkpoint = Source::directory(&folder).open(&Default::default(), &mut |_| {}).unwrap();
        assert!(matches!(checkpoint, Checkpoint::Gguf { .. }) && !checkpoint.is_text_only());
        let random = Checkpoint::Random(Preset::Tiny);
        let (config, expected) = (checkpoint.config().unwrap(), random.config().unwrap());
        assert_eq!((&config.text.rope, &config.vision), (&expected.text.rope, &expected.vision));
        // Of GGUF files, more tokens end an answer, as in llama.cpp.
        assert!(config.generation.eos_token_ids.starts_with(&expected.generation.eos_token_ids));
        let ids = |checkpoint: &Checkpoint| {
            let processor = checkpoint.processor(&Options::default()).unwrap();
            let encoding = processor.tokenizer().encode("<|im_start|>User: 42 Grüße<image>", false).unwrap();
            (encoding.get_ids().to_vec(), processor.config().image.clone(), processor.config().image_seq_len)
        };
        assert_eq!(ids(&checkpoint), ids(&random));
        assert_eq!(checkpoint.weights().unwrap().unwrap().quantized(), Some(smolvlm_kernels::PackedFormat::Q4));
    }

    #[test]
    fn files_of_others_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let types = GgufTypes::parse("q8_0", "f16").unwrap();
        let export = || export_gguf(Source::random(Preset::Tiny), &[], types, folder.path(), &mut |_| {});
        for name in ["mmproj-mine.gguf", "model-other.gguf", "mmproj-Q4_0.gguf", "model-F16.gguf", "vocab.json"] {
            fs::write(at(name), name).unwrap();
        }
        fs::write(at("config.json"), r#"{"port": 80}"#).unwrap();
        let error = export().unwrap_err().to_string();
        assert!(error.contains("not a model configuration") && at("vocab.json").exists(), "{error}");
        fs::remove_file(at("config.json")).unwrap();
        export().unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let own = ["mmproj-F16.gguf", "model-Q8_0.gguf"];
        assert_eq!(names, [own[0], "mmproj-Q4_0.gguf", "mmproj-mine.gguf", own[1], "model-other.gguf"]);
    }

    #[cfg(unix)]
    #[test]
    fn source_behind_links_is_not_replaced() {
        let root = tempfile::tempdir().unwrap();
        let (folder, links) = (root.path().join("files"), root.path().join("links"));
        let types = GgufTypes::parse("q8_0", "f16").unwrap();
        export_gguf(Source::random(Preset::Tiny), &[], types, &folder, &mut |_| {}).unwrap();
        fs::create_dir(&links).unwrap();
        for (link, file) in [("t.gguf", "model-Q8_0.gguf"), ("m.gguf", "mmproj-F16.gguf")] {
            std::os::unix::fs::symlink(folder.join(file), links.join(link)).unwrap();
        }
        let source = Source::gguf(links.join("t.gguf"), Some(links.join("m.gguf")));
        let error = export_gguf(source, &[], types, &folder, &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("contains the source checkpoint"), "{error}");
    }
}
