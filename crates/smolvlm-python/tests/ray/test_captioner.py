"""The stage without a cluster."""

import json
import subprocess
import sys

import numpy as np
import pyarrow
import pytest
from pictures import QUESTION, color, pixels, png
from smolvlm.ray import Captioner

SOUND = [index for index in range(12) if color(index)]


@pytest.fixture(scope="module")
def shared() -> Captioner:
    return Captioner("demo", prompt=QUESTION, image="image", threads=1, max_new_tokens=12)


def objects(values: list) -> np.ndarray:
    """A column of any objects, as Ray makes it."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def texts(output: dict) -> list[str | None]:
    return pyarrow.array(output["text"]).to_pylist()


@pytest.mark.parametrize("kind", ["pixels", "file", "path", "dataset bytes", "dataset path", "list"])
def test_values_of_an_image_column(shared: Captioner, kind: str, tmp_path) -> None:
    values = []
    for index in SOUND:
        path = tmp_path / f"{index}.png"
        path.write_bytes(png(index))
        values.append(
            {
                "pixels": pixels(index),
                "file": png(index),
                "path": str(path),
                "dataset bytes": {"bytes": png(index), "path": None},
                "dataset path": {"bytes": None, "path": str(path)},
                "list": objects([png(index)]),
            }[kind]
        )
    column = np.stack(values) if kind == "pixels" else objects(values)
    output = shared({"id": np.array(SOUND), "image": column})
    assert list(output["id"]) == SOUND and output["error"].null_count == len(SOUND)
    for index, text in zip(SOUND, texts(output)):
        assert color(index) in text.lower()
    assert min(output["prompt_tokens"].to_pylist()) > 0 and min(output["completion_tokens"].to_pylist()) > 0
    assert set(output["finish_reason"].to_pylist()) == {"eos"}


def test_errors_of_rows_do_not_affect_others(shared: Captioner) -> None:
    values = [png(0), b"", png(7), None, "missing.png", {"bytes": None, "path": None}, [], png(1)]
    output = shared({"image": objects(values)})
    found = [text is not None for text in texts(output)]
    assert found == [True] + [False] * 6 + [True]
    for name in ("finish_reason", "prompt_tokens", "completion_tokens"):
        assert [value is not None for value in output[name].to_pylist()] == found
    assert [error is None for error in output["error"].to_pylist()] == found
    assert all(": " in error for error in output["error"].to_pylist() if error)


def test_columns_have_the_same_types_whatever_the_rows(shared: Captioner) -> None:
    outputs = [shared({"image": objects(values)}) for values in ([png(0)], [b""], [])]
    kinds = [{name: values.type for name, values in output.items() if name != "image"} for output in outputs]
    assert kinds[0] == kinds[1] == kinds[2]


def test_the_prompt_and_conversations_use_columns() -> None:
    captioner = Captioner("demo", prompt="{question}", image="image", threads=1, max_new_tokens=12)
    output = captioner({"image": objects([png(0)] * 2), "question": objects([QUESTION, "What shape is left?"])})
    first, second = texts(output)
    assert color(0) in first.lower() and first != second

    content = [{"type": "image", "image": png(0), "text": None}, {"type": "text", "image": None, "text": QUESTION}]
    nested = objects([objects([{"role": "user", "content": objects(content)}])])
    captioner = Captioner("demo", messages="messages", threads=1, max_new_tokens=12)
    assert texts(captioner({"messages": nested})) == [first]
    plain = json.dumps([{"role": "user", "content": [{"type": "text", "text": "What is 5 minus 1?"}]}])
    assert texts(captioner({"messages": objects([plain, "no JSON"])}))[1] is None

    def conversation(row: dict) -> list[dict]:
        image = {"type": "image", "image": row["files"][row["which"]]}
        return [{"role": "user", "content": [image, {"type": "text", "text": QUESTION}]}]

    captioner = Captioner("demo", messages=conversation, threads=1, max_new_tokens=12)
    output = captioner({"files": objects([[png(1), png(0)], [png(1)]]), "which": np.array([1, 5])})
    assert texts(output) == [first, None] and "IndexError" in output["error"][1].as_py()


def test_videos_and_several_images() -> None:
    frames = np.stack([pixels(index) for index in (0, 0, 1, 1)])
    captioner = Captioner("demo", prompt="What do you see?", video="clip", threads=1, max_new_tokens=12)
    output = captioner({"clip": objects([frames, list(frames), None])})
    first, second, third = texts(output)
    assert first == second and first and third is None
    captioner = Captioner("demo", prompt="What is different?", image="pair", threads=1, max_new_tokens=12)
    pair, single = captioner({"pair": objects([frames[1:3], frames[:1]])})["prompt_tokens"].to_pylist()
    assert pair > single


def test_columns_are_dropped_and_renamed() -> None:
    captioner = Captioner(
        "demo", prompt="{text}", image="image", drop_columns=["image"], output_prefix="answer_", threads=1
    )
    output = captioner({"image": objects([png(0)]), "text": objects([QUESTION])})
    names = ["text", "finish_reason", "prompt_tokens", "completion_tokens", "error"]
    assert list(output) == ["text"] + [f"answer_{name}" for name in names]


def test_mistakes_in_the_pipeline_are_errors_of_the_job(shared: Captioner) -> None:
    with pytest.raises(ValueError, match="no column 'image'; the columns are id"):
        shared({"id": np.arange(2)})
    with pytest.raises(ValueError, match="already a column 'text'; set another output_prefix"):
        shared({"image": objects([png(0)]), "text": objects(["a"])})
    with pytest.raises(TypeError, match='use `map_batches` with batch_format="numpy"'):
        shared([1])
    with pytest.raises(ValueError, match="set image, video or messages"):
        Captioner("demo")
    with pytest.raises(TypeError, match="max_tokenz"):
        Captioner("demo", image="image", threads=1, max_tokenz=3)({"image": objects([png(0)])})


def test_importing_needs_neither_ray_nor_pyarrow() -> None:
    code = "import smolvlm.ray, sys; assert not {'ray', 'pyarrow'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
