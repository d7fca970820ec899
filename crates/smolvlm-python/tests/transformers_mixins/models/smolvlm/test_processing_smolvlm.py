"""transformers' tests of processors, on ours."""

import os
import unittest

from adapters import SmolVLMProcessor

from ...test_processing_common import ProcessorTesterMixin

CHECKPOINT = os.environ["CKPT"]


class SmolVLMProcessorTest(ProcessorTesterMixin, unittest.TestCase):
    processor_class = SmolVLMProcessor
    videos_input_name = "pixel_values"
    tiny_model_id = CHECKPOINT

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
