//! Models in GGUF files: their place in folders, and their processor.

use crate::Error;
use smolvlm_checkpoint::{Error as CheckpointError, GGUF_MAGIC, GgufKind, GgufModel, GgufTokenKind, GgufVocabulary};
use smolvlm_processor::{ByteLevelVocabulary, Processor, ProcessorLimits, SpecialTokens, TokenRole};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The text model and the mmproj file in a folder; none if it has no GGUF files.
///
/// # Errors
///
/// [`Error::AmbiguousGguf`] for several of a kind or no text model, and the errors of [`GgufKind::of`].
pub(crate) fn in_folder(folder: &Path) -> Result<Option<(PathBuf, Option<PathBuf>)>, Error> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| has_gguf_name(path) && path.is_file()).collect();
    if files.is_empty() {
        return Ok(None);
    }
    files.sort();
    let (mut texts, mut mmprojs) = (Vec::new(), Vec::new());
    for path in files {
        match GgufKind::of(&path)? {
            GgufKind::Text => texts.push(path),
            GgufKind::Mmproj => mmprojs.push(path),
        }
    }
    match (texts.as_slice(), mmprojs.as_slice()) {
        ([text], []) => Ok(Some((text.clone(), None))),
        ([text], [mmproj]) => Ok(Some((text.clone(), Some(mmproj.clone())))),
        _ => {
            let name =
                |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().escape_debug().to_string();
            let found = texts.iter().chain(&mmprojs).map(name).collect::<Vec<_>>().join(", ");
            Err(Error::AmbiguousGguf { folder: folder.to_owned(), found })
        }
    }
}

/// Whether a path is that of a GGUF file, by its name or, since the files of Ollama have no extension, its first bytes.
pub(crate) fn is_gguf(path: &Path) -> bool {
    path.is_file() && (has_gguf_name(path) || has_magic(path))
}

/// Whether a path has the extension of GGUF files.
pub(crate) fn has_gguf_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

fn has_magic(path: &Path) -> bool {
    let mut start = [0; GGUF_MAGIC.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == GGUF_MAGIC
}

/// The folders that hold the files.
pub(crate) fn folders<'a>(text: &'a Path, mmproj: Option<&'a Path>) -> Vec<&'a Path> {
    let folder = |path: &'a Path| {
        let parent = path.parent()?;
        Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
    };
    let mut folders: Vec<&Path> = std::iter::once(text).chain(mmproj).filter_map(folder).collect();
    folders.dedup();
    folders
}

/// The processor of a model: text only without an mmproj file.
pub(crate) fn processor(text: &Path, mmproj: Option<&Path>) -> Result<Processor, Error> {
    let model = GgufModel::open(text, mmproj)?;
    let (config, vocabulary) = (model.processor_config()?, model.vocabulary()?);
    let invalid =
        |error: smolvlm_processor::Error| CheckpointError::Gguf { path: text.to_owned(), message: error.to_string() };
    let tokenizer = byte_level(&vocabulary).tokenizer().map_err(invalid)?;
    let released = SpecialTokens::released();
    let named = [
        ("bos_token", vocabulary.bos_token_id),
        ("eos_token", vocabulary.eos_token_id),
        ("pad_token", vocabulary.pad_token_id),
        ("unk_token", vocabulary.unk_token_id),
    ]
    .map(|(name, id)| (name, id.and_then(|id| tokenizer.id_to_token(id))));
    // The file's own tokens replace the released ones.
    let own = named.into_iter().filter_map(|(name, token)| Some((name.to_owned(), token?)));
    let others = released.iter().map(|(name, token)| (name.to_owned(), token.to_owned()));
    let special: SpecialTokens = others.chain(own).collect();
    let special = special.known_to(&tokenizer);
    let template = config.chat_template.clone();
    let limits = ProcessorLimits::default();
    let build = if model.is_text_only() { Processor::text_only } else { Processor::from_parts };
    Ok(build(config, tokenizer, special, template.as_deref(), limits).map_err(invalid)?)
}

fn byte_level(vocabulary: &GgufVocabulary) -> ByteLevelVocabulary {
    let role = |kind: &GgufTokenKind| match kind {
        GgufTokenKind::Normal => TokenRole::Normal,
        GgufTokenKind::Control => TokenRole::Special,
        GgufTokenKind::UserDefined => TokenRole::Added,
    };
    ByteLevelVocabulary {
        tokens: vocabulary.tokens.iter().map(|(token, kind)| (token.clone(), role(kind))).collect(),
        merges: vocabulary.merges.clone(),
    }
}

/// The vocabulary of a processor, for writing.
#[cfg(feature = "flex")]
pub(crate) fn vocabulary(processor: &Processor) -> Result<GgufVocabulary, Error> {
    let kind = |role: TokenRole| match role {
        TokenRole::Special => GgufTokenKind::Control,
        TokenRole::Added => GgufTokenKind::UserDefined,
        _ => GgufTokenKind::Normal,
    };
    let own = ByteLevelVocabulary::of(processor.tokenizer())?;
    let id =
        |name: &str| processor.special_tokens().get(name).and_then(|token| processor.tokenizer().token_to_id(token));
    Ok(GgufVocabulary {
        tokens: own.tokens.into_iter().map(|(token, role)| (token, kind(role))).collect(),
        merges: own.merges,
        bos_token_id: id("bos_token"),
        eos_token_id: id("eos_token"),
        eot_token_id: None,
        pad_token_id: id("pad_token"),
        unk_token_id: id("unk_token"),
    })
}

#[cfg(test)]
mod tests {
    use super::{folders, in_folder, processor};
    use crate::{Checkpoint, Options, Source};
    use smolvlm_config::Preset;
    use std::fs;
    use std::path::Path;

    const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../smolvlm-checkpoint/tests/data/gguf");

    #[test]
    fn folder_has_one_text_model_and_at_most_one_mmproj_file() {
        let folder = tempfile::tempdir().unwrap();
        let copy = |from: &str, to: &str| fs::copy(Path::new(FILES).join(from), folder.path().join(to)).unwrap();
        assert!(in_folder(folder.path()).unwrap().is_none());
        copy("mmproj.gguf", "a.gguf");
        assert!(in_folder(folder.path()).unwrap_err().to_string().contains("a.gguf"));
        copy("text.gguf", "b.GGUF");
        let (text, mmproj) = in_folder(folder.path()).unwrap().unwrap();
        assert!(text.ends_with("b.GGUF") && mmproj.unwrap().ends_with("a.gguf"));
        copy("text.gguf", "c.gguf");
        let error = in_folder(folder.path()).unwrap_err().to_string();
        assert!(error.contains("b.GGUF, c.gguf, a.gguf"), "{error}");
    }

    #[test]
    fn parts_of_a_model_get_the_advice_to_merge() {
        // Version 3, no tensors, and one key: split.count, of type u16, is 2.
        let mut part = b"GGUF".to_vec();
        part.extend(3_u32.to_le_bytes());
        part.extend([0, 1, 11].map(u64::to_le_bytes).concat());
        part.extend(b"split.count");
        part.extend(2_u32.to_le_bytes());
        part.extend(2_u16.to_le_bytes());
        let folder = tempfile::tempdir().unwrap();
        for name in ["model-00001-of-00002.gguf", "model-00002-of-00002.gguf"] {
            fs::write(folder.path().join(name), &part).unwrap();
        }
        let error = in_folder(folder.path()).unwrap_err().to_string();
        assert!(error.contains("model-00001-of-00002.gguf") && error.contains("--merge"), "{error}");
    }

    #[test]
    fn folder_with_safetensors_is_not_gguf() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Source::directory(folder.path()).open(&Default::default(), &mut |_| {}).unwrap();
        fs::copy(Path::new(FILES).join("text.gguf"), folder.path().join("text.gguf")).unwrap();
        fs::write(folder.path().join("config.json"), "{}").unwrap();
        assert!(open().is_gguf());
        fs::write(folder.path().join("model.safetensors"), "").unwrap();
        assert_eq!(open(), Checkpoint::Directory(folder.path().to_owned()));
    }

    #[test]
    fn errors_of_the_tokenizer_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("twice.gguf");
        let mut bytes = fs::read(Path::new(FILES).join("text.gguf")).unwrap();
        let at = bytes.windows(7).position(|token| token == b"[PAD22]").unwrap();
        bytes[at..at + 7].copy_from_slice(b"[PAD21]");
        fs::write(&path, bytes).unwrap();
        let error = processor(&path, None).unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()) && error.contains("occurs twice"), "{error}");
    }

    #[test]
    fn processor_of_an_adapter_keeps_a_text_model_text_only() {
        let folder = tempfile::tempdir().unwrap();
        let base = Path::new(FILES).join("text.gguf");
        let config = serde_json::json!({
            "peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": base.to_str().unwrap(),
        });
        fs::write(folder.path().join("adapter_config.json"), config.to_string()).unwrap();
        fs::write(folder.path().join("processor_config.json"), Preset::Tiny.processor().to_json()).unwrap();
        crate::open_checkpoint::random_processor(Preset::Tiny).unwrap().save_tokenizer(folder.path()).unwrap();
        let checkpoint = Source::directory(folder.path()).open(&Default::default(), &mut |_| {}).unwrap();
        assert!(matches!(&checkpoint, Checkpoint::Adapted { processor: Some(_), .. }));
        assert!(checkpoint.processor(&Options::default()).unwrap().is_text_only());
    }

    #[test]
    fn folders_are_those_of_the_files() {
        assert_eq!(folders(Path::new("a/x.gguf"), Some(Path::new("a/y.gguf"))), [Path::new("a")]);
        assert_eq!(folders(Path::new("x.gguf"), None), [Path::new(".")]);
    }
}
