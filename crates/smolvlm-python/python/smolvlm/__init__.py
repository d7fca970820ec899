"""SmolVLM vision-language models: ask about images and videos, on CPUs and GPUs.

>>> import smolvlm
>>> model = smolvlm.SmolVLM.from_pretrained("demo")
>>> model.generate("Hello!", max_new_tokens=4).usage.prompt_tokens
13
"""

from ._native import (
    Cancel,
    Cancelled,
    ConfigError,
    DeviceError,
    Error,
    FileError,
    InputError,
    InternalError,
    LimitError,
    WeightsError,
    __version__,
)
from .auto import AutoImageProcessor, AutoProcessor, AutoTokenizer, AutoVideoProcessor
from .chat import Chat
from .feature import BatchFeature
from .generation import Decision, Generation, OptionScore, Timings, TokenLogprobs, Usage, choice, number, yes_no
from .image_processing import SmolVLMImageProcessor
from .model import SmolVLM
from .modeling import AutoModelForImageTextToText, SmolVLMForConditionalGeneration
from .pipelines import pipeline
from .processing import SmolVLMProcessor
from .streaming import Stream
from .tokenization import SmolVLMTokenizer
from .video_processing import SmolVLMVideoProcessor, VideoMetadata

__all__ = [
    "AutoImageProcessor",
    "AutoModelForImageTextToText",
    "AutoProcessor",
    "AutoTokenizer",
    "AutoVideoProcessor",
    "BatchFeature",
    "Cancel",
    "Cancelled",
    "Chat",
    "ConfigError",
    "Decision",
    "DeviceError",
    "Error",
    "FileError",
    "Generation",
    "InputError",
    "InternalError",
    "LimitError",
    "OptionScore",
    "SmolVLM",
    "SmolVLMForConditionalGeneration",
    "SmolVLMImageProcessor",
    "SmolVLMProcessor",
    "SmolVLMTokenizer",
    "SmolVLMVideoProcessor",
    "Stream",
    "Timings",
    "TokenLogprobs",
    "Usage",
    "VideoMetadata",
    "WeightsError",
    "__version__",
    "choice",
    "number",
    "pipeline",
    "yes_no",
]
