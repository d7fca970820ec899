"""Goldens of single steps: one module per side of the pipeline."""

import processing_chat
import processing_decoders
import processing_generation
import processing_image
import processing_model
import processing_stops
import processing_text
import processing_video


def write_processing(folder, golden_root):
    """Needs the media and the gqa-256m checkpoint below `golden_root`."""
    processing_image.write(folder, golden_root)
    processing_decoders.write(folder, golden_root)
    processing_text.write(folder, golden_root)
    processing_chat.write(folder, golden_root)
    processing_stops.write(folder, golden_root)
    processing_model.write(folder, golden_root)
    processing_video.write(folder, golden_root)
    processing_generation.write(folder)
