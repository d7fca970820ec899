//! The settings of a run that its answers depend on.

use super::conversation::Recipe;
use super::input::{Input, hash_files};
use crate::args::{Batch, Format, Model};
use crate::failure::Failure;
use serde_json::{Value, json};
use smolvlm::{SamplingParams, SmolVlm, is_checkpoint_file};
use std::path::{Path, PathBuf};

/// The settings, as the manifest has them.
pub fn settings(
    args: &Batch,
    input: &Input,
    recipe: &Recipe,
    format: Format,
    model: &SmolVlm,
    params: &SamplingParams,
) -> Result<Value, Failure> {
    let columns = match recipe {
        Recipe::Messages { column } => json!({"messages": column}),
        Recipe::Columns { images, videos, .. } => json!({"images": images, "videos": videos, "prompt": args.prompt}),
    };
    let options = &args.model;
    let path = std::path::absolute(&args.input).unwrap_or_else(|_| args.input.clone());
    let adapters = options.adapter.iter().map(|adapter| json!([adapter.folder.to_string_lossy(), adapter.weight]));
    Ok(json!({
        "input": path.to_string_lossy(),
        "input_hash": input.hash(),
        "columns": columns,
        "id_column": args.id_column,
        "model": {
            "name": options.random.map_or_else(|| options.model.clone(), |preset| format!("random {preset}")),
            "mmproj": options.mmproj.as_ref().map(|path| path.to_string_lossy()),
            "adapters": adapters.collect::<Vec<_>>(),
            "hash": model_hash(options, model)?,
            "dtype": model.format().to_string(),
            "image_splitting": !options.no_image_splitting,
            "resize": options.resize.to_string(),
            "video_fps": options.video_fps,
            "video_frames": options.video_frames,
            "video_prompt_style": format!("{:?}", options.video_prompt_style),
            "max_image_pixels": options.max_image_pixels,
            "max_image_side": options.max_image_side,
            "truncate": options.truncate,
            "sanitize_control_tokens": options.sanitize_control_tokens,
        },
        "sampling": params,
        "shards": args.shard.count,
        "format": format.as_str(),
        "rows_per_part": args.rows_per_part,
    }))
}

/// A hash of the files of a model: GGUF files that the arguments name, and the checkpoint files in its folders. Other
/// GGUF files next to a named one do not matter.
fn model_hash(options: &Model, model: &SmolVlm) -> Result<String, Failure> {
    let is_gguf = |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    let named = Some(Path::new(&options.model)).filter(|path| is_gguf(path) && path.is_file());
    let is_wanted = |path: &Path| is_checkpoint_file(path) || (is_gguf(path) && named.is_none());
    let mut paths: Vec<PathBuf> = named.into_iter().chain(options.mmproj.as_deref()).map(Path::to_owned).collect();
    for folder in model.folders() {
        let failed = |source| Failure::Read { path: folder.clone(), source };
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if is_wanted(&path) && path.is_file() {
                paths.push(path);
            }
        }
    }
    paths.sort();
    hash_files(paths.iter().map(PathBuf::as_path))
}
