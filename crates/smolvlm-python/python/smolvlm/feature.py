"""Model inputs by name."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterable
from typing import Any

import numpy as np

#: Values of `return_tensors`.
TENSOR_TYPES = ("np", "pt")


class BatchFeature(UserDict):
    """Arrays and lists by name, also as attributes: `inputs["pixel_values"]` or `inputs.pixel_values`.

    `tensor_type` is `"np"`, `"pt"` or `None` (lists are kept). Names in `skip_tensor_conversion` are never converted.
    """

    def __init__(
        self,
        data: dict[str, Any] | None = None,
        tensor_type: str | None = None,
        skip_tensor_conversion: Iterable[str] | None = None,
    ) -> None:
        super().__init__(data)
        self.skip_tensor_conversion = skip_tensor_conversion
        self.convert_to_tensors(tensor_type)

    def __getattr__(self, name: str) -> Any:
        # `data` itself is missing while an instance is unpickled.
        if name != "data" and name in self.data:
            return self.data[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data, "skip_tensor_conversion": self.skip_tensor_conversion}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def convert_to_tensors(
        self, tensor_type: str | None = None, skip_tensor_conversion: Iterable[str] | None = None
    ) -> BatchFeature:
        """Converts numbers, lists of numbers and arrays to NumPy arrays (`"np"`) or PyTorch tensors (`"pt"`).

        Raises `ValueError` for lists of different lengths, and `ImportError` for `"pt"` without PyTorch.
        """
        if tensor_type is None:
            return self
        tensor_type = check_tensor_type(tensor_type)
        skipped = self.skip_tensor_conversion if skip_tensor_conversion is None else skip_tensor_conversion
        for name, value in self.data.items():
            if name not in (skipped or ()) and _is_numeric(value):
                self.data[name] = _tensor(name, value, tensor_type)
        return self

    def to(self, *args: Any, **kwargs: Any) -> BatchFeature:
        """Moves PyTorch tensors to a device and casts floating-point ones, as `torch.Tensor.to`. Works in place.

        Arrays stay as they are; without PyTorch, there are no others.
        """
        try:
            import torch
        except ImportError:
            return self

        device = kwargs.get("device")
        if device is None and args and isinstance(args[0], (str, int, torch.device)):
            device = args[0]
        elif args and not isinstance(args[0], torch.dtype):
            raise ValueError(
                f"cannot convert model inputs to {args[0]!r}; pass a device, a dtype, or both in this order"
            )
        non_blocking = kwargs.get("non_blocking", False)

        def moved(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return type(value)(moved(item) for item in value)
            if not isinstance(value, torch.Tensor):
                return value
            if value.is_floating_point():
                return value.to(*args, **kwargs)
            return value if device is None else value.to(device=device, non_blocking=non_blocking)

        self.data = {name: moved(value) for name, value in self.data.items()}
        return self


def check_tensor_type(tensor_type: Any) -> str:
    """Returns a value of `return_tensors` as a string; also accepts an enumeration with these values."""
    name = getattr(tensor_type, "value", tensor_type)
    if name not in TENSOR_TYPES:
        raise ValueError(f"return_tensors must be 'np', 'pt' or None, got {tensor_type!r}")
    return name


def _is_numeric(value: Any) -> bool:
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, (list, tuple, int, float, np.generic)) or hasattr(value, "__array__")


def _tensor(name: str, value: Any, tensor_type: str) -> Any:
    if tensor_type == "pt":
        import torch

        if isinstance(value, torch.Tensor):
            return value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise _ragged(name) from error
    if array.dtype == object:
        raise _ragged(name)
    if tensor_type == "np":
        return array
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _ragged(name: str) -> ValueError:
    return ValueError(
        f"the rows of {name!r} have different lengths, so they are no single tensor: pass padding=True, or "
        "return_tensors=None for lists"
    )
