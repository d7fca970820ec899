"""transformers' tests of processors, on ours."""

import dataclasses
import os
import unittest

from adapters import SmolVLMProcessor

from ...test_processing_common import ProcessorTesterMixin

CHECKPOINT = os.environ["CKPT"]


@dataclasses.dataclass
class Block:
    type: str
    text: str | None = None
    image_url: dict | None = None


@dataclasses.dataclass
class Message:
    role: str
    content: list


class SmolVLMProcessorTest(ProcessorTesterMixin, unittest.TestCase):
    processor_class = SmolVLMProcessor
    videos_input_name = "pixel_values"
    tiny_model_id = CHECKPOINT
    # A prompt describes every frame in words, which the mixin's lengths are too short for.
    videos_text_kwargs_max_length = 500
    videos_text_kwargs_override_max_length = 490
    videos_unstructured_max_length = 500

    @classmethod
    def _setup_image_processor(cls):
        kind = cls._get_component_class_from_processor("image_processor")
        return kind.from_pretrained(CHECKPOINT, size={"longest_edge": 128}, max_image_size={"longest_edge": 64})

    @classmethod
    def _setup_video_processor(cls):
        kind = cls._get_component_class_from_processor("video_processor")
        return kind.from_pretrained(CHECKPOINT, max_image_size={"longest_edge": 64})

    @staticmethod
    def prepare_processor_dict():
        return {"image_seq_len": 2}

    def prepare_images_inputs(self, batch_size=None, nested=False):
        """The mixin's flat list would be the images of one sample."""
        images = super().prepare_images_inputs(batch_size)
        return images if batch_size is None else [[image] for image in images]

    @property
    def video_sampling_expectations(self):
        """For a clip of 40 frames in 5 seconds, sampled once per second and at most 8 times by default."""
        return [
            {"num_frames": 3, "fps": None, "expected_dim": 1, "output_length": 3},
            {"num_frames": None, "fps": 10, "expected_dim": 1, "output_length": 8},
            {"do_sample_frames": False, "fps": 10, "expected_dim": 1, "output_length": 40},
            {"do_sample_frames": False, "expected_dim": 1, "output_length": 40},
            {"expected_dim": 1, "output_length": 5},
        ]

    def test_chat_template_message_objects(self):
        """The mixin's version prints the source of an image, which templates do not see here."""
        content = [Block("image_url", image_url={"url": "https://example.com/cat.png"}), Block("text", text="What?")]
        template = "{% for block in messages[0].content %}{{ block.type }} {{ block.text }}{% endfor %}"
        found = self.get_processor().apply_chat_template([Message("user", content)], chat_template=template)
        self.assertEqual(found, "image text What?")

    @unittest.skip("return_assistant_tokens_mask is not supported")
    def test_apply_chat_template_assistant_mask(self):
        pass
