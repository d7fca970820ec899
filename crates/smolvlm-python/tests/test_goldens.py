"""Every golden of images, videos, conversations and tokens, through the Python classes."""

import json
from contextlib import nullcontext

import numpy as np
import pytest
from conftest import GOLDEN, checkpoints, crc32, noise, read_json
from smolvlm import SmolVLMImageProcessor, SmolVLMProcessor, SmolVLMVideoProcessor, VideoMetadata

PROCESSING = GOLDEN / "processing"


def case_files(pattern):
    files = sorted(GOLDEN.glob(pattern))
    assert files, pattern
    return [pytest.param(file, id=str(file.parent.relative_to(GOLDEN))) for file in files]


def golden(name):
    cases = read_json(PROCESSING / name)
    assert cases
    return cases


def levels(pixels):
    """The 8-bit levels of normalized pixel values, checking that they are exactly those of the reference."""
    found = np.round(pixels * np.float32(127.5) + np.float32(127.5)).astype(np.uint8)
    np.testing.assert_array_equal((found.astype(np.float32) - np.float32(127.5)) / np.float32(127.5), pixels)
    return found


def processor_of(file, levels_up):
    return SmolVLMProcessor.from_pretrained(file.parents[levels_up] / "model")


def assert_text_inputs(inputs, case):
    assert inputs["input_ids"].tolist() == case["input_ids"]
    assert inputs["attention_mask"].tolist() == case["attention_mask"]


def with_absolute_paths(conversations):
    text = json.dumps(conversations)
    return json.loads(text.replace('"path": "media/', f'"path": "{GOLDEN.as_posix()}/media/'))


@pytest.mark.parametrize("file", case_files("*/*/case.json"))
def test_conversation(file):
    case, processor = read_json(file), processor_of(file, 1)
    conversations = with_absolute_paths(case["conversations"])
    assert processor.apply_chat_template(conversations, add_generation_prompt=True) == case["rendered"]
    inputs = processor.apply_chat_template(
        conversations,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        processor_kwargs={"padding": True, "return_text_replacement_offsets": True, **case["image_processor"]},
    )
    assert_text_inputs(inputs, case)
    rows = zip(case["input_ids"], case["attention_mask"], strict=True)
    unpadded = [[i for i, is_real in zip(*row, strict=True) if is_real] for row in rows]
    assert processor.batch_decode(unpadded) == case["prompts"]
    if case["pixel_values_shape"] is None:
        assert "pixel_values" not in inputs
        return
    assert list(inputs["pixel_values"].shape) == case["pixel_values_shape"]
    mask = inputs["pixel_attention_mask"]
    real = mask.all(axis=(2, 3))
    assert (mask == real[..., None, None]).all()
    assert crc32(levels(inputs["pixel_values"][real])) == case["pixels_crc32"]
    assert not inputs["pixel_values"][~real].any()
    with_grids = processor.image_processor(
        [[item["path"] for m in c for item in m["content"] if item["type"] == "image"] for c in conversations],
        return_row_col_info=True,
        **case["image_processor"],
    )
    assert (with_grids["rows"], with_grids["cols"]) == (case["rows"], case["cols"])
    np.testing.assert_array_equal(with_grids["pixel_values"], inputs["pixel_values"])


def decoded(item):
    if item["type"] != "video":
        return item
    spec = item["frames"]
    frames = [noise(spec["seed"] + k, spec["height"], spec["width"]) for k in range(spec["frames"])]
    return {"type": "video", "video": np.stack(frames)}


@pytest.mark.parametrize("file", case_files("*/video/*/case.json"))
def test_video_conversation(file):
    case, processor = read_json(file), processor_of(file, 2)
    specs = [i["frames"] for c in case["conversations"] for m in c for i in m["content"] if i["type"] == "video"]
    conversations = [
        [{**message, "content": [decoded(item) for item in message["content"]]} for message in conversation]
        for conversation in case["conversations"]
    ]
    arguments = {"padding": True, **case["video_processor"]}
    if all(spec["fps"] is not None for spec in specs):
        arguments["video_metadata"] = [
            {"total_num_frames": spec["frames"], "fps": spec["fps"], "duration": spec["duration"]} for spec in specs
        ]
    assert processor.apply_chat_template(conversations, add_generation_prompt=True) == case["rendered"]
    unknown_rate = any(spec["fps"] is None for spec in specs)
    with pytest.warns(UserWarning, match="frame rate") if unknown_rate else nullcontext():
        inputs = processor.apply_chat_template(
            conversations,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            processor_kwargs={**arguments, "return_metadata": True},
        )
    assert_text_inputs(inputs, case)
    assert processor.batch_decode([[i for i in row if i != 2] for row in case["input_ids"]]) == case["prompts"]
    assert list(inputs["pixel_values"].shape) == case["pixel_values_shape"]
    indices = [list(map(int, metadata.frames_indices)) for metadata in inputs["video_metadata"]]
    assert indices == [video for row in case["frames_indices"] for video in row]
    real = [pixels[: len(own)] for pixels, own in zip(inputs["pixel_values"], indices, strict=True)]
    assert crc32(levels(np.concatenate(real))) == case["pixels_crc32"]
    assert inputs["pixel_attention_mask"].all()
    for pixels, own in zip(inputs["pixel_values"], indices, strict=True):
        assert not pixels[len(own) :].any()


def test_every_option_of_the_image_processor(processor):
    refused = 0
    for case in golden("options.json"):
        arguments = {"images": str(GOLDEN / case["image"]), "return_row_col_info": True, **case["image_processor"]}
        if "error" in case:
            with pytest.raises((ValueError, KeyError)):
                processor.image_processor(**arguments)
            refused += 1
            continue
        inputs = processor.image_processor(**arguments)
        assert (inputs["rows"], inputs["cols"]) == ([[case["rows"]]], [[case["cols"]]]), case
        assert list(inputs["pixel_values"].shape) == case["shape"], case
        assert crc32(inputs["pixel_values"]) == case["f32_crc32"], case
    assert refused


def test_geometry():
    # Without the large ones, which take long.
    cases = [case for case in golden("geometry.json") if max(case["stretched"]) <= 640 and case["shape"][1] <= 256]
    assert len(cases) >= 50
    for case in cases:
        inputs = SmolVLMImageProcessor()(
            np.zeros((case["height"], case["width"], 3), np.uint8),
            size=case["size"],
            max_image_size={"longest_edge": case["tile"]},
            do_image_splitting=case["do_image_splitting"],
            do_resize=case["do_resize"],
            input_data_format="channels_last",
            resample=0,
            return_row_col_info=True,
        )
        assert (inputs["rows"], inputs["cols"]) == ([[case["rows"]]], [[case["cols"]]]), case
        assert list(inputs["pixel_values"].shape) == case["shape"], case


def single_tile(source, edge, **arguments):
    """One tile of the nearest pixels of a picture."""
    sizes = {"size": {"height": edge, "width": edge}, "max_image_size": {"longest_edge": edge}}
    return SmolVLMImageProcessor(do_image_splitting=False, resample=0, **sizes)(source, **arguments)


def test_normalization():
    square = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    names = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")
    for case in golden("normalize.json"):
        inputs = single_tile(square, 16, **{name: case[name] for name in names})
        bits = inputs["pixel_values"].reshape(3, 256).view(np.uint32).tolist()
        expected = case["f32_bits"]
        assert bits == [expected[min(channel, len(expected) - 1)] for channel in range(3)], case["name"]


def pixels_of(source, height, width):
    """The decoded levels of a picture, enlarged to a square."""
    return levels(single_tile(source, max(height, width))["pixel_values"][0, 0])


def enlarged(pixels):
    """What nearest-neighbor resizing makes of `[height, width, 3]` levels in a square tile."""
    edge = max(pixels.shape[:2])

    def positions(length):
        scale = np.float32(length) / np.float32(edge)
        return np.minimum(np.floor((np.arange(edge, dtype=np.float32) + np.float32(0.5)) * scale), length - 1).astype(
            int
        )

    return pixels[positions(pixels.shape[0])][:, positions(pixels.shape[1])].transpose(2, 0, 1)


def test_color_modes_and_containers():
    load_file = pytest.importorskip("safetensors.numpy").load_file
    expected = load_file(PROCESSING / "modes.safetensors")
    for case in golden("modes.json"):
        file = GOLDEN / case["file"]
        pixels = expected[file.name]
        for source in (str(file), file, file.read_bytes()):
            found = pixels_of(source, case["height"], case["width"])
            np.testing.assert_array_equal(found, enlarged(pixels), err_msg=case["file"])


def test_decoders():
    compared = refused = 0
    for case in golden("decoders.json"):
        file = GOLDEN / "media" / "decoders" / case["file"]
        # Variants of TIFF are the exception: some that Pillow reads are refused and the reverse.
        if file.suffix == ".tif":
            continue
        if "error" in case:
            with pytest.raises(ValueError):
                single_tile(file, 64)
            refused += 1
        elif case["height"] == case["width"]:
            found = pixels_of(file, case["height"], case["width"])
            assert crc32(found.transpose(1, 2, 0)) == case["crc32"], case["file"]
            compared += 1
    assert compared >= 20 and refused >= 20


def test_chat_templates(processor):
    rendered = 0
    for case in golden("templates.json"):
        flags = {name: case[name] for name in ("add_generation_prompt", "continue_final_message") if name in case}
        if case["name"] == "content given as a string is lost":
            found = processor.apply_chat_template(case["messages"], **flags)
            assert found == "<|im_start|>User: hello<end_of_utterance>\nAssistant:"
        elif "error" in case or case["name"] == "unknown content type ignored":
            with pytest.raises((ValueError, TypeError)):
                processor.apply_chat_template(case["messages"], **flags)
        else:
            assert processor.apply_chat_template(case["messages"], **flags) == case["text"], case["name"]
            rendered += 1
    assert rendered >= 15


def test_other_chat_templates():
    processor = SmolVLMProcessor.from_pretrained(GOLDEN / "gqa-256m" / "model")
    compared = 0
    for case in golden("chat_templates.json"):
        if "text" not in case:
            continue
        flags = {name: case[name] for name in ("add_generation_prompt", "continue_final_message") if name in case}
        processor.chat_template = case["template"]
        assert processor.apply_chat_template(case["messages"], **flags) == case["text"], case["name"]
        compared += 1
    assert compared


def test_tokens(processor):
    tokenizer = processor.tokenizer
    for case in golden("tokenizer-cases.json"):
        if "text" in case:
            assert tokenizer(case["text"])["input_ids"] == case["ids"], case
        assert tokenizer.decode(case["ids"]) == case["decoded"]
        assert tokenizer.decode(case["ids"], skip_special_tokens=True) == case["decoded_without_special"]


def test_sampling():
    processor = SmolVLMVideoProcessor()
    for case in golden("video_sampling.json"):
        rate = case["F"][0] / case["F"][1]
        metadata = VideoMetadata(case["n"], fps=rate, duration=case["D"])
        found = processor.sample_frames(
            metadata, num_frames=case["num_frames"], fps=case["fps"], skip_secs=case["skip_secs"]
        )
        if "indices" in case:
            assert found.tolist() == case["indices"], case
        else:
            assert (len(found), found[:8].tolist(), found[-8:].tolist()) == (case["count"], case["first"], case["last"])
            assert crc32(found.astype(np.uint32)) == case["crc32"], case


def test_video_prompts(processor):
    cases = [c for c in golden("video_prompts.json") if len(c["frames_indices"]) <= c["announced"] <= 1000]
    assert len(cases) >= 50
    for case in cases:
        metadata = VideoMetadata(
            max(case["frames_indices"]) + 1,
            fps=case["fps"],
            duration=case["duration"],
            frames_indices=case["frames_indices"],
        )
        # A second video of as many frames as the text of the first one has to state.
        other = VideoMetadata(case["announced"], fps=1, frames_indices=list(range(case["announced"])))
        found, _ = processor.native().expand(["<video>", "<video>"], [[metadata.plan()], [other.plan()]])
        assert found == case["text"], case


def test_every_checkpoint_has_a_processor():
    for checkpoint in checkpoints():
        processor = SmolVLMProcessor.from_pretrained(checkpoint / "model")
        assert processor.image_token_id == read_json(checkpoint / "model" / "config.json")["image_token_id"]
        assert processor.tokenizer.padding_side == "left"
        assert "{%" in processor.chat_template and "message" in processor.chat_template
