"""Classes that transformers' tests take for their own and that call ours."""

from typing import Any

import smolvlm
import transformers
from transformers.models.smolvlm import image_processing_pil_smolvlm, video_processing_smolvlm

# The tests look for these names beside the classes.
SmolVLMImageProcessorKwargs = image_processing_pil_smolvlm.SmolVLMImageProcessorKwargs
SmolVLMVideoProcessorInitKwargs = video_processing_smolvlm.SmolVLMVideoProcessorInitKwargs


def ours(kind, theirs):
    """Our processor with the settings of one of theirs."""
    settings = {name: getattr(theirs, name) for name in kind.settings if hasattr(theirs, name)}
    return kind(**settings)


class SmolVLMImageProcessorPil(transformers.SmolVLMImageProcessorPil):
    """Our image processor in the slot of the second backend, so that the tests compare it with the first."""

    valid_kwargs = SmolVLMImageProcessorKwargs

    def preprocess(self, images, **kwargs):
        return ours(smolvlm.SmolVLMImageProcessor, self)(images, **kwargs)


class SmolVLMVideoProcessor(transformers.SmolVLMVideoProcessor):
    valid_kwargs = SmolVLMVideoProcessorInitKwargs

    def preprocess(self, videos, **kwargs):
        return ours(smolvlm.SmolVLMVideoProcessor, self)(videos, **kwargs)


class SmolVLMProcessor(transformers.SmolVLMProcessor):
    def ours(self):
        return smolvlm.SmolVLMProcessor(
            ours(smolvlm.SmolVLMImageProcessor, self.image_processor),
            self.tokenizer,
            ours(smolvlm.SmolVLMVideoProcessor, self.video_processor),
            self.image_seq_len,
            self.chat_template,
        )

    # The tests read the annotations of the arguments, and whether the class has these two methods of its own.
    def replace_image_token(self, *args, **kwargs):
        return super().replace_image_token(*args, **kwargs)

    def replace_video_token(self, *args, **kwargs):
        return super().replace_video_token(*args, **kwargs)

    def __call__(self, images: Any = None, text: Any = None, videos: Any = None, **kwargs):
        return self.ours()(images=images, text=text, videos=videos, **kwargs)

    def apply_chat_template(self, conversation, chat_template=None, **kwargs):
        return self.ours().apply_chat_template(conversation, chat_template, **kwargs)
