"""transformers' tests of image processors, on ours as a second backend beside theirs."""

import unittest

import numpy as np
import torch
import transformers
from adapters import SmolVLMImageProcessorPil
from PIL import Image

from ...test_image_processing_common import ImageProcessingTester, ImageProcessingTestMixin


class SmolVLMImageProcessingTester(ImageProcessingTester):
    """Samples of one image, which the processor splits into 2 x 2 tiles and a global tile."""

    tiles, edge = 5, 20

    def __init__(self, parent):
        super().__init__(
            parent,
            min_resolution=30,
            max_resolution=40,
            size={"longest_edge": 40},
            max_image_size={"longest_edge": self.edge},
            do_resize=True,
            do_rescale=True,
            rescale_factor=1 / 255,
            do_normalize=True,
            image_mean=[0.5, 0.5, 0.5],
            image_std=[0.5, 0.5, 0.5],
            do_convert_rgb=True,
            do_pad=True,
            do_image_splitting=True,
            resample=1,
        )

    def _get_image_processing_classes(self):
        return {"torchvision": transformers.SmolVLMImageProcessor, "pil": SmolVLMImageProcessorPil}

    def expected_output_image_shape(self, images):
        return self.tiles, 3, self.edge, self.edge

    def prepare_image_inputs(self, **kwargs):
        # Sides of 30 to 40 pixels: the shorter one is more than half of the longer one, hence 2 x 2 tiles.
        return [[image] for image in super().prepare_image_inputs(**kwargs)]


class SmolVLMImageProcessingTest(ImageProcessingTestMixin, unittest.TestCase):
    image_processor_tester_class = SmolVLMImageProcessingTester
    # Ours computes as the first backend does, not as Pillow.
    backend_equivalence_atol = 0.0

    def check_call(self, kind, channels=3, **kwargs):
        """The mixin's version assumes flat lists of images; here, a flat list is one sample."""
        for image_processing_class in self.image_processing_classes.values():
            image_processor = image_processing_class(**self.image_processor_dict)
            images = self.image_processor_tester.prepare_image_inputs(
                equal_resolution=False, num_channels=channels, **kwargs
            )
            self.assertTrue(all(isinstance(image, kind) for sample in images for image in sample))
            shape = self.image_processor_tester.expected_output_image_shape(images)
            one = image_processor(images[0], return_tensors="pt").pixel_values
            self.assertEqual(tuple(one.shape), (1, *shape))
            batch = image_processor(images, return_tensors="pt").pixel_values
            self.assertEqual(tuple(batch.shape), (len(images), *shape))

    def test_call_pil(self):
        self.check_call(Image.Image)

    def test_call_numpy(self):
        self.check_call(np.ndarray, numpify=True)

    def test_call_pytorch(self):
        self.check_call(torch.Tensor, torchify=True)

    def test_call_numpy_4_channels(self):
        """The mixin's version switches the conversion to RGB off, which this model cannot do without."""
        self.check_call(np.ndarray, channels=4, numpify=True)
