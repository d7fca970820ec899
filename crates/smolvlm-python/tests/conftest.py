"""Helpers of the tests: goldens, noise and the reference."""

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

# These need the layout that their `run.py` makes.
collect_ignore = ["transformers_mixins"]

GOLDEN = Path(__file__).resolve().parents[3] / "tests" / "golden"
CHECKPOINT = GOLDEN / "gqa-256m" / "model"


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def crc32(array):
    array = np.ascontiguousarray(array)
    return zlib.crc32(array.astype(array.dtype.newbyteorder("<")).tobytes())


def noise(seed, height, width):
    """Noise of the golden scripts, `uint8` `[height, width, 3]`: see tests/golden/README.md."""
    count = height * width * 3
    state, multiplier, increment, mask = seed, 6364136223846793005, 1442695040888963407, (1 << 64) - 1
    out = bytearray(count)
    for index in range(count):
        state = (state * multiplier + increment) & mask
        out[index] = state >> 56
    return np.frombuffer(bytes(out), np.uint8).reshape(height, width, 3)


def checkpoints():
    """Folders of the golden checkpoints."""
    return sorted(folder.parent for folder in GOLDEN.glob("*/model"))


def assert_equal_inputs(found, expected):
    """Compares two sets of model inputs exactly: names, types, shapes and values."""
    assert set(found) == set(expected)
    for name in expected:
        if isinstance(expected[name], list):
            assert found[name] == expected[name], name
            continue
        ours, theirs = np.asarray(found[name]), np.asarray(expected[name])
        assert ours.dtype == theirs.dtype, name
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


@pytest.fixture(scope="session")
def processor():
    from smolvlm import SmolVLMProcessor

    return SmolVLMProcessor.from_pretrained(CHECKPOINT)


@pytest.fixture(scope="session")
def reference():
    """The same processor of transformers."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torchvision")
    return transformers.AutoProcessor.from_pretrained(CHECKPOINT)


@pytest.fixture(scope="session")
def golden():
    """The folder of the goldens."""
    return GOLDEN


@pytest.fixture(scope="session")
def demo():
    """The model that is part of the package."""
    from smolvlm import SmolVLM

    return SmolVLM.from_pretrained("demo", dtype="float32")
