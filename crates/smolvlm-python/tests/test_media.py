"""Pictures and videos of every kind."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDEN, noise
from smolvlm import _media, _native, _video
from smolvlm._media import flat_videos, frames, nested_pictures, picture

RGB = noise(1, 5, 7)
CLIPS = GOLDEN.parent / "corpus" / "clips"


def test_files_are_not_opened():
    for value in ("a.png", "https://example.com/a.png", Path("a.png"), b"\x89PNG"):
        assert picture(value) is value
    assert picture(bytearray(b"abc")) == picture(memoryview(b"abc")) == b"abc"


def test_arrays_are_not_copied():
    assert picture(RGB) is RGB or np.shares_memory(picture(RGB), RGB)
    assert picture(RGB.transpose(2, 0, 1)).flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, np.float16, np.float32, np.float64])
def test_whole_numbers_of_any_type(dtype):
    array = (RGB % 128).astype(dtype)
    np.testing.assert_array_equal(picture(array), RGB % 128)


@pytest.mark.parametrize(
    "array",
    [
        RGB / 255,
        RGB.astype(np.float32) + 0.5,
        RGB.astype(np.int64) - 256,
        RGB.astype(np.int32) + 256,
        np.full((4, 4, 3), np.nan),
        RGB.astype(complex),
        RGB > 100,
        np.ones((4, 4, 4), np.float32),
    ],
    ids=["scaled", "halves", "negative", "large", "nan", "complex", "bool", "float with transparency"],
)
def test_other_values_are_refused(array):
    with pytest.raises(ValueError, match="uint8"):
        picture(array)


def test_gray_and_shapes():
    gray = RGB[..., 0]
    expected = np.repeat(gray[..., None], 3, axis=-1)
    for array in (gray, gray[..., None], gray[None]):
        np.testing.assert_array_equal(picture(array), expected)
    np.testing.assert_array_equal(picture(RGB.transpose(2, 0, 1)), RGB)
    with pytest.raises(ValueError, match="shape"):
        picture(RGB[None])
    with pytest.raises(ValueError, match="input_data_format"):
        picture(np.zeros((5, 7, 2), np.uint8))
    with pytest.raises(ValueError, match="do_convert_rgb"):
        picture(gray, convert_rgb=False)
    with pytest.raises(ValueError, match="input_data_format"):
        picture(RGB, data_format="sideways")


def test_what_is_no_picture():
    for value in (None, 3, {"url": "a.png"}, object()):
        with pytest.raises(TypeError, match="picture"):
            picture(value)


def test_tensors():
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(RGB.copy())
    np.testing.assert_array_equal(picture(tensor), RGB)
    assert np.shares_memory(_media.to_array(tensor), tensor.numpy())
    np.testing.assert_array_equal(picture(tensor.float().requires_grad_()), RGB)
    with pytest.raises(TypeError, match="bfloat16"):
        picture(tensor.bfloat16())


class Exported:
    """An array of a library that exports it through DLPack only."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def __dlpack__(self, **kwargs):
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Converted:
    """An array of a library that only converts it."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_arrays_of_other_libraries():
    for kind in (Exported, Converted):
        np.testing.assert_array_equal(picture(kind(RGB)), RGB)
        assert len(flat_videos(kind(np.stack([RGB, RGB])))) == 1


def test_no_library_is_imported():
    code = "import smolvlm, sys; print([m for m in ('torch', 'transformers', 'PIL', 'av') if m in sys.modules])"
    import subprocess

    package = Path(_media.__file__).parents[1]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=package, check=True)
    assert found.stdout.strip() == "[]"


def test_groups_of_pictures():
    assert nested_pictures("a.png") == [["a.png"]]
    assert nested_pictures(["a.png", b"b"]) == [["a.png", b"b"]]
    assert nested_pictures([["a.png"], []]) == [["a.png"], []]
    assert [len(sample) for sample in nested_pictures([np.stack([RGB, RGB]), RGB[None]])] == [2, 1]
    with pytest.raises(ValueError, match="one list per sample"):
        nested_pictures([["a.png"], "b.png"])
    with pytest.raises(TypeError, match="NoneType"):
        nested_pictures([None])


def test_groups_of_videos():
    video = np.stack([RGB] * 4)
    assert flat_videos("a.mp4") == ["a.mp4"]
    assert flat_videos(["a.mp4", Path("b.mp4")]) == ["a.mp4", Path("b.mp4")]
    assert flat_videos([["a.mp4"], [], ["b.mp4", "c.mp4"]]) == ["a.mp4", "b.mp4", "c.mp4"]
    assert flat_videos([[["1.png", "2.png"]], [["3.png"]]]) == [["1.png", "2.png"], ["3.png"]]
    assert [len(found) for found in flat_videos([RGB, RGB])] == [2]
    assert [len(found) for found in flat_videos([[RGB, RGB], [RGB]])] == [2, 1]
    assert [len(found) for found in flat_videos([[video], [video, video]])] == [4, 4, 4]
    assert [len(found) for found in flat_videos(np.stack([video, video]))] == [4, 4]
    assert [len(found) for found in flat_videos(RGB)] == [1]
    with pytest.raises(TypeError, match="video"):
        flat_videos(3)


def test_frames_of_arrays():
    video = np.stack([RGB, RGB[::-1]])
    for given in (video, video.transpose(0, 3, 1, 2), list(video)):
        found = frames(given)
        np.testing.assert_array_equal(np.stack(found), video)
    with pytest.raises(ValueError, match="shape"):
        frames(RGB)


@pytest.fixture
def only_pyav(monkeypatch):
    """An environment with PyAV and without FFmpeg's programs."""
    pytest.importorskip("av")
    monkeypatch.setattr(_video.shutil, "which", lambda name: None)


def have_ffmpeg():
    import shutil

    return all(shutil.which(name) for name in ("ffmpeg", "ffprobe"))


CONTAINERS = ["plain.mp4", "ntsc.mkv", "one-frame.mp4", "turned.mp4", "variable.mkv", "odd.mkv", "packed.avi"]


@pytest.mark.parametrize("name", CONTAINERS)
def test_pyav_decodes_as_ffmpeg_does(only_pyav, name):
    if not have_ffmpeg():
        pytest.skip("there is nothing to compare with")
    config = '{"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 64}, "num_frames": 5}'
    native = _native.VideoProcessor(config)
    expected, plan = native.process(str(CLIPS / name))
    for source in (str(CLIPS / name), (CLIPS / name).read_bytes(), (CLIPS / name).as_uri()):
        decoded = _video.with_decoded_container(source, native.sample)
        assert isinstance(decoded, _native.Frames)
        found, own = native.process(decoded)
        assert own.indices == plan.indices
        assert (own.total_num_frames, own.height, own.width) == (plan.total_num_frames, plan.height, plan.width)
        assert own.fps == pytest.approx(plan.fps) and own.duration == pytest.approx(plan.duration, abs=0.05)
        # Both convert colors with FFmpeg's libraries, which may be of different versions.
        assert np.abs(found - expected).max() <= 4 / 127.5


def test_pyav_is_not_used_for_images_and_folders(only_pyav, tmp_path):
    for name in ("moving.gif", "moving.webp", "moving.apng"):
        path = str(CLIPS / name)
        assert _video.with_decoded_container(path, None) is path
    assert _video.with_decoded_container(tmp_path, None) is tmp_path
    assert _video.with_decoded_container("no such file.mp4", None) == "no such file.mp4"


def test_damaged_containers(only_pyav):
    with pytest.raises(ValueError, match=r"decode|video"):
        _video.with_decoded_container(b"\0" * 1000, lambda *_: [0])
    with pytest.raises(ValueError, match="no video stream"):
        _video.with_decoded_container(str(CLIPS / "sound.m4a"), lambda *_: [0])


def test_decoder_errors_name_the_frame(only_pyav):
    with pytest.raises(ValueError, match="frame 1000"):
        _video.decode(io.BytesIO((CLIPS / "plain.mp4").read_bytes()), lambda *_: [1000])
