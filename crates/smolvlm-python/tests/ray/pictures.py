"""Pictures with known answers."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

QUESTION = "What colour is the circle?"
COLORS = {"red": (220, 40, 40), "green": (40, 160, 60), "blue": (40, 70, 200), "yellow": (230, 200, 40)}
# Every so many pictures, one is damaged.
DAMAGED_EVERY = 20


def color(index: int) -> str | None:
    """The answer for a picture, `None` if it is damaged."""
    return None if index % DAMAGED_EVERY == 7 else list(COLORS)[index * 7 % 11 % len(COLORS)]


def pixels(index: int) -> np.ndarray:
    """A circle on a gray square, `[128, 128, 3]`."""
    y, x = np.mgrid[:128, :128]
    center, radius = 48 + index * 5 % 32, 22 + index % 9
    inside = (x - center) ** 2 + (y - 64) ** 2 < radius**2
    return np.where(inside[..., None], COLORS[color(index) or "red"], 190).astype(np.uint8)


def png(index: int) -> bytes:
    """The file of a picture; its second half is missing if it is damaged."""
    file = io.BytesIO()
    Image.fromarray(pixels(index)).save(file, "PNG")
    data = file.getvalue()
    return data if color(index) else data[: len(data) // 2]


def write_pictures(folder: Path, count: int) -> Path:
    """Writes files named after their numbers, and returns the folder."""
    for index in range(count):
        (folder / f"{index:04}.png").write_bytes(png(index))
    return folder


def check_answers(rows: list[dict], count: int) -> None:
    """Checks that each picture has one row with its answer, or with an error if it is damaged."""
    assert sorted(Path(row["path"]).stem for row in rows) == [f"{index:04}" for index in range(count)]
    for row in rows:
        expected = color(int(Path(row["path"]).stem))
        if expected is None:
            assert row["error"] and not row["text"], row
        else:
            assert expected in row["text"].lower() and not row["error"], row
