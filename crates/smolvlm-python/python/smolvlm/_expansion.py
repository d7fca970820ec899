"""Placeholders of images and videos in prompts."""

from __future__ import annotations

import re
from typing import Any

from . import _native


def count(texts: list[str], token: str) -> list[int]:
    """Number of placeholders in each text."""
    return [text.count(token) for text in texts]


def check_counts(name: str, token: str, found: list[int], given: int | None) -> None:
    """Checks the number of placeholders of all texts. Raises `ValueError`."""
    if given is None:
        if any(found):
            raise ValueError(f"Found {sum(found)} {token} tokens in the text but no {name} were passed.")
    elif sum(found) != given:
        raise ValueError(
            f"The total number of {token} tokens in the prompts should be the same as the number of {name} passed. "
            f"Found total {sum(found)} {token} tokens and {given} {name}."
        )


def check_counts_per_sample(token: str, found: list[int], given: list[int]) -> None:
    """Checks the number of image placeholders of each text. Raises `ValueError`."""
    if found != given:
        raise ValueError(
            f"The number of {token} tokens in each prompt should be the same as the number of images passed. "
            f"Found {found} {token} tokens and {given} images per sample; pass one list of images per text."
        )


def media_texts(native: _native.Processor, token: str, media: list[Any]) -> list[str]:
    """What replaces the placeholder of each image or video, given grids (rows and columns) or plans.

    As in the reference, the text of every video states the number of frames of the longest one.
    """
    return native.expand([token] * len(media), [[item] for item in media])


def replaced(texts: list[str], replacements: dict[str, tuple[str, list[str]]]) -> tuple[list[str], list[list[dict]]]:
    """Replaces placeholders in order. `replacements` are `{kind: (token, what replaces each of them)}`.

    Also returns for each text the kind, text and replacement of its placeholders, and the characters before (`span`)
    and after (`new_span`) the replacement.
    """
    pattern = "|".join(f"(?P<{kind}>{re.escape(token)})" for kind, (token, _) in replacements.items()) or r"(?!)"
    remaining = {kind: iter(items) for kind, (_, items) in replacements.items()}
    results, offsets = [], []
    for text in texts:
        pieces, entries, last, length = [], [], 0, 0
        for match in re.finditer(pattern, text):
            replacement = next(remaining[match.lastgroup])
            pieces += [text[last : match.start()], replacement]
            start = length + match.start() - last
            length = start + len(replacement)
            last = match.end()
            entries.append(
                {
                    "type": match.lastgroup,
                    "span": match.span(),
                    "new_span": (start, length),
                    "text": match.group(),
                    "replacement": replacement,
                }
            )
        results.append("".join([*pieces, text[last:]]))
        offsets.append(entries)
    return results, offsets


def check_not_truncated(texts: list[str], token: str, ids: list[list[int]], token_id: int) -> None:
    """Checks that every image token of the texts is among the ids. Raises `ValueError`."""
    in_ids, in_texts = [list(row).count(token_id) for row in ids], count(texts, token)
    if in_ids != in_texts:
        raise ValueError(
            f"Mismatch in `image` token count between text and `input_ids`. Got ids={in_ids} and text={in_texts}. "
            "Likely due to `truncation='max_length'`. Please disable truncation or increase `max_length`."
        )


def in_order(offsets: list[list[dict]], tiles: dict[str, list[Any]]) -> list[list[tuple[Any, int, int]]]:
    """Tiles of images and videos of each text in the order of its placeholders."""
    remaining = {kind: iter(items) for kind, items in tiles.items()}
    return [[(next(remaining[entry["type"]]), 0, 0) for entry in entries] for entries in offsets]
