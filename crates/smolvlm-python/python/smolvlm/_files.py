"""Files of a checkpoint's processors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from . import _native

# Arguments of `from_pretrained` that only make sense with a download, and the environment variable to set instead.
_VARIABLES = {
    "cache_dir": "HF_HUB_CACHE",
    "token": "HF_TOKEN",
    "local_files_only": "HF_HUB_OFFLINE",
    "proxies": "HTTPS_PROXY",
}
# Arguments that transformers needs and this package does not.
_IGNORED = ("force_download", "trust_remote_code", "use_fast", "backend")


class Checkpoint:
    """The processor files of a checkpoint: a folder, a repository of the Hub, `demo` or `random:PRESET`.

    `native` is the processor of a checkpoint that is no local folder. `folder` is `None` for a checkpoint without
    files, whose configuration `native` has. A path of a file stands for its folder; `file` is its name.
    """

    def __init__(self, source: str | os.PathLike[str], kwargs: dict[str, Any]) -> None:
        """Takes the arguments about files out of `kwargs`. Raises `OSError` and `ValueError`."""
        revision, subfolder = kwargs.pop("revision", None), kwargs.pop("subfolder", "")
        options = {name: kwargs.pop(name, None) for name in _VARIABLES}
        for name in _IGNORED:
            kwargs.pop(name, None)
        self.name = os.fspath(source)
        self.file: str | None = None
        self.native: _native.Processor | None = None
        self.folder: Path | None = Path(self.name)
        if self.folder.is_file():
            self.folder, self.file = self.folder.parent, self.folder.name
        elif not self.folder.is_dir():
            for name, value in options.items():
                if value:
                    raise ValueError(f"{name} is not an argument here; set the environment variable {_VARIABLES[name]}")
            at_revision = f"{self.name}@{revision}" if revision not in (None, "main") else self.name
            self.native = _native.Processor.load(at_revision, "{}")
            self.folder = None if self.native.folder is None else Path(self.native.folder)
        if self.folder is not None:
            self.folder /= subfolder or "."

    def text(self, name: str) -> str | None:
        """The text of a file; `None` if it does not exist."""
        if self.folder is None or not (self.folder / name).is_file():
            return None
        return (self.folder / name).read_text(encoding="utf-8-sig")

    def json(self, name: str) -> dict[str, Any] | None:
        """The object in a JSON file; `None` if it does not exist. Raises `ValueError` for anything else."""
        text = self.text(name)
        if text is None:
            return None
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{self.folder}/{name} is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise ValueError(f"{self.folder}/{name} holds {type(value).__name__}, not a JSON object")
        return value

    def section(self, section: str, *names: str) -> dict[str, Any] | None:
        """A section of `processor_config.json`, otherwise the first of the named files."""
        if self.file is not None:
            return self.json(self.file)
        found = (self.json("processor_config.json") or {}).get(section)
        for name in names:
            found = self.json(name) if found is None else found
        return found

    def missing(self, what: str, *names: str) -> OSError:
        """The error for a checkpoint without one of these files."""
        return OSError(f"{self.name} has no {what}: it lacks {' and '.join(names)}")


def write_json(path: str | os.PathLike[str], value: dict[str, Any]) -> None:
    """Writes a JSON file."""
    Path(path).write_text(dumps(value), encoding="utf-8")


def dumps(value: dict[str, Any]) -> str:
    """A JSON text as transformers writes it."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def new_folder(path: str | os.PathLike[str], push_to_hub: bool) -> Path:
    """Creates the folder of `save_pretrained`. Raises `ValueError` for a request to upload it."""
    if push_to_hub:
        raise ValueError("push_to_hub is not supported; upload the saved folder, such as with `hf upload`")
    folder = Path(path)
    if folder.is_file():
        raise AssertionError(f"{folder} is a file, not a folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
