"""Tokenizer."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from . import _native
from ._files import Checkpoint, new_folder, write_json
from ._parameters import suggestion
from .feature import BatchFeature

# Special tokens that exist in every tokenizer, perhaps as `None`.
_STANDARD = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# No limit, as transformers writes it.
_UNLIMITED = int(1e30)
_PADDING = ("longest", "max_length", "do_not_pad")
_TRUNCATION = ("longest_first", "only_first", "only_second", "do_not_truncate")
# Arguments of transformers' tokenizers that are not supported, unless they are off.
_UNSUPPORTED = (
    "text_pair",
    "text_target",
    "text_pair_target",
    "stride",
    "is_split_into_words",
    "return_overflowing_tokens",
    "return_offsets_mapping",
    "return_special_tokens_mask",
    "return_token_type_ids",
    "split_special_tokens",
)


class SmolVLMTokenizer:
    """The tokenizer of a checkpoint: texts to token ids and back.

    `tokenizer_json` is the text of a `tokenizer.json`. Special tokens are attributes, such as `eos_token`,
    `eos_token_id` and `image_token`; assigning to one changes it.
    """

    model_input_names: ClassVar[list[str]] = ["input_ids", "attention_mask"]

    def __init__(
        self,
        tokenizer_json: str,
        special_tokens: dict[str, str],
        *,
        padding_side: str = "right",
        truncation_side: str = "right",
        model_max_length: int = _UNLIMITED,
        chat_template: Any = None,
        name_or_path: str = "",
        **init_kwargs: Any,
    ) -> None:
        self._native = _native.Tokenizer.from_json(tokenizer_json, dict(special_tokens))
        self.padding_side = _side("padding_side", padding_side)
        self.truncation_side = _side("truncation_side", truncation_side)
        self.model_max_length = int(model_max_length)
        self.chat_template = chat_template
        self.name_or_path = name_or_path
        self.init_kwargs = init_kwargs

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> SmolVLMTokenizer:
        """Reads the tokenizer of a checkpoint: a folder, `owner/name` of the Hub, or `demo`.

        `kwargs` override values of its `tokenizer_config.json`. Raises `OSError` if it has no `tokenizer.json`.
        """
        return cls.read(Checkpoint(pretrained_model_name_or_path, kwargs), **kwargs)

    @classmethod
    def read(cls, checkpoint: Checkpoint, **kwargs: Any) -> SmolVLMTokenizer:
        """As `from_pretrained`, from opened files."""
        if checkpoint.folder is None:
            native = checkpoint.native.tokenizer()
            text, config = native.to_json(), {**native.special_tokens(), "padding_side": "left"}
        else:
            text = checkpoint.text("tokenizer.json")
            if text is None:
                raise checkpoint.missing("tokenizer", "tokenizer.json")
            config = checkpoint.json("tokenizer_config.json") or {}
        config = {**(checkpoint.json("special_tokens_map.json") or {}), **config, **kwargs}
        extra = config.get("extra_special_tokens")
        if isinstance(extra, dict):
            config = {**extra, **config}
        special = {name: _content(value) for name, value in config.items() if name.endswith("_token")}
        special = {name: token for name, token in special.items() if token is not None}
        template = checkpoint.text("chat_template.jinja") or config.get("chat_template")
        settings = {name: value for name, value in config.items() if not name.endswith("_token")}
        settings.update(chat_template=template, name_or_path=checkpoint.name)
        return cls(text, special, **settings)

    @classmethod
    def from_transformers(cls, tokenizer: Any) -> SmolVLMTokenizer:
        """Converts a fast tokenizer of transformers. Raises `TypeError` for one without `backend_tokenizer`."""
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise TypeError(
                "the tokenizer must be a SmolVLMTokenizer or a fast tokenizer of transformers, "
                f"got {type(tokenizer).__name__}"
            )
        special = {name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
        kwargs = {
            name: tokenizer.init_kwargs[name] for name in ("padding", "max_length") if name in tokenizer.init_kwargs
        }
        return cls(
            backend.to_str(),
            special,
            padding_side=tokenizer.padding_side,
            truncation_side=tokenizer.truncation_side,
            model_max_length=tokenizer.model_max_length,
            chat_template=getattr(tokenizer, "chat_template", None),
            name_or_path=tokenizer.name_or_path,
            **kwargs,
        )

    @property
    def native(self) -> _native.Tokenizer:
        """The compiled tokenizer."""
        return self._native

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """Special tokens by name, such as `eos_token`."""
        return self._native.special_tokens()

    @property
    def all_special_tokens(self) -> list[str]:
        """The named special tokens."""
        return list(dict.fromkeys(self.special_tokens_map.values()))

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of the named special tokens."""
        return self.convert_tokens_to_ids(self.all_special_tokens)

    def __getattr__(self, name: str) -> Any:
        if name.endswith("_token_id"):
            token = getattr(self, name.removesuffix("_id"))
            return None if token is None else self.convert_tokens_to_ids(token)
        if name.endswith("_token") and "_native" in vars(self):
            token = self.special_tokens_map.get(name)
            if token is not None or name in _STANDARD:
                return token
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name.endswith("_token_id"):
            self.__setattr__(name.removesuffix("_id"), self.convert_ids_to_tokens(value))
        elif name.endswith("_token"):
            special = {key: token for key, token in self.special_tokens_map.items() if key != name}
            if value is not None:
                special[name] = _content(value)
            self._native = _native.Tokenizer.from_json(self._native.to_json(), special)
        else:
            super().__setattr__(name, value)

    def __len__(self) -> int:
        return len(self._native)

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: value for name, value in vars(self).items() if name != "_native"}
        return _restored, (self._native.to_json(), self.special_tokens_map, state)

    def __call__(
        self,
        text: str | Sequence[str] | None = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str | None = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_attention_mask: bool | None = None,
        return_length: bool = False,
        **kwargs: Any,
    ) -> BatchFeature:
        """Tokenizes a text or a list of texts.

        `padding` is `True` or `"longest"`, `"max_length"` (to `max_length`, by default the model's), or `False`;
        `truncation` is a flag, and on by default if only `max_length` is given. Both sides are attributes.

        Returns `input_ids` and `attention_mask`: lists, or arrays of int64 with `return_tensors`. Raises `ValueError`
        and `TypeError`.
        """
        for name, value in kwargs.items():
            if name in _UNSUPPORTED:
                if value:
                    raise ValueError(f"{name} is not supported by this tokenizer")
            elif name not in ("verbose", "tokenizer_kwargs"):
                warnings.warn(f"argument {name!r} is ignored{suggestion(name, _ARGUMENTS)}", stacklevel=2)
        texts = [text] if isinstance(text, str) else text
        if texts is None or not all(isinstance(item, str) for item in texts):
            raise ValueError("`text` must be a string or list of strings.")
        ids = [self._native.encode(item, bool(add_special_tokens)) for item in texts]
        limit, length = self._lengths(ids, padding, truncation, max_length, pad_to_multiple_of)
        if limit is not None:
            # Without the check, a limit of zero would keep everything on the left.
            ids = [row[max(len(row) - limit, 0) :] if self.truncation_side == "left" else row[:limit] for row in ids]
        if padding in (True, "longest"):
            length = max(map(len, ids), default=0)
        data = self._padded(ids, _multiple(length, pad_to_multiple_of), padding_side)
        if return_attention_mask is False:
            del data["attention_mask"]
        lengths = [len(row) for row in data["input_ids"]]
        if isinstance(text, str) and return_tensors is None:
            data = {name: rows[0] for name, rows in data.items()}
        if return_length:
            data["length"] = lengths
        return BatchFeature(data, tensor_type=return_tensors)

    def _lengths(
        self, ids: list[list[int]], padding: Any, truncation: Any, max_length: int | None, multiple: int | None
    ) -> tuple[int | None, int]:
        """The length to truncate to, `None` without truncation, and the length to pad to, 0 without padding."""
        if padding not in (True, False, None, *_PADDING):
            raise ValueError(f"padding must be True, False or one of {', '.join(_PADDING)}, got {padding!r}")
        if truncation not in (True, False, None, *_TRUNCATION):
            raise ValueError(f"truncation must be True, False or one of {', '.join(_TRUNCATION)}, got {truncation!r}")
        if max_length is not None and (not isinstance(max_length, int) or max_length < 0):
            raise ValueError(f"max_length must be an integer that is not negative, got {max_length!r}")
        pads = padding not in (False, None, "do_not_pad")
        if max_length is not None and padding is False and truncation is None:
            truncation = True
        truncates = truncation not in (False, None, "do_not_truncate")
        if max_length is None and self.model_max_length < _UNLIMITED:
            max_length = self.model_max_length
        if pads and self.pad_token_id is None:
            raise ValueError(
                "the tokenizer has no padding token; set one, as in tokenizer.pad_token = tokenizer.eos_token"
            )
        if truncates and pads and multiple is not None and max_length is not None and max_length % multiple:
            raise ValueError(f"max_length {max_length} is no multiple of pad_to_multiple_of {multiple}")
        length = max_length if padding == "max_length" and max_length is not None else 0
        return (max_length if truncates else None), length

    def _padded(self, ids: list[list[int]], length: int, side: str | None) -> dict[str, list[list[int]]]:
        side = self.padding_side if side is None else _side("padding_side", side)
        rows, masks = [], []
        for row in ids:
            missing = max(length - len(row), 0)
            padding, mask = [self.pad_token_id] * missing if missing else [], [1] * len(row)
            rows.append(padding + row if side == "left" else row + padding)
            masks.append([0] * missing + mask if side == "left" else mask + [0] * missing)
        return {"input_ids": rows, "attention_mask": masks}

    def encode(self, text: str, add_special_tokens: bool = True, **kwargs: Any) -> Any:
        """Token ids of a text; `kwargs` as for a call."""
        return self(text, add_special_tokens=add_special_tokens, **kwargs)["input_ids"]

    def decode(self, token_ids: Any, skip_special_tokens: bool = False, **kwargs: Any) -> Any:
        """The text of token ids, or a list of texts for a list of rows; also takes arrays and tensors."""
        token_ids = _to_list(token_ids)
        if isinstance(token_ids, int):
            token_ids = [token_ids]
        rows = [_to_list(item) for item in token_ids]
        if rows and isinstance(rows[0], list):
            return [self._native.decode(row, skip_special_tokens) for row in rows]
        return self._native.decode(rows, skip_special_tokens)

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = False, **kwargs: Any) -> list[str]:
        """The texts of rows of token ids."""
        if len(sequences) == 0:
            return []
        texts = self.decode(sequences, skip_special_tokens, **kwargs)
        return [texts] if isinstance(texts, str) else texts

    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> Any:
        """Ids of a token or of several; that of `unk_token` for unknown ones, `None` without it."""
        if not isinstance(tokens, str):
            return [self.convert_tokens_to_ids(token) for token in tokens]
        found = self._native.token_to_id(tokens)
        if found is not None or self.unk_token is None:
            return found
        return self._native.token_to_id(self.unk_token)

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """Tokens of an id or of several; `None` for unknown ids."""
        ids = _to_list(ids)
        if isinstance(ids, int):
            return self._native.id_to_token(ids)
        skipped = set(self._native.special_ids()) if skip_special_tokens else set()
        return [self._native.id_to_token(int(id)) for id in ids if int(id) not in skipped]

    def save_pretrained(self, save_directory: str | os.PathLike[str], push_to_hub: bool = False) -> tuple[str, ...]:
        """Writes `tokenizer.json` and `tokenizer_config.json` to a folder; returns their paths."""
        folder = new_folder(save_directory, push_to_hub)
        (folder / "tokenizer.json").write_text(self._native.to_json(), encoding="utf-8")
        config = {
            **{name: value for name, value in self.init_kwargs.items() if _is_json(value)},
            **self.special_tokens_map,
            "padding_side": self.padding_side,
            "truncation_side": self.truncation_side,
            "model_max_length": self.model_max_length,
        }
        config.setdefault("tokenizer_class", "TokenizersBackend")
        write_json(folder / "tokenizer_config.json", config)
        return str(folder / "tokenizer_config.json"), str(folder / "tokenizer.json")

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name_or_path={self.name_or_path!r}, vocab_size={len(self)}, "
            f"model_max_length={self.model_max_length}, padding_side={self.padding_side!r}, "
            f"special_tokens={self.special_tokens_map})"
        )


_ARGUMENTS = ("add_special_tokens", "padding", "truncation", "max_length", "pad_to_multiple_of", "return_tensors")


def _restored(tokenizer_json: str, special_tokens: dict[str, str], state: dict[str, Any]) -> SmolVLMTokenizer:
    tokenizer = SmolVLMTokenizer(tokenizer_json, special_tokens)
    vars(tokenizer).update(state)
    return tokenizer


def _content(token: Any) -> str | None:
    """A token that a configuration file writes as text or as an object."""
    return token.get("content") if isinstance(token, dict) else None if token is None else str(token)


def _side(name: str, side: Any) -> str:
    if side not in ("left", "right"):
        raise ValueError(f"{name} must be 'left' or 'right', got {side!r}")
    return side


def _multiple(length: int, multiple: int | None) -> int:
    """The next multiple of `multiple`."""
    return -(-length // multiple) * multiple if multiple else length


def _to_list(ids: Any) -> Any:
    return ids.tolist() if hasattr(ids, "tolist") else list(ids) if isinstance(ids, tuple) else ids


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
