"""Keyword arguments as JSON for the compiled part."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Any

from . import _native

# Names of transformers' GenerationConfig that have another name or form here.
_PLURALS = {
    "eos_token_id": "eos_token_ids",
    "forced_eos_token_id": "forced_eos_token_ids",
    "exponential_decay_length_penalty": "exponential_decay",
}

# Arguments that say what the text must match; the last one is an object with one of the others.
_CONSTRAINTS = ("json_schema", "regex", "lark", "choices", "constraint")

_EARLY_STOPPING = {True: "when_finished", False: "when_unlikely", "never": "when_impossible"}

LOOP_GUARD = {"max_period": 128, "min_repeats": 4, "min_tokens": 128}
"""The default criterion for endless repetition: 4 repeats of at most 128 tokens, 128 tokens in all."""


def dumps(value: Any) -> str:
    """JSON of a value that may hold numpy's scalars and arrays. Raises `ValueError` for NaN and infinity."""
    return json.dumps(value, default=_plain, allow_nan=False)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a parameter cannot be a {type(value).__name__}")


def sampling_json(params: dict[str, Any], known: Iterable[str]) -> str:
    """JSON of sampling parameters, named as in transformers' `GenerationConfig`; `None` is the checkpoint's own value.

    Raises `TypeError` for a name that is not known, with the nearest one that is, and for constraints of another type;
    `InputError` for numbers that are not finite.
    """
    known = set(known)
    names = known | _PLURALS.keys() | set(_CONSTRAINTS)
    result: dict[str, Any] = {}
    for name, value in params.items():
        if name not in names:
            raise TypeError(unknown(name, names))
        if value is None:
            continue
        if name in _CONSTRAINTS:
            if "constraint" in result:
                raise TypeError(f"only one of {', '.join(_CONSTRAINTS)} can be given")
            result["constraint"] = value if name == "constraint" else {name: _constraint(name, value)}
            _check_finite(name, result["constraint"])
            continue
        if name == "stop_strings" and isinstance(value, str):
            value = [value]
        elif name == "early_stopping":
            value = _EARLY_STOPPING.get(value, value)
        elif name == "loop_guard" and isinstance(value, bool):
            value = LOOP_GUARD if value else None
        elif name == "sequence_bias" and isinstance(value, dict):
            value = [{"tokens": list(tokens), "bias": bias} for tokens, bias in value.items()]
        elif name == "sequence_bias":
            value = [entry if isinstance(entry, dict) else {"tokens": entry[0], "bias": entry[1]} for entry in value]
        elif name == "exponential_decay_length_penalty":
            value = {"start": value[0], "factor": value[1]}
        elif name in _PLURALS and not isinstance(value, (list, tuple)):
            value = [value]
        _check_finite(name, value)
        result[_PLURALS.get(name, name)] = value
    return dumps(result)


def _check_finite(name: str, value: Any) -> None:
    try:
        dumps(value)
    except ValueError as error:
        raise _native.InputError(f"{name} cannot be JSON: {error}") from error


def _constraint(name: str, value: Any) -> Any:
    """The value of a constraint: a schema may be a model of pydantic, or JSON."""
    if name == "json_schema":
        return _json_schema(value)
    if name == "choices":
        texts = None if isinstance(value, (str, bytes)) or not isinstance(value, Iterable) else list(value)
        if texts is None or not all(isinstance(text, str) for text in texts):
            raise TypeError(f"choices must be a list of str, not {value!r}")
        return texts
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {value!r}")
    return value


def _json_schema(value: Any) -> Any:
    if hasattr(value, "model_json_schema"):
        return value.model_json_schema()
    if isinstance(value, (str, bytes)):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise _native.InputError(f"json_schema is not JSON: {error}") from error
    if not isinstance(value, (dict, bool)):
        raise TypeError(f"json_schema must be a dict, JSON of an object, or a model of pydantic, not {value!r}")
    return value


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: a similar one if there is one."""
    similar = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {similar[0]!r}?" if similar else ""


def unknown(name: str, known: Iterable[str]) -> str:
    """The message for an argument that does not exist."""
    return f"unknown argument {name!r}{suggestion(name, known)}"


def device_name(device: Any) -> str:
    """The name of a device, which may be an object of torch or one of its names."""
    name = "auto" if device is None else str(device).lower()
    kind, _, index = name.partition(":")
    kind = {"mps": "metal", "": "auto"}.get(kind, kind)
    return f"{kind}:{index}" if index and kind != "cpu" else kind


def dtype_name(dtype: Any) -> str:
    """The name of a number format, which may be an object of torch or numpy."""
    name = "auto" if dtype is None else getattr(dtype, "__name__", None) or str(dtype)
    return name.removeprefix("torch.")
