//! The settings of a run that its answers depend on.

use super::conversation::Recipe;
use super::input::{Input, hash_files};
use crate::args::{Batch, Format};
use crate::failure::Failure;
use serde_json::{Value, json};
use smolvlm::{SamplingParams, SmolVlm};
use std::path::PathBuf;

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
            "hash": hash_files(model.files().iter().map(PathBuf::as_path))?,
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
