"""A stage of Ray Data pipelines that answers questions about images and videos."""

from __future__ import annotations

import json
import string
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .model import DEFAULT_MODEL, SmolVLM

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Captioner"]

Row = dict[str, Any]
Message = dict[str, Any]


class Captioner:
    """Answers one conversation per row; a callable class for `Dataset.map_batches`, with one model per actor.

    ```python
    captions = ray.data.read_binary_files("photos", include_paths=True).map_batches(
        Captioner,
        fn_constructor_kwargs={"image": "bytes", "prompt": "Describe this image.", "max_new_tokens": 64},
        compute=ray.data.ActorPoolStrategy(size=4),
        num_cpus=4,
        batch_size=32,
    )
    ```

    Adds the columns `text`, `finish_reason`, `prompt_tokens`, `completion_tokens` and `error`. A row that cannot be
    answered, such as one with a damaged image, has an `error`, and null in the other four.

    Args:
        model: Folder, hub name or bundled model, as for `SmolVLM.from_pretrained`.
        prompt: Question about each row. `{name}` stands for the value of the column `name`.
        image: Column of images. A value is a path, a URL, an encoded file, pixels
            `[height, width, 3]`, `{"bytes": ..., "path": ...}` as in data sets of Hugging Face, or a list of these.
        video: Column of videos. A value is a path, a URL, an encoded file, `{"bytes": ..., "path": ...}`, frames
            `[frames, height, width, 3]`, or a list of images.
        messages: Column of conversations, as lists of messages or their JSON; or a function that makes such a list
            from a row. Replaces `prompt`, `image` and `video`.
        threads: Threads of the model. By default as many as Ray reserves CPUs for the actor (`num_cpus`), at least 1;
            outside an actor, the default of `SmolVLM.from_pretrained`.
        dtype, device, options: As for `SmolVLM.from_pretrained`; `options` are its other arguments.
        drop_columns: Columns to leave out of the output, such as those of large images.
        output_prefix: Prefix of the names of the added columns.
        params: Parameters of `SmolVLM.generate`, such as `max_new_tokens`.

    Raises:
        ValueError: If no column is used, a batch lacks one, or has one with the name of an added column.
        TypeError: If batches have another format than `"numpy"`, the default of Ray.

    Unknown parameters are errors of the whole job, not of rows.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        prompt: str = "Describe this image.",
        image: str | None = None,
        video: str | None = None,
        messages: str | Callable[[Row], Sequence[Message]] | None = None,
        threads: int | None = None,
        dtype: str | None = None,
        device: str | None = None,
        options: Mapping[str, Any] | None = None,
        drop_columns: Sequence[str] = (),
        output_prefix: str = "",
        **params: Any,
    ) -> None:
        self.prompt, self.image, self.video, self.messages = prompt, image, video, messages
        self.drop_columns, self.output_prefix, self.params = frozenset(drop_columns), output_prefix, params
        if messages is None and not list(self._inputs()):
            raise ValueError("set image, video or messages to the name of a column, or use a column in the prompt")
        given = {"threads": threads or _reserved_cpus(), "dtype": dtype, "device": device, **(options or {})}
        given = {name: value for name, value in given.items() if value is not None}
        # Texts of columns come from data: they are no markup, except in conversations.
        defaults = {"progress": False, "sanitize_control_tokens": messages is None}
        self.model = SmolVLM.from_pretrained(model, **defaults | given)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray | pyarrow.Array]:
        """Answers the rows of a batch, given and returned as columns."""
        self._check(batch)
        conversations = [self._conversation(row) for row in _rows(batch)]
        valid = [conversation for conversation in conversations if not isinstance(conversation, Exception)]
        answers = iter(self.model.batch(valid, return_exceptions=True, **self.params) if valid else [])
        results = [entry if isinstance(entry, Exception) else next(answers) for entry in conversations]
        kept = {name: values for name, values in batch.items() if name not in self.drop_columns}
        return kept | {self.output_prefix + name: values for name, values in _columns(results).items()}

    def _check(self, batch: dict[str, np.ndarray]) -> None:
        if not isinstance(batch, Mapping):
            raise TypeError(f'a batch is a {type(batch).__name__}; use `map_batches` with batch_format="numpy"')
        names = ", ".join(batch)
        for name in self._inputs():
            if name not in batch:
                raise ValueError(f"there is no column {name!r}; the columns are {names}")
        for name in _columns([]):
            if self.output_prefix + name in batch.keys() - self.drop_columns:
                raise ValueError(f"there is already a column {self.output_prefix + name!r}; set another output_prefix")

    def _inputs(self) -> Iterator[str]:
        """The names of the columns that every batch must have."""
        if isinstance(self.messages, str):
            yield self.messages
        if self.messages is None:
            yield from (name for name in (self.image, self.video) if name is not None)
            # A field may go on with an attribute or index, as in `{labels[0]}`.
            fields = (field for _, field, _, _ in string.Formatter().parse(self.prompt) if field)
            yield from (field.split(".")[0].split("[")[0] for field in fields)

    def _conversation(self, row: Row) -> Sequence[Message] | Exception:
        try:
            if isinstance(self.messages, str):
                messages = row[self.messages]
                return json.loads(messages) if isinstance(messages, str) else _plain(messages)
            if self.messages is not None:
                return self.messages(row)
            content = [
                {"type": kind, kind: medium}
                for kind, column in (("image", self.image), ("video", self.video))
                if column is not None
                for medium in _media(kind, row[column])
            ]
            return [{"role": "user", "content": [*content, {"type": "text", "text": self.prompt.format_map(row)}]}]
        # Any error of a row is a value of its column.
        except Exception as error:  # noqa: BLE001
            return error


def _reserved_cpus() -> int | None:
    """The number of CPUs that Ray reserves for this actor, at least 1; `None` outside actors."""
    # An actor has imported Ray; elsewhere, importing it would take a second for nothing.
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    context = ray.get_runtime_context()
    return max(1, int(context.get_assigned_resources().get("CPU", 1))) if context.get_actor_id() else None


def _rows(batch: dict[str, np.ndarray]) -> list[Row]:
    return [dict(zip(batch, values)) for values in zip(*batch.values())]


def _media(kind: str, value: Any) -> list[Any]:
    """The images or videos of a value."""
    value = _plain(value)
    if isinstance(value, np.ndarray) and value.ndim == 4:
        value = list(value)
    if value is None or (isinstance(value, list) and not value):
        raise ValueError(f"the row has no {kind}")
    # A list is several images, but the frames of one video.
    return value if kind == "image" and isinstance(value, list) else [value]


def _plain(value: Any) -> Any:
    """Undoes what Arrow makes of nested values: arrays of objects are lists, and absent fields are nulls."""
    if isinstance(value, Mapping):
        if value.keys() == {"bytes", "path"}:
            return value["path"] if value["bytes"] is None else value["bytes"]
        return {name: _plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.dtype == object):
        return [_plain(item) for item in value]
    return value


def _columns(results: Sequence[Any]) -> dict[str, pyarrow.Array]:
    """The added columns, from answers and errors. Their types do not depend on which rows have errors."""
    import pyarrow

    def column(kind: pyarrow.DataType, value: Callable[[Any], Any]) -> pyarrow.Array:
        return pyarrow.array([None if isinstance(result, Exception) else value(result) for result in results], kind)

    errors = [f"{type(result).__name__}: {result}" if isinstance(result, Exception) else None for result in results]
    return {
        "text": column(pyarrow.string(), lambda answer: answer.text),
        "finish_reason": column(pyarrow.string(), lambda answer: answer.finish_reason),
        "prompt_tokens": column(pyarrow.int64(), lambda answer: answer.usage.prompt_tokens),
        "completion_tokens": column(pyarrow.int64(), lambda answer: answer.usage.completion_tokens),
        "error": pyarrow.array(errors, pyarrow.string()),
    }
