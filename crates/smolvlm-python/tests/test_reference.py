"""The same calls of transformers' processors and ours give equal arrays."""

import warnings

import numpy as np
import pytest
import smolvlm
from conftest import CHECKPOINT, GOLDEN, assert_equal_inputs

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
Image = pytest.importorskip("PIL.Image")

RNG = np.random.default_rng(5)


METADATA = [{"total_num_frames": 16, "fps": 4}, {"total_num_frames": 40, "fps": 8}]


def pixels(height, width, channels=3):
    return RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)


def in_mode(mode):
    """A PIL image in a color mode, with some transparency where there can be."""
    rgba = Image.fromarray(pixels(40, 30, 4), "RGBA")
    if mode == "P with transparency":
        image = rgba.convert("P")
        image.info["transparency"] = 7
        return image
    if mode == "RGB with transparency":
        image = rgba.convert("RGB")
        image.info["transparency"] = tuple(int(v) for v in np.asarray(image)[0, 0])
        return image
    if mode.startswith("I;16"):
        return Image.fromarray(RNG.integers(0, 65536, (40, 30), dtype=np.uint16))
    if mode in ("I", "F"):
        return rgba.convert("L").convert(mode)
    if mode == "LAB":
        return rgba.convert("RGB").convert("YCbCr")
    return rgba.convert(mode)


def image_inputs(reference, processor, images, **kwargs):
    kwargs = {"return_tensors": "np", "return_row_col_info": True, **kwargs}
    return processor.image_processor(images, **kwargs), reference.image_processor(images, **kwargs)


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"]
    + ["P with transparency", "RGB with transparency"],
)
def test_pil_modes(reference, processor, mode):
    if mode == "PA":
        image = in_mode("LA").convert("PA")
    else:
        image = in_mode(mode)
    assert_equal_inputs(*image_inputs(reference, processor, image))


def test_exif_of_pil_images_is_ignored(reference, processor):
    image = Image.open(GOLDEN / "media" / "modes" / "exif-6.jpg")
    assert image.getexif()[274] == 6
    assert_equal_inputs(*image_inputs(reference, processor, image))


def test_exif_of_files_is_applied(reference, processor):
    for name in ("exif-3.jpg", "exif-6.jpg"):
        path = str(GOLDEN / "media" / "modes" / name)
        ours, theirs = image_inputs(reference, processor, path)
        assert ours["pixel_values"].shape == theirs["pixel_values"].shape
        # torchvision decodes JPEG with the same library as Pillow.
        np.testing.assert_array_equal(ours["pixel_values"], theirs["pixel_values"])


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", ["last", "first", "tensor"])
def test_arrays(reference, processor, channels, kind):
    array = pixels(50, 41, channels)
    image = {"last": array, "first": array.transpose(2, 0, 1), "tensor": torch.from_numpy(array.transpose(2, 0, 1))}[
        kind
    ]
    assert_equal_inputs(*image_inputs(reference, processor, image))


def test_every_level_and_transparency(reference, processor):
    """All 65536 pairs of a level and an opacity: the composition over white is exact."""
    levels, alpha = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    array = np.stack([levels, levels, 255 - levels, alpha], axis=-1)
    kwargs = {
        "do_image_splitting": False,
        "size": {"height": 256, "width": 256},
        "max_image_size": {"longest_edge": 256},
    }
    assert_equal_inputs(*image_inputs(reference, processor, array, **kwargs))


def test_ambiguous_channels(reference, processor):
    array = RNG.integers(0, 256, (3, 20, 4), dtype=np.uint8)
    with pytest.warns(UserWarning, match="channels"):
        ours, theirs = image_inputs(reference, processor, array)
    assert_equal_inputs(ours, theirs)
    assert_equal_inputs(*image_inputs(reference, processor, array[..., :3], input_data_format="channels_last"))


@pytest.mark.parametrize(
    "images",
    [
        pixels(30, 20),
        [pixels(30, 20), pixels(20, 60)],
        [[pixels(30, 20)], [pixels(20, 60), pixels(9, 9)]],
        [[], [pixels(30, 20)]],
        np.stack([pixels(30, 20), pixels(30, 20)]),
        [np.stack([pixels(30, 20), pixels(30, 20)]), pixels(9, 30)[None]],
    ],
    ids=["one", "flat", "nested", "empty sample", "four dimensions", "list of four dimensions"],
)
def test_structures(reference, processor, images):
    assert_equal_inputs(*image_inputs(reference, processor, images))


IMAGE_OPTIONS = [
    {"do_image_splitting": False},
    {"do_resize": False},
    {"do_rescale": False},
    {"do_normalize": False},
    {"do_normalize": False, "do_rescale": False},
    {"do_normalize": None},
    {"do_pad": False},
    {"size": {"longest_edge": 100}},
    {"size": {"height": 70, "width": 90}},
    {"size": 90},
    {"size": (70, 90)},
    {"max_image_size": {"longest_edge": 50}},
    {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]},
    {"image_mean": 0.25, "image_std": 0.75},
    {"rescale_factor": 1 / 128},
    {"resample": 2},
    {"resample": 3},
    {"resample": Image.Resampling.NEAREST},
    {"do_center_crop": True, "crop_size": 12},
    {"disable_grouping": True, "device": "cpu"},
]


@pytest.mark.parametrize("options", IMAGE_OPTIONS, ids=str)
def test_image_options(reference, processor, options):
    ours, theirs = image_inputs(reference, processor, pixels(33, 47), **options)
    if options.get("do_normalize", True) is not False or options.get("do_rescale", True):
        assert_equal_inputs(ours, theirs)
    else:
        # Without both steps, the reference returns levels as uint8.
        np.testing.assert_array_equal(ours["pixel_values"], theirs["pixel_values"])


def test_attributes_and_per_call_overrides(reference):
    for options in IMAGE_OPTIONS[:8]:
        ours = smolvlm.SmolVLMImageProcessor(**options)
        theirs = transformers.SmolVLMImageProcessor(**options)
        assert ours.to_dict() == theirs.to_dict()
        assert ours.to_json_string() == theirs.to_json_string()


@pytest.mark.parametrize("name", ["gqa-256m", "mha-2b", "legacy", "tied", "unusual"])
def test_settings_of_checkpoints(name):
    path = GOLDEN / name / "model"
    ours, theirs = smolvlm.SmolVLMProcessor.from_pretrained(path), transformers.AutoProcessor.from_pretrained(path)
    assert ours.to_dict() == theirs.to_dict()
    assert ours.chat_template == theirs.chat_template
    assert set(ours.model_input_names) == set(theirs.model_input_names)
    for attribute in ("image_token", "image_token_id", "image_seq_len", "video_token", "fake_image_token"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert ours.tokenizer.special_tokens_map == theirs.tokenizer.special_tokens_map
    for attribute in ("pad_token_id", "eos_token", "bos_token_id", "cls_token", "model_max_length", "truncation_side"):
        assert getattr(ours.tokenizer, attribute) == getattr(theirs.tokenizer, attribute)
    assert len(ours.tokenizer) == len(theirs.tokenizer)


def test_saved_files_load_in_transformers_and_back(processor, tmp_path):
    saved = smolvlm.SmolVLMProcessor.from_pretrained(CHECKPOINT, do_image_splitting=False)
    saved.save_pretrained(tmp_path / "ours")
    theirs = transformers.AutoProcessor.from_pretrained(tmp_path / "ours")
    assert isinstance(theirs, transformers.SmolVLMProcessor)
    assert theirs.to_dict() == saved.to_dict()
    assert theirs.tokenizer.special_tokens_map == saved.tokenizer.special_tokens_map
    assert theirs.tokenizer.padding_side == "left"
    assert theirs.chat_template == saved.chat_template
    theirs.save_pretrained(tmp_path / "theirs")
    again = smolvlm.SmolVLMProcessor.from_pretrained(tmp_path / "theirs")
    assert again.to_dict() == saved.to_dict()
    assert again.tokenizer.special_tokens_map == saved.tokenizer.special_tokens_map


TEXTS = ["a <image><image> b", "<image>", "none"]
IMAGES = [[pixels(30, 40), pixels(80, 33)], [pixels(100, 100)], []]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding_side": "right"},
        {"padding": "max_length", "max_length": 400},
        {"pad_to_multiple_of": 64},
        {"return_mm_token_type_ids": True},
        {"return_attention_mask": False},
        {"add_special_tokens": False},
        {"do_image_splitting": False},
        {"images_kwargs": {"do_image_splitting": False}, "text_kwargs": {"padding_side": "right"}},
        {"text_kwargs": {"return_mm_token_type_ids": True}},
        {"common_kwargs": {"return_tensors": "np"}},
    ],
    ids=str,
)
def test_processor_call(reference, processor, options):
    kwargs = {"text": TEXTS, "images": IMAGES, "padding": True, "return_tensors": "np", **options}
    if "common_kwargs" in options:
        del kwargs["return_tensors"]
    ours, theirs = processor(**kwargs), reference(**kwargs)
    assert_equal_inputs(ours, theirs)
    assert list(ours) == list(theirs)


def test_text_replacement_offsets(reference, processor):
    kwargs = {"text": TEXTS, "images": IMAGES, "padding": True, "return_text_replacement_offsets": True}
    ours, theirs = processor(**kwargs), reference(**kwargs, return_tensors="np")
    assert ours["text_replacement_offsets"] == theirs["text_replacement_offsets"]


def test_torch_tensors(reference, processor):
    kwargs = {"text": TEXTS, "images": IMAGES, "padding": True, "return_tensors": "pt"}
    ours, theirs = processor(**kwargs), reference(**kwargs)
    assert_equal_inputs(ours, theirs)
    for name, value in ours.items():
        assert isinstance(value, torch.Tensor) and value.dtype == theirs[name].dtype
    half = ours.to("cpu", torch.bfloat16)
    assert half is ours and half.pixel_values.dtype == torch.bfloat16 and half.input_ids.dtype == torch.int64


def test_lists_without_return_tensors(reference, processor):
    kwargs = {"text": TEXTS[1:], "images": IMAGES[1:], "return_tensors": None}
    ours, theirs = processor(**kwargs), reference(**kwargs)
    assert ours["input_ids"] == theirs["input_ids"] and ours["attention_mask"] == theirs["attention_mask"]


def test_transformers_tokenizer(reference, processor):
    ours = smolvlm.SmolVLMProcessor(
        processor.image_processor, reference.tokenizer, processor.video_processor, 4, reference.chat_template
    )
    kwargs = {"text": TEXTS, "images": IMAGES, "padding": True, "return_tensors": "np"}
    assert_equal_inputs(ours(**kwargs), reference(**kwargs))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": True},
        {"padding": "max_length", "max_length": 9, "truncation": True},
        {"max_length": 4},
        {"max_length": 4, "padding": "max_length"},
        {"truncation": True, "max_length": 3, "padding": True, "padding_side": "right"},
        {"padding": "longest", "pad_to_multiple_of": 5},
        {"padding": "max_length"},
        {"return_length": True},
        {"truncation": "do_not_truncate", "padding": "do_not_pad", "max_length": 3},
    ],
    ids=str,
)
def test_tokenizer_options(reference, processor, options):
    texts = ["Hello", "a much longer text than the other one", ""]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = reference.tokenizer(texts, **options)
    assert dict(processor.tokenizer(texts, **options)) == dict(theirs)
    assert dict(processor.tokenizer(texts[1], **options)) == dict(reference.tokenizer(texts[1], **options))


def test_tokenizer_decoding(reference, processor):
    ids = [[1, 345, 28, 74], [551, 201, 2, 2]]
    for value in (ids, np.array(ids), torch.tensor(ids), ids[0], np.array(ids[0]), 74):
        for skip in (False, True):
            theirs = reference.tokenizer.decode(value, skip_special_tokens=skip)
            assert processor.tokenizer.decode(value, skip_special_tokens=skip) == theirs
    assert processor.batch_decode(torch.tensor(ids), skip_special_tokens=True) == reference.batch_decode(
        torch.tensor(ids), skip_special_tokens=True
    )
    assert processor.post_process_image_text_to_text(ids) == reference.post_process_image_text_to_text(ids)
    tokens = reference.tokenizer.convert_ids_to_tokens(ids[0])
    assert processor.tokenizer.convert_ids_to_tokens(ids[0]) == tokens
    tokens.append("no such token")
    assert processor.tokenizer.convert_tokens_to_ids(tokens) == reference.tokenizer.convert_tokens_to_ids(tokens)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"text": 3},
        {"text": ["a", 3]},
        {"text": "<image>"},
        {"text": "<video>"},
        {"text": "a", "images": pixels(9, 9)},
        {"text": ["<image>", "<image>"], "images": [pixels(9, 9), pixels(9, 9)]},
        {"text": ["<image><image>", "a"], "images": [[pixels(9, 9)], [pixels(9, 9)]]},
        {"text": "a", "videos": pixels(9, 81).reshape(9, 9, 9, 3)},
        {"images": pixels(9, 9), "videos": pixels(9, 81).reshape(9, 9, 9, 3)},
        {"text": "<image>", "images": pixels(9, 9), "truncation": True, "max_length": 4},
        {"text": "<image>", "images": pixels(9, 9), "padding": "always"},
        {"images": None},
        {"images": [None]},
        {"images": {}},
        {"images": [[pixels(9, 9)], pixels(9, 9)]},
        {"images": "no-such-file.png"},
        {"images": pixels(9, 9, 2)},
        {"images": pixels(9, 9), "size": {"edge": 3}},
        {"images": pixels(9, 9), "size": {"shortest_edge": 3}},
        {"images": pixels(9, 9), "max_image_size": {"height": 3}},
        {"images": pixels(9, 9), "resample": 9},
        {"images": pixels(9, 9), "do_resize": "yes"},
        {"images": pixels(9, 9), "rescale_factor": None},
        {"images": pixels(9, 9), "image_mean": None},
        {"images": pixels(9, 9), "size": None},
        {"images": pixels(9, 9), "return_tensors": "tf"},
        {"images": pixels(9, 9), "images_kwargs": {"size": 9}, "size": 9},
        {"videos": pixels(9, 81).reshape(9, 9, 9, 3), "do_sample_frames": True},
        {"videos": pixels(9, 81).reshape(9, 9, 9, 3), "video_metadata": METADATA},
        {"videos": pixels(9, 81).reshape(9, 9, 9, 3), "video_metadata": {"rate": 1}},
        {"videos": pixels(9, 81).reshape(9, 9, 9, 3), "num_frames": -1, "do_sample_frames": True},
        {"videos": 3},
    ],
    ids=lambda arguments: " ".join(f"{k}={v}"[:40] for k, v in arguments.items() if not isinstance(v, np.ndarray)),
)
def test_what_the_reference_refuses_is_refused(reference, processor, arguments):
    with pytest.raises(Exception):  # noqa: B017
        reference(**arguments)
    with pytest.raises((ValueError, TypeError, KeyError, OSError)) as caught:
        processor(**arguments)
    assert len(str(caught.value)) > 10
