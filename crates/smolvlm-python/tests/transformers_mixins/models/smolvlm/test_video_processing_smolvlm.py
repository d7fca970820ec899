"""transformers' tests of video processors, on ours."""

import unittest

from adapters import SmolVLMVideoProcessor

from ...test_video_processing_common import VideoProcessingTestMixin, prepare_video_inputs


class SmolVLMVideoProcessingTester:
    def __init__(self):
        self.batch_size = 5
        self.num_frames = 8
        self.num_channels = 3
        self.settings = {
            "do_resize": True,
            "size": {"longest_edge": 20},
            "max_image_size": {"longest_edge": 20},
            "do_normalize": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
            "do_convert_rgb": True,
        }

    def expected_output_video_shape(self, videos):
        return [self.num_frames, self.num_channels, 20, 20]

    def prepare_video_inputs(self, equal_resolution=False, return_tensors="pil"):
        return prepare_video_inputs(
            batch_size=self.batch_size,
            num_frames=self.num_frames,
            num_channels=self.num_channels,
            min_resolution=30,
            max_resolution=80,
            equal_resolution=equal_resolution,
            return_tensors=return_tensors,
        )


class SmolVLMVideoProcessingTest(VideoProcessingTestMixin, unittest.TestCase):
    fast_video_processing_class = SmolVLMVideoProcessor
    input_name = "pixel_values"

    def setUp(self):
        super().setUp()
        self.video_processor_tester = SmolVLMVideoProcessingTester()

    @property
    def video_processor_dict(self):
        return self.video_processor_tester.settings

    def test_video_processor_from_dict_with_kwargs(self):
        """The mixin's version needs a crop size, which this model does not have."""
        processor = self.fast_video_processing_class.from_dict(self.video_processor_dict, size=42)
        self.assertEqual(processor.size, {"height": 42, "width": 42})

    def test_call_sample_frames(self):
        """The mixin's version samples decoded frames without metadata, which this model's rule needs."""
        processor = self.fast_video_processing_class(**self.video_processor_dict)
        videos = self.video_processor_tester.prepare_video_inputs(return_tensors="torch")
        processor.do_sample_frames = False
        self.assertEqual(processor(videos, return_tensors="pt", num_frames=3)[self.input_name].shape[1], 8)
        processor.do_sample_frames = True
        with self.assertRaises(ValueError):
            processor(videos, return_tensors="pt", num_frames=3, fps=1)
        metadata = [[{"duration": 2.0, "total_num_frames": 8, "fps": 4}]] * len(videos)
        for num_frames, expected in ((3, 3), (10, 6)):
            found = processor(videos, return_tensors="pt", num_frames=num_frames, fps=3, video_metadata=metadata)
            self.assertEqual(found[self.input_name].shape[1], expected)
