"""Conversations of Python objects."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from conftest import CHECKPOINT, GOLDEN, noise
from smolvlm import SmolVLMProcessor, _native
from smolvlm._conversation import is_batch, media_items, messages_of, source_of, to_native, without_media

IMAGE = noise(2, 20, 30)
FILE = GOLDEN / "media" / "square.png"


def user(*items):
    return [{"role": "user", "content": list(items)}]


def rendered(conversation, processor):
    return processor.native().render(conversation)


def test_texts_and_messages(processor):
    expected = "<|im_start|>User: Hello<end_of_utterance>\nAssistant:"
    for conversation in (
        "Hello",
        {"role": "user", "content": "Hello"},
        [{"role": "user", "content": "Hello"}],
        user({"type": "text", "text": "Hello"}),
        [{"role": "user", "content": ({"type": "text", "text": "Hello"},), "name": None}],
    ):
        assert rendered(to_native(conversation), processor) == expected
        assert processor.apply_chat_template(conversation, add_generation_prompt=True) == expected


def test_batches():
    one = user({"type": "text", "text": "a"})
    assert not is_batch(one) and not is_batch("a") and not is_batch([])
    assert is_batch([one]) and is_batch([one, one])


@pytest.mark.parametrize("key", ["image", "url", "path", "bytes", "image_url"])
@pytest.mark.parametrize(
    "value",
    [IMAGE, IMAGE.transpose(2, 0, 1), FILE, str(FILE), FILE.read_bytes()],
    ids=["array", "first", "path", "str", "bytes"],
)
def test_images_in_any_key(processor, key, value):
    if key == "bytes" and isinstance(value, (str, Path)):
        pytest.skip("this key holds base64 if it holds a text")
    conversation = user({"type": "image", key: value}, {"type": "text", "text": "?"})
    expected = "<|im_start|>User:<image>?<end_of_utterance>\nAssistant:"
    assert rendered(to_native(conversation), processor) == expected
    given = {"type": "image_url", "image_url": {"url": value, "detail": "low"}}
    assert rendered(to_native(user(given, {"type": "text", "text": "?"})), processor) == expected


def test_videos_of_every_kind(processor):
    video = np.stack([IMAGE] * 3)
    expected = "<|im_start|>User: <video><end_of_utterance>\nAssistant:"
    for value in (video, list(video), [FILE, FILE], [str(FILE), IMAGE], "a.mp4", Path("a.mp4"), b"123", IMAGE):
        for key in ("video", "url", "path"):
            assert rendered(to_native(user({"type": "video", key: value, "fps": 2})), processor) == expected


def test_nothing_given_is_changed():
    item = {"type": "image", "image": IMAGE, "unused": None}
    conversation = user(item, {"type": "text", "text": "?"})
    to_native(conversation)
    without_media(messages_of(conversation))
    assert conversation[0]["content"][0] is item and item["image"] is IMAGE and "unused" in item


def test_media_options(processor):
    conversation = user({"type": "image", "image": IMAGE})
    assert isinstance(to_native(conversation, image_splitting=False, longest_edge=64), _native.Conversation)
    with pytest.raises(ValueError):
        to_native(conversation, no_such_option=1)


@dataclasses.dataclass
class Item:
    type: str
    text: str | None = None
    image: object = None


@dataclasses.dataclass
class Message:
    role: str
    content: list
    tool_calls: list | None = None


class Dumped:
    def __init__(self, **values):
        self.values = values

    def model_dump(self):
        return self.values


def test_messages_and_items_may_be_objects():
    conversation = [
        Message("user", [Item("image", image=IMAGE), Item("text", text="What?")]),
        Dumped(role="assistant", content=[Dumped(type="text", text="A square.")]),
    ]
    messages = messages_of(conversation)
    assert messages == [
        {"role": "user", "content": [{"type": "image", "image": IMAGE}, {"type": "text", "text": "What?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "A square."}]},
    ]
    assert [(m, i, kind) for m, i, kind, _ in media_items(messages)] == [(0, 0, "image")]
    assert source_of(messages[0]["content"][0], "image") is IMAGE


@pytest.mark.parametrize(
    "conversation",
    [
        3,
        [],
        [3],
        [{"content": "no role"}],
        [{"role": "user"}],
        [{"role": "user", "content": []}],
        user({"type": "sound", "sound": "a.wav"}),
        user({"type": "image", "image": 3}),
        user({"type": "image", "image": IMAGE / 255}),
        user({"type": "video", "video": 3}),
        user({"type": "text"}),
        user({"type": "text", "text": "a", "extra": object()}),
    ],
    ids=str,
)
def test_errors_say_what_is_wrong(conversation):
    with pytest.raises((TypeError, ValueError)) as caught:
        to_native(conversation)
    assert len(str(caught.value)) > 15


def test_images_without_data_are_rendered_only(processor):
    conversation = user({"type": "image"}, {"type": "text", "text": "?"})
    assert processor.apply_chat_template(conversation) == "<|im_start|>User:<image>?<end_of_utterance>\n"
    with pytest.raises(ValueError, match="no images were passed"):
        processor.apply_chat_template(conversation, tokenize=True)
    with pytest.raises(ValueError, match="image"):
        to_native(conversation)


def test_images_beside_the_conversation(processor):
    conversation = user({"type": "text", "text": "What is <image>?"})
    arguments = {"tokenize": True, "return_dict": True}
    inputs = processor.apply_chat_template(conversation, **arguments, processor_kwargs={"images": IMAGE})
    np.testing.assert_array_equal(inputs["pixel_values"], processor.image_processor(IMAGE)["pixel_values"])


def test_named_templates(tmp_path):
    processor = SmolVLMProcessor.from_pretrained(CHECKPOINT)
    processor.chat_template = {"default": "D{{ messages[0]['role'] }}", "other": "O{{ messages[0]['role'] }}"}
    assert processor.apply_chat_template("a") == "Duser"
    processor.save_pretrained(tmp_path)
    assert SmolVLMProcessor.from_pretrained(tmp_path).chat_template == processor.chat_template
    processor.chat_template = {"a": "A", "b": "B"}
    with pytest.raises(ValueError, match="a, b"):
        processor.apply_chat_template("a")
    assert processor(text="a")["input_ids"].tolist() == [[67]]
    processor.chat_template = {"default": "a", "../escape": "b"}
    with pytest.raises(ValueError, match="file name"):
        processor.save_pretrained(tmp_path)


def test_another_template_and_variables(processor):
    template = "{{ messages[0]['role'] }} {{ greeting }}{% for tool in tools %} {{ tool.name }}{% endfor %}"
    video = user({"type": "video", "video": np.stack([IMAGE] * 2)})
    for conversation in ("a", video):
        found = processor.apply_chat_template(conversation, template, tools=[{"name": "find"}], greeting="Hi")
        assert found == "user Hi find"


def test_refused_arguments(processor):
    with pytest.raises(ValueError, match="exclude"):
        processor.apply_chat_template("a", add_generation_prompt=True, continue_final_message=True)
    with pytest.raises(ValueError, match="return_assistant_tokens_mask"):
        processor.apply_chat_template("a", return_assistant_tokens_mask=True)
    with pytest.raises(ValueError, match="sanitize"):
        processor.apply_chat_template("a", tokenize=True, sanitize_control_tokens=True)
    processor_without = SmolVLMProcessor(
        processor.image_processor, processor.tokenizer, processor.video_processor, image_seq_len=4
    )
    with pytest.raises(ValueError, match="template"):
        processor_without.apply_chat_template("a")


def test_decoded_frames_without_a_rate_are_all_used(processor):
    video = [noise(k, 8, 8) for k in range(3)]
    with pytest.warns(UserWarning, match="frame rate"):
        inputs = processor.apply_chat_template(user({"type": "video", "video": video}), tokenize=True, return_dict=True)
    assert inputs["pixel_values"].shape[:2] == (1, 3)
    with pytest.raises(ValueError, match="video_metadata"):
        processor.apply_chat_template(
            user({"type": "video", "video": video}), tokenize=True, processor_kwargs={"do_sample_frames": True}
        )


def test_a_list_of_image_files_is_a_video(processor):
    conversation = user({"type": "video", "video": [str(FILE)] * 3})
    arguments = {"tokenize": True, "return_dict": True}
    with pytest.warns(UserWarning, match="frame rate"):
        inputs = processor.apply_chat_template(conversation, **arguments)
    assert inputs["pixel_values"].shape[:2] == (1, 3)
    with pytest.raises(ValueError, match="from a list of images is not supported"):
        processor.apply_chat_template(conversation, **arguments, processor_kwargs={"do_sample_frames": True})
