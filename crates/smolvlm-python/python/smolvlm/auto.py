"""Classes with the names of transformers' Auto classes, for code that uses them."""

from __future__ import annotations

from .image_processing import SmolVLMImageProcessor
from .processing import SmolVLMProcessor
from .tokenization import SmolVLMTokenizer
from .video_processing import SmolVLMVideoProcessor


class AutoProcessor:
    """Loads a `SmolVLMProcessor`."""

    from_pretrained = SmolVLMProcessor.from_pretrained


class AutoImageProcessor:
    """Loads a `SmolVLMImageProcessor`."""

    from_pretrained = SmolVLMImageProcessor.from_pretrained


class AutoVideoProcessor:
    """Loads a `SmolVLMVideoProcessor`."""

    from_pretrained = SmolVLMVideoProcessor.from_pretrained


class AutoTokenizer:
    """Loads a `SmolVLMTokenizer`."""

    from_pretrained = SmolVLMTokenizer.from_pretrained
