//! vLLM's `mm_processor_kwargs`: arguments of the reference's image and video processors.

use crate::api_error::ApiError;
use crate::request::fields::Fields;
use crate::request::number;
use smolvlm::processor::MediaOptions;

/// The arguments that can be set.
const LEGAL: &str = "do_image_splitting, size.longest_edge, fps and num_frames";

/// Takes the options of all media of a request; those of single messages (`detail`) come before them.
pub(crate) fn parse(fields: &mut Fields<'_>) -> Result<MediaOptions, ApiError> {
    let mut given = fields.object("mm_processor_kwargs", "mm_processor_kwargs.")?;
    let mut size = given.object("size", "mm_processor_kwargs.size.")?;
    let mut options = MediaOptions::default();
    options.image_splitting = given.flag("do_image_splitting")?;
    options.longest_edge = size.integer(&number::LONGEST_EDGE)?.map(|edge| edge as u32);
    options.video_fps = given.float(&number::FPS)?;
    options.video_frames = given.integer(&number::NUM_FRAMES)?.map(|frames| frames as u32);
    for rest in [given, size] {
        // A misspelled argument would have no effect.
        if let Some(name) = rest.names().next() {
            return Err(rest.invalid(name, format!("cannot be set; arguments are {LEGAL}")));
        }
    }
    Ok(options)
}
