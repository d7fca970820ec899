"""Progress of downloads and batches, with tqdm if it is installed."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any


def bar(total: int | None, unit: str, **options: Any) -> Any | None:
    """A bar of tqdm; `None` if it is not installed."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(total=total, unit=unit, **options)


class Downloads:
    """A bar for the file that is being downloaded, if standard error is a terminal or a notebook shows it."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._file = ""

    def __call__(self, file: str, done: int, total: int) -> None:
        """Reports bytes of a file; a warning has no bytes at all."""
        if total == 0:
            warnings.warn(file, stacklevel=2)
            return
        if file != self._file:
            self.close()
            self._file = file
            self._bar = bar(total, "B", unit_scale=True, desc=file, disable=None)
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def reporter(progress: bool | Callable[[str, int, int], None]) -> Callable[[str, int, int], None] | None:
    """The function that gets the progress of downloads: given, the bar, or none."""
    if callable(progress):
        return progress
    return Downloads() if progress and sys.stderr is not None else None
