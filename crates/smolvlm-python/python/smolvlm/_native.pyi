"""The compiled part of the package. Arguments are checked here only as far as Rust's types need it."""

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

# A path or URL, an encoded image file, or decoded pixels `[height, width, 3]`.
Image: TypeAlias = str | os.PathLike[str] | bytes | npt.NDArray[np.uint8]

@final
class Frames:
    """A video as a list of frames."""

    def __new__(cls, images: Sequence[Image], fps: float | None = None, duration: float | None = None) -> Frames: ...

# A path, URL or folder of frames, an encoded video file, or frames.
Video: TypeAlias = str | os.PathLike[str] | bytes | Frames

class Error(Exception):
    """Base class of this package's errors; each is also one of Python's own classes of errors."""

class InputError(Error, ValueError):
    """The request is wrong: its media, conversation or parameters."""

class LimitError(Error, ValueError):
    """The request is larger than a limit: too many tokens, tiles or bytes."""

class ConfigError(Error, ValueError):
    """The checkpoint's configuration or an option is wrong or not supported."""

class WeightsError(Error, ValueError):
    """The checkpoint's weights are missing, damaged or do not fit its configuration."""

class DeviceError(Error, RuntimeError):
    """The device is not available, failed, or has too little memory."""

class FileError(Error, OSError):
    """A file or address cannot be read or written."""

class Cancelled(Error):
    """The work was cancelled."""

class InternalError(Error, RuntimeError):
    """A bug of this package: please report it."""

@final
class Cancel:
    """A token that stops work from another thread."""

    def __new__(cls) -> Cancel: ...
    def cancel(self) -> None: ...
    def is_cancelled(self) -> bool: ...

@final
class Conversation:
    """A parsed conversation.

    `json` is a list of messages. `media` replaces the image or video of a content item, given by the indices of its
    message and of the item, by one that JSON cannot represent. `options` is a JSON object of media options:
    `image_splitting`, `longest_edge`, `video_fps`, `video_frames`.
    """

    def __new__(
        cls, json: str, media: Sequence[tuple[int, int, Image | Video]] = (), options: str | None = None
    ) -> Conversation: ...

# A conversation, a text or token ids to continue.
Prompt: TypeAlias = Conversation | str | Sequence[int]

@final
class Model:
    @staticmethod
    def load(
        source: str,
        options: str,
        progress: Callable[[str, int, int], None] | None = None,
        cancel: Cancel | None = None,
    ) -> Model:
        """`source` is a folder, `owner/name[@revision]`, `demo` or `random:PRESET`; `options` is a JSON object.

        `progress` gets a file's name, the bytes done and in total; for a warning its text, 0 and 0.
        """

    def generate(
        self,
        prompts: Sequence[Prompt],
        params: str,
        continue_final: bool = False,
        sanitize: bool = False,
        return_exceptions: bool = False,
        cancel: Cancel | None = None,
    ) -> list[Any]:
        """Answers prompts together: for each, the list of its `num_return_sequences` answers, or its exception."""

    def generate_from_inputs(
        self,
        input_ids: Sequence[Sequence[int]],
        pixels: Sequence[npt.NDArray[np.float32] | None],
        params: str,
        cancel: Cancel | None = None,
    ) -> list[dict[str, Any]]:
        """As `generate`, for tokens without padding and tiles `[tiles, 3, edge, edge]` of each prompt."""

    def stream(self, prompt: Prompt, params: str, continue_final: bool = False, sanitize: bool = False) -> Stream: ...
    def decide(
        self, conversation: Conversation, questions: str, calibration: str | None = None, cancel: Cancel | None = None
    ) -> dict[str, Any]: ...
    def hidden_states(
        self, conversations: Sequence[Conversation], cancel: Cancel | None = None
    ) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
        """Token ids `[tokens]` and states `[tokens, hidden]` of each conversation."""

    def defaults(self) -> dict[str, Any]:
        """The checkpoint's sampling parameters."""

    def config(self) -> str:
        """The checkpoint's `config.json`."""

    def video_config(self) -> str:
        """The checkpoint's `video_preprocessor_config.json`."""

    def processor(self) -> Processor: ...
    @property
    def device(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    def stats(self) -> dict[str, Any]: ...

@final
class Stream:
    """Events: `("text", text)`, `("token", id, logprobs)`, `("finished", answer)`."""

    def next(self) -> tuple[Any, ...] | None:
        """Waits for the next event; `None` after the last one."""

    def poll(self, ready: Callable[[], object]) -> tuple[Any, ...] | None | bool:
        """The next event, or `None` after the last one. If there is none yet, `False`, and `ready` is called later."""

    def cancel(self) -> None: ...

def estimate(source: str, options: str, conversation: Conversation, new_tokens: int) -> dict[str, Any]: ...

@final
class Tokenizer:
    @staticmethod
    def from_json(json: str, special_tokens: dict[str, str]) -> Tokenizer: ...
    def encode(self, text: str, add_special_tokens: bool) -> list[int]: ...
    def decode(self, ids: Sequence[int], skip_special_tokens: bool) -> str: ...
    def token_to_id(self, token: str) -> int | None: ...
    def id_to_token(self, id: int) -> str | None: ...
    def special_ids(self) -> list[int]:
        """Ids of the tokens that `skip_special_tokens` skips."""

    def special_tokens(self) -> dict[str, str]:
        """Special tokens by name, such as `eos_token`."""

    def __len__(self) -> int: ...
    def to_json(self) -> str: ...

@final
class ImageProcessor:
    """`config` is the JSON of a `preprocessor_config.json`."""

    def __new__(cls, config: str) -> ImageProcessor: ...
    def config(self) -> str: ...
    def process(self, images: Sequence[Image]) -> list[tuple[npt.NDArray[np.float32], int, int]]:
        """Tiles `[tiles, 3, edge, edge]` of each image, and the rows and columns of its grid (0 and 0: not split)."""

@final
class VideoPlan:
    """The frames of a video that a prompt describes. `timestamps` are in seconds."""

    def __new__(
        cls,
        indices: Sequence[int],
        total_num_frames: int,
        fps: float | None = None,
        duration: float | None = None,
        height: int = 1,
        width: int = 1,
    ) -> VideoPlan: ...
    @property
    def indices(self) -> list[int]: ...
    @property
    def timestamps(self) -> list[float | None]: ...
    @property
    def total_num_frames(self) -> int: ...
    @property
    def fps(self) -> float | None: ...
    @property
    def duration(self) -> float | None: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def notes(self) -> list[str]: ...

@final
class VideoProcessor:
    """`config` is the JSON of a `video_preprocessor_config.json`."""

    def __new__(cls, config: str) -> VideoProcessor: ...
    def config(self) -> str: ...
    def process(self, video: Video, sample: bool = True) -> tuple[npt.NDArray[np.float32], VideoPlan]:
        """Frames `[frames, 3, edge, edge]`. Without `sample`, all frames of a list are used."""

    def sample(self, total_num_frames: int, fps: float, duration: float) -> list[int]:
        """Indices of the frames that would be sampled from a video."""

@final
class Processor:
    """Chat template, tokenizer and prompt expansion."""

    @staticmethod
    def load(source: str, options: str, progress: Callable[[str, int, int], None] | None = None) -> Processor:
        """Reads a checkpoint's processor; needs no weights. `source` as for `Model.load`."""

    @staticmethod
    def from_parts(
        config: str, tokenizer: Tokenizer, chat_template: str | None = None, reference_video_text: bool = False
    ) -> Processor:
        """`config` is the JSON of a `processor_config.json`.

        `reference_video_text`: whether prompts state the largest number of frames of a batch for each of its videos,
        and times by frame rate, as transformers does.
        """

    @property
    def folder(self) -> os.PathLike[str] | None:
        """The folder of its files, in the cache for a repository; `None` if it was not loaded from files."""

    def config(self) -> str: ...
    def image_config(self) -> str: ...
    def video_config(self) -> str: ...
    def tokenizer(self) -> Tokenizer: ...
    def chat_template(self) -> str | None: ...
    def render(
        self,
        conversation: Conversation,
        add_generation_prompt: bool = True,
        continue_final: bool = False,
        template: str | None = None,
        variables: str | None = None,
    ) -> str:
        """Renders the template; each image and video is a placeholder.

        `template` is another one than the processor's, also for conversations with videos. `variables` is a JSON object
        of further variables, such as `tools`.
        """

    def expand(self, texts: Sequence[str], media: Sequence[Sequence[tuple[int, int] | VideoPlan]]) -> list[str]:
        """Replaces the placeholders of a batch's prompts by the tokens of the media.

        Media are grids of images (rows and columns, 0 and 0: not split) and plans of videos.
        """

def run_command(args: Sequence[str]) -> int:
    """Runs the `smolvlm` command; returns its exit code."""

def presets() -> list[str]: ...

__version__: str
