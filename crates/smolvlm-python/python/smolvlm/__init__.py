"""SmolVLM vision-language models."""

from .auto import AutoImageProcessor, AutoProcessor, AutoTokenizer, AutoVideoProcessor
from .feature import BatchFeature
from .image_processing import SmolVLMImageProcessor
from .processing import SmolVLMProcessor
from .tokenization import SmolVLMTokenizer
from .video_processing import SmolVLMVideoProcessor, VideoMetadata

__all__ = [
    "AutoImageProcessor",
    "AutoProcessor",
    "AutoTokenizer",
    "AutoVideoProcessor",
    "BatchFeature",
    "SmolVLMImageProcessor",
    "SmolVLMProcessor",
    "SmolVLMTokenizer",
    "SmolVLMVideoProcessor",
    "VideoMetadata",
]
