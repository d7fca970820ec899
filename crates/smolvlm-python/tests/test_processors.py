"""Settings, files and calls of the processors and the tokenizer."""

import copy
import json
import pickle

import numpy as np
import pytest
from conftest import CHECKPOINT, GOLDEN, noise, read_json
from smolvlm import (
    AutoImageProcessor,
    AutoProcessor,
    AutoTokenizer,
    AutoVideoProcessor,
    BatchFeature,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMTokenizer,
    SmolVLMVideoProcessor,
    VideoMetadata,
)

IMAGE = noise(3, 24, 36)
KINDS = [SmolVLMImageProcessor, SmolVLMVideoProcessor]


@pytest.mark.parametrize("kind", KINDS)
def test_settings_round_trip(kind, tmp_path):
    processor = kind(size={"longest_edge": 100}, image_mean=[0.1, 0.2, 0.3], do_normalize=None, remark="kept")
    assert processor.image_mean == (0.1, 0.2, 0.3) and processor.do_normalize is None
    assert processor.to_dict()["do_normalize"] is None and processor.to_dict()["remark"] == "kept"
    (file,) = processor.save_pretrained(tmp_path / "new" / "folder")
    for again in (
        kind.from_pretrained(tmp_path / "new" / "folder"),
        kind.from_pretrained(file),
        kind.from_json_file(file),
        kind.from_dict(processor.to_dict()),
        pickle.loads(pickle.dumps(processor)),
        copy.deepcopy(processor),
    ):
        assert again.to_dict() == processor.to_dict()
    assert json.loads(repr(processor).partition(" ")[2]) == json.loads(processor.to_json_string())


@pytest.mark.parametrize("kind", KINDS)
def test_instances_do_not_share_settings(kind):
    first, second = kind(), kind()
    first.size["longest_edge"] = 1
    first.max_image_size["longest_edge"] = 1
    assert second.size == {"longest_edge": 1456} == kind.size and kind().max_image_size == {"longest_edge": 364}


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_of_from_pretrained(kind):
    processor, unused = kind.from_pretrained(CHECKPOINT, do_pad=False, foo=3, return_unused_kwargs=True)
    assert processor.do_pad is False and unused == {"foo": 3}
    assert kind.from_pretrained(CHECKPOINT, size=64).size == {"height": 64, "width": 64}


def test_sizes():
    assert SmolVLMImageProcessor(size=64, default_to_square=False).size == {"shortest_edge": 64}
    assert SmolVLMImageProcessor(size=[32, 64]).size == {"height": 32, "width": 64}
    for size in ({"edge": 3}, "large", True, {}):
        with pytest.raises(ValueError, match="size"):
            SmolVLMImageProcessor(size=size)


def test_unknown_arguments_are_refused_with_a_suggestion():
    with pytest.raises(TypeError, match="did you mean 'do_image_splitting'"):
        SmolVLMImageProcessor()(IMAGE, do_image_split=False)
    with pytest.raises(TypeError, match=r"'zzz'$"):
        SmolVLMVideoProcessor()([[IMAGE]], zzz=1)


def test_unknown_arguments_of_a_call_of_the_processor_are_ignored(processor):
    with pytest.warns(UserWarning, match="'do_image_split' is ignored; did you mean 'do_image_splitting'"):
        inputs = processor(images=IMAGE, text="<image>", do_image_split=False)
    assert inputs["pixel_values"].shape[1] > 1


def test_legacy_video_settings():
    path = GOLDEN / "legacy" / "model"
    settings = read_json(path / "preprocessor_config.json")
    processor = SmolVLMVideoProcessor.from_pretrained(path)
    assert (processor.fps, processor.num_frames) == (1, 8)
    assert processor.size == settings["size"] != settings["video_sampling"]["video_size"]
    del settings["size"]
    assert SmolVLMVideoProcessor(**settings).size == settings["video_sampling"]["video_size"]


def test_checkpoints_without_a_video_section(tmp_path):
    """As the v1 family, whose videos are processed as its images are."""
    config = read_json(CHECKPOINT / "processor_config.json")
    del config["video_processor"]
    (tmp_path / "processor_config.json").write_text(json.dumps(config))
    assert SmolVLMVideoProcessor.from_pretrained(tmp_path).size == config["image_processor"]["size"]


def test_missing_and_damaged_files(tmp_path):
    for kind in (*KINDS, SmolVLMTokenizer, SmolVLMProcessor):
        with pytest.raises(OSError, match=r"lacks|has no"):
            kind.from_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("{")
    for kind in KINDS:
        with pytest.raises(ValueError, match="not JSON"):
            kind.from_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("[]")
    with pytest.raises(ValueError, match="JSON object"):
        SmolVLMImageProcessor.from_pretrained(tmp_path)
    with pytest.raises((OSError, ValueError)):
        SmolVLMProcessor.from_pretrained(tmp_path / "no" / "such" / "folder")


def test_checkpoints_without_files():
    processor = SmolVLMProcessor.from_pretrained("random:tiny")
    assert processor(text="<image>", images=IMAGE)["pixel_values"].shape[0] == 1
    assert SmolVLMImageProcessor.from_pretrained("random:tiny").to_dict() == processor.image_processor.to_dict()
    assert SmolVLMVideoProcessor.from_pretrained("random:tiny").to_dict() == processor.video_processor.to_dict()
    assert processor.apply_chat_template("a").startswith("<|im_start|>User: a")


def test_arguments_of_downloads():
    with pytest.raises(ValueError, match="HF_TOKEN"):
        SmolVLMProcessor.from_pretrained("owner/name", token="secret")
    assert SmolVLMProcessor.from_pretrained(CHECKPOINT, token="unused", local_files_only=True).image_seq_len == 4


def test_nothing_is_uploaded(tmp_path, processor):
    for part in (processor, processor.tokenizer, processor.image_processor):
        with pytest.raises(ValueError, match="push_to_hub"):
            part.save_pretrained(tmp_path, push_to_hub=True)


def test_auto_classes():
    assert isinstance(AutoProcessor.from_pretrained(CHECKPOINT, use_fast=True), SmolVLMProcessor)
    assert isinstance(AutoImageProcessor.from_pretrained(CHECKPOINT, backend="pil"), SmolVLMImageProcessor)
    assert isinstance(AutoVideoProcessor.from_pretrained(CHECKPOINT), SmolVLMVideoProcessor)
    assert isinstance(AutoTokenizer.from_pretrained(CHECKPOINT), SmolVLMTokenizer)


def test_processor_round_trip(tmp_path, processor):
    (file,) = processor.save_pretrained(tmp_path)
    assert read_json(tmp_path / "processor_config.json") == json.loads(processor.to_json_string())
    assert file.endswith("processor_config.json")
    inputs = {"text": "a <image> b", "images": IMAGE}
    expected = processor(**inputs)
    again = SmolVLMProcessor.from_pretrained(tmp_path)
    for other in (again, pickle.loads(pickle.dumps(processor)), copy.deepcopy(processor)):
        assert other.to_dict() == processor.to_dict() and other.chat_template == processor.chat_template
        assert other.tokenizer.special_tokens_map == processor.tokenizer.special_tokens_map
        np.testing.assert_array_equal(other(**inputs)["input_ids"], expected["input_ids"])


def test_parts_and_settings_of_from_pretrained(processor):
    tokenizer = SmolVLMTokenizer.from_pretrained(CHECKPOINT, padding_side="right", pad_token="<|endoftext|>")
    made = SmolVLMProcessor.from_pretrained(
        CHECKPOINT, tokenizer=tokenizer, do_image_splitting=False, num_frames=3, image_seq_len=9, chat_template="x"
    )
    assert made.tokenizer is tokenizer and tokenizer.pad_token_id == 0
    assert made.image_processor.do_image_splitting is False and made.video_processor.num_frames == 3
    assert (made.image_seq_len, made.chat_template) == (9, "x")
    assert made(text="<image>", images=IMAGE)["input_ids"].tolist()[0].count(made.image_token_id) == 9


def test_changed_attributes_take_effect(processor):
    made = SmolVLMProcessor.from_pretrained(CHECKPOINT)
    before = made(text="<image>", images=IMAGE)["input_ids"]
    made.image_seq_len = 8
    after = made(text="<image>", images=IMAGE)["input_ids"]
    tiles = (before == made.image_token_id).sum() // 4
    assert (after == made.image_token_id).sum() == 8 * tiles
    made.chat_template = "{{ messages | length }}"
    assert made.apply_chat_template("a") == "1"
    made.tokenizer.padding_side = "right"
    assert made(text=["a", "b c d"], padding=True)["attention_mask"][0, 0] == 1


def test_parts_are_checked(processor):
    parts = (processor.image_processor, processor.tokenizer, processor.video_processor)
    with pytest.raises(TypeError, match="image_processor must be a SmolVLMImageProcessor"):
        SmolVLMProcessor(parts[2], parts[1], parts[0])
    with pytest.raises(TypeError, match="tokenizer must be"):
        SmolVLMProcessor(parts[0], "tokenizer", parts[2])


def test_images_and_videos_in_one_text(processor):
    """The tiles of a text are in the order of its placeholders; the reference loses the images."""
    clip = [noise(k, 12, 16) for k in range(4)]
    metadata = [VideoMetadata(4, fps=1)]
    inputs = processor(
        text=["<video> and <image>", "<image>", "none"],
        images=[[IMAGE], [IMAGE], []],
        videos=[clip],
        video_metadata=metadata,
        padding=True,
        do_image_splitting=False,
    )
    image = processor.image_processor(IMAGE, do_image_splitting=False)["pixel_values"][0]
    video = processor.video_processor([clip])["pixel_values"][0]
    pixels, mask = inputs["pixel_values"], inputs["pixel_attention_mask"]
    assert pixels.shape == (3, 5, 3, 64, 64)
    np.testing.assert_array_equal(pixels[0], np.concatenate([video, image]))
    np.testing.assert_array_equal(pixels[1, :1], image)
    assert not pixels[1, 1:].any() and not pixels[2].any()
    assert mask.all(axis=(2, 3)).tolist() == [[True] * 5, [True] + [False] * 4, [False] * 5]
    tokens = (inputs["input_ids"] == processor.image_token_id).sum(axis=1)
    assert tokens.tolist() == [20, 4, 0]


def test_video_metadata_is_checked():
    clip = [IMAGE] * 3
    with pytest.raises(ValueError, match="1 videos but 2"):
        SmolVLMVideoProcessor()(clip, video_metadata=[VideoMetadata(3), VideoMetadata(3)])
    with pytest.raises(ValueError, match="2 frames_indices for 3 frames"):
        SmolVLMVideoProcessor()(clip, video_metadata={"total_num_frames": 3, "frames_indices": [0, 1]})
    given = VideoMetadata(3, fps=2.0, duration=1.5)
    found = SmolVLMVideoProcessor(num_frames=2, fps=1)(
        clip, video_metadata=given, do_sample_frames=True, return_metadata=True
    )
    assert given.frames_indices is None
    (metadata,) = found["video_metadata"]
    assert list(metadata.frames_indices) == [0, 2] and metadata.timestamps == [0.0, 1.0]
    assert metadata.sampled_fps == pytest.approx(2 * 2 / 3)
    assert dict(metadata)["duration"] == 1.5 and len(metadata) == 7


def test_number_of_tiles():
    processor = SmolVLMImageProcessor(size={"longest_edge": 256}, max_image_size={"longest_edge": 64})
    for height, width in ((24, 36), (100, 100), (7, 300)):
        inputs = processor(np.zeros((height, width, 3), np.uint8), return_row_col_info=True)
        tiles, rows, cols = processor.get_number_of_image_patches(height, width)
        assert (tiles, [[rows]], [[cols]]) == (inputs["pixel_values"].shape[1], inputs["rows"], inputs["cols"])
    assert processor.get_number_of_image_patches(50, 50, {"do_image_splitting": False}) == (0, 0, 0)


def test_video_files(processor):
    import shutil

    if not all(shutil.which(name) for name in ("ffmpeg", "ffprobe")):
        pytest.importorskip("av")
    path = GOLDEN.parent / "corpus" / "clips" / "plain.mp4"
    every = processor.video_processor(path, return_metadata=True)
    (metadata,) = every["video_metadata"]
    assert metadata.total_num_frames == every["pixel_values"].shape[1] == len(metadata.frames_indices)
    conversation = [{"role": "user", "content": [{"type": "video", "path": path}]}]
    inputs = processor.apply_chat_template(
        conversation, tokenize=True, return_dict=True, processor_kwargs={"num_frames": 3, "return_metadata": True}
    )
    (sampled,) = inputs["video_metadata"]
    assert len(sampled.frames_indices) == inputs["pixel_values"].shape[1] == 3
    np.testing.assert_array_equal(inputs["pixel_values"][0], every["pixel_values"][0][list(sampled.frames_indices)])


def test_batch_feature():
    features = BatchFeature({"a": [[1, 2], [3, 4]], "b": ["text"], "c": np.zeros(2)}, tensor_type="np")
    assert features.a.tolist() == features["a"].tolist() == [[1, 2], [3, 4]]
    assert features["b"] == ["text"] and set(features) == {"a", "b", "c"} and "a" in features
    assert {**features}.keys() == features.keys()
    again = pickle.loads(pickle.dumps(features))
    assert again.a.tolist() == features.a.tolist() and copy.deepcopy(features).b == ["text"]
    with pytest.raises(AttributeError, match="'d'"):
        _ = features.d
    with pytest.raises(KeyError):
        _ = features["d"]
    with pytest.raises(ValueError, match="padding=True"):
        BatchFeature({"a": [[1], [2, 3]]}, tensor_type="np")
    with pytest.raises(ValueError, match="return_tensors"):
        BatchFeature({"a": [1]}, tensor_type="tf")
    assert BatchFeature({"a": [[1], [2, 3]]}, "np", ["a"])["a"] == [[1], [2, 3]]


def test_texts_of_different_lengths_need_padding(processor):
    with pytest.raises(ValueError, match="padding=True"):
        processor(text=["a", "a longer text"])
    assert [len(row) for row in processor(text=["a", "b"], return_tensors=None)["input_ids"]] == [1, 1]


def test_special_tokens(tmp_path):
    tokenizer = SmolVLMTokenizer.from_pretrained(CHECKPOINT)
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<end_of_utterance>", 551)
    assert tokenizer.cls_token is None and tokenizer.cls_token_id is None
    with pytest.raises(AttributeError, match="no_such_token"):
        _ = tokenizer.no_such_token
    with pytest.raises(AttributeError, match="other"):
        _ = tokenizer.other
    tokenizer.pad_token = tokenizer.eos_token
    assert tokenizer.pad_token_id == 551
    tokenizer.pad_token_id = 0
    assert tokenizer.pad_token == "<|endoftext|>"
    tokenizer.model_max_length = 99
    tokenizer.save_pretrained(tmp_path)
    again = SmolVLMTokenizer.from_pretrained(tmp_path)
    assert again.special_tokens_map == tokenizer.special_tokens_map and again.model_max_length == 99
    assert len(again) == len(tokenizer) == 552
    assert 551 in again.all_special_ids and "<image>" in again.all_special_tokens
    tokenizer.pad_token = None
    with pytest.raises(ValueError, match="padding token"):
        tokenizer(["a", "b c"], padding=True)


def test_older_spellings_of_special_tokens(tmp_path):
    source = read_json(CHECKPOINT / "tokenizer_config.json")
    (tmp_path / "tokenizer.json").write_text((CHECKPOINT / "tokenizer.json").read_text())
    spelled = {key: {"content": value} if key.endswith("_token") else value for key, value in source.items()}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(spelled))
    expected = SmolVLMTokenizer.from_pretrained(CHECKPOINT).special_tokens_map
    assert SmolVLMTokenizer.from_pretrained(tmp_path).special_tokens_map == expected
    rest = {key: value for key, value in source.items() if not key.endswith("_token")}
    tokens = {key: value for key, value in source.items() if key.endswith("_token")}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**rest, "extra_special_tokens": tokens}))
    assert SmolVLMTokenizer.from_pretrained(tmp_path).special_tokens_map == expected
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(rest))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(tokens))
    assert SmolVLMTokenizer.from_pretrained(tmp_path).special_tokens_map == expected


@pytest.mark.parametrize(
    "arguments",
    [
        {"padding": "always"},
        {"truncation": "sometimes"},
        {"max_length": -1},
        {"padding_side": "top", "padding": True},
        {"text_pair": "b"},
        {"return_offsets_mapping": True},
        {"padding": True, "truncation": True, "max_length": 7, "pad_to_multiple_of": 4},
    ],
    ids=str,
)
def test_wrong_arguments_of_the_tokenizer(processor, arguments):
    with pytest.raises(ValueError, match=next(iter(arguments)) if len(arguments) == 1 else None):
        processor.tokenizer("a", **arguments)
    with pytest.raises(ValueError, match="must be a string"):
        processor.tokenizer(["a", 3])
