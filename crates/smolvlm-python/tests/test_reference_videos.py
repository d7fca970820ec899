"""The same calls of transformers' processors and ours give equal arrays: videos and conversations."""

import itertools

import numpy as np
import pytest
from conftest import GOLDEN, assert_equal_inputs

torch = pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")

RNG = np.random.default_rng(6)


def pixels(height, width, channels=3):
    return RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)


def clips():
    return [pixels(16, 24 * 32).reshape(16, 24, 32, 3), pixels(40, 20 * 20).reshape(40, 20, 20, 3)]


METADATA = [
    {"total_num_frames": 16, "fps": 4, "duration": 4.0},
    {"total_num_frames": 40, "fps": 8, "duration": 5.0},
]


def as_videos(kind):
    videos = clips()
    return {
        "arrays": videos,
        "channels first": [video.transpose(0, 3, 1, 2) for video in videos],
        "tensors": [torch.from_numpy(video) for video in videos],
        "lists of arrays": [list(video) for video in videos],
        "PIL": [[Image.fromarray(frame) for frame in video] for video in videos],
        "nested": [[videos[0]], [videos[1]]],
        "one": videos[0],
        "five dimensions": np.stack([videos[0], videos[0]]),
        "gray": [video[..., :1] for video in videos],
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["arrays", "channels first", "tensors", "lists of arrays", "PIL", "nested", "one", "five dimensions", "gray"],
)
def test_videos(reference, processor, kind):
    videos = as_videos(kind)
    kwargs = {"return_tensors": "np", "return_metadata": True}
    ours, theirs = processor.video_processor(videos, **kwargs), reference.video_processor(videos, **kwargs)
    for found, expected in zip(ours.pop("video_metadata"), theirs.pop("video_metadata"), strict=True):
        assert dict(found) == dict(expected)
    assert_equal_inputs(ours, theirs)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_frames": 3},
        {"fps": 2.5, "num_frames": 100},
        {"do_sample_frames": False},
        {"size": {"longest_edge": 50}},
        {"do_normalize": False},
        {"image_mean": 0.0, "image_std": 1.0},
        {"resample": 3},
        {"return_mm_token_type_ids": True},
    ],
    ids=str,
)
def test_videos_with_text(reference, processor, options):
    metadata = METADATA
    if options.get("do_sample_frames") is False:
        metadata = [{**entry, "frames_indices": list(range(entry["total_num_frames"]))} for entry in METADATA]
    kwargs = {
        "text": ["a <video> b", "c <video>"],
        "videos": [[video] for video in clips()],
        "padding": True,
        "return_tensors": "np",
        "do_sample_frames": True,
        "video_metadata": metadata,
        **options,
    }
    assert_equal_inputs(processor(**kwargs), reference(**kwargs))


def conversations():
    image = Image.fromarray(pixels(40, 30))
    return [
        [
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": "What?"}]},
        ],
        [{"role": "user", "content": [{"type": "text", "text": "Only text."}]}],
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look: "},
                    {"type": "image", "path": str(GOLDEN / "media" / "size-17x31.png")},
                    {"type": "image", "image": pixels(20, 20), "unused": None},
                    {"type": "image_url", "image_url": {"url": str(GOLDEN / "media" / "square.png")}},
                ],
            }
        ],
    ]


@pytest.mark.parametrize("flags", itertools.product([True, False], [True, False]), ids=str)
def test_chat_template(reference, processor, flags):
    add_generation_prompt, splits = flags
    given = conversations()
    render = {"add_generation_prompt": add_generation_prompt}
    assert processor.apply_chat_template(given, **render) == reference.apply_chat_template(given, **render)
    assert processor.apply_chat_template(given[0], **render) == reference.apply_chat_template(given[0], **render)
    kwargs = {"tokenize": True, "return_dict": True, "return_tensors": "np", **render}
    arguments = {"padding": True, "do_image_splitting": splits}
    theirs = reference.apply_chat_template(given, **kwargs, processor_kwargs=arguments)
    assert_equal_inputs(processor.apply_chat_template(given, **kwargs, processor_kwargs=arguments), theirs)
    # The older way, arguments of the call among those of the template.
    assert_equal_inputs(processor.apply_chat_template(given, **kwargs, **arguments), theirs)
    kwargs["return_dict"] = False
    ids = processor.apply_chat_template(given[0], **kwargs)
    np.testing.assert_array_equal(ids, reference.apply_chat_template(given[0], **kwargs))


def test_chat_template_continues_the_final_message(reference, processor):
    given = [*conversations()[0], {"role": "assistant", "content": [{"type": "text", "text": "It is "}]}]
    ours = processor.apply_chat_template(given, continue_final_message=True)
    assert ours == reference.apply_chat_template(given, continue_final_message=True)
    assert ours.endswith("It is ")


def test_chat_template_with_video(reference, processor):
    given = [[{"role": "user", "content": [{"type": "video", "video": video}]}] for video in clips()]
    kwargs = {"tokenize": True, "return_dict": True, "return_tensors": "np", "add_generation_prompt": True}
    for options in ({}, {"num_frames": 3}, {"fps": 2, "num_frames": 5}):
        arguments = {"padding": True, "video_metadata": METADATA, **options}
        theirs = reference.apply_chat_template(given, **kwargs, processor_kwargs=arguments)
        assert_equal_inputs(processor.apply_chat_template(given, **kwargs, processor_kwargs=arguments), theirs)
