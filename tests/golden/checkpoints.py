"""Builds the tiny random checkpoints in Hugging Face layout."""

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from checkpoints_docling import PREFIXES, TAGS, granite_tokenizer, save_granite
from old_spelling import old_spelling_files, save_old_spelling

# Kept as released: data that the model was trained with.
CHAT_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)

# Training text of the byte-pair merges.
CORPUS = [
    "User: What is shown in this image? Assistant: The image shows a red square next to a blue circle.",
    "System: You answer questions about pictures. User: How many shapes are there? Assistant: There are three.",
    "Describe the picture in detail. Compare the two images. Which one is larger? The second one is larger.",
    "You are provided the following series of eight frames from a 0:00:08 [H:MM:SS] video. Frame from 00:01:",
    "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty",
    "It's 3.14, isn't it? They'll say we've 2,718 of them; (maybe) \"more\" - or less!\n\n \n\t",
    "Das größere Bild, un été à la mer, naïve — 日本語のテキスト, русский текст 🙂.",
] * 4

LOW_SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]  # ids 0, 1, 2
HIGH_SPECIALS = (
    ["<global-img>"]
    + [f"<row_{row}_col_{col}>" for row in range(1, 7) for col in range(1, 7)]
    + ["<fake_token_around_image>", "<image>", "<end_of_utterance>"]
)
BASE_VOCABULARY = 512

# Cases of the document models.
DOCUMENT_CASES = ["single-split", "single-whole", "mixed-batch", "text-only", "multi-turn", "page", "region"]

# Defaults of all checkpoints.
DEFAULTS = {
    "text": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "rope_theta": 100000,
    },
    "vision": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 8,
    },
    "scale_factor": 2,
    "longest_edge": 128,
    "tie_word_embeddings": False,
    "dtype": "float32",
    "spelling": "current",
    "document_tokens": False,
    "cases": None,  # all of them
    "extra_eos": [],
}

CHECKPOINTS = {
    "gqa-256m": {
        "seed": 5,
        "text": {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 6},
        "vision": {"image_size": 64},
        "scale_factor": 4,
        "longest_edge": 256,
    },
    "mha-2b": {
        "seed": 55,
        "text": {"num_key_value_heads": 4, "rope_theta": 130000},
        "vision": {
            "hidden_size": 144,
            "intermediate_size": 112,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 84,
            "patch_size": 14,
        },
        "scale_factor": 3,
        "longest_edge": 336,
    },
    "tied": {"seed": 36, "tie_word_embeddings": True},
    "legacy": {"seed": 37, "spelling": "legacy"},
    "idefics3": {"seed": 39, "spelling": "idefics3", "text": {"num_key_value_heads": 1}},
    "bf16": {"seed": 65, "dtype": "bfloat16"},
    "unusual": {
        "seed": 12,
        "text": {
            "num_key_value_heads": 1,
            "head_dim": 10,
            "hidden_act": "gelu",
            "attention_bias": True,
            "mlp_bias": True,
            "rms_norm_eps": 1e-3,
            "rope_theta": None,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        },
        "vision": {"hidden_act": "gelu", "layer_norm_eps": 1e-4, "num_attention_heads": 1},
        "cases": ["single-split", "mixed-batch", "text-only"],
        "extra_eos": [109, 461],  # two tokens that end rows of mixed-batch early
    },
    "smoldocling": {
        "seed": 73,
        "text": {"hidden_size": 48, "intermediate_size": 96, "num_attention_heads": 6},
        "vision": {"image_size": 64},
        "scale_factor": 4,
        "longest_edge": 256,
        "spelling": "idefics3",
        "document_tokens": True,
        "cases": DOCUMENT_CASES,
    },
    "granite-docling": {
        "seed": 72,
        "text": {"hidden_size": 48, "intermediate_size": 96, "num_attention_heads": 6},
        "vision": {"image_size": 64},
        "scale_factor": 4,
        "longest_edge": 256,
        "tie_word_embeddings": True,
        "spelling": "granite",
        "cases": DOCUMENT_CASES,
    },
}


def recipe(name):
    """The settings of one checkpoint, with the defaults filled in."""
    own = CHECKPOINTS[name]
    out = {**DEFAULTS, **own, "name": name}
    for part in ("text", "vision"):
        merged = {**DEFAULTS[part], **own.get(part, {})}
        out[part] = {k: v for k, v in merged.items() if v is not None}
    out["tile"] = out["vision"]["image_size"]
    out["image_seq_len"] = (out["tile"] // out["vision"]["patch_size"]) ** 2 // out["scale_factor"] ** 2
    return out


def build_tokenizer(plan):
    if plan["spelling"] == "granite":
        return granite_tokenizer(CORPUS, BASE_VOCABULARY)
    high = HIGH_SPECIALS[:-1] + (TAGS + PREFIXES if plan["document_tokens"] else []) + HIGH_SPECIALS[-1:]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()

    def special(text):
        return AddedToken(text, special=True, normalized=False)

    trainer = trainers.BpeTrainer(
        vocab_size=BASE_VOCABULARY,
        special_tokens=[special(t) for t in LOW_SPECIALS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([special(t) for t in high])
    assert [tokenizer.token_to_id(t) for t in LOW_SPECIALS] == [0, 1, 2]
    assert tokenizer.get_vocab_size() == BASE_VOCABULARY + len(high)
    return TokenizersBackend(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        model_max_length=2048,
        padding_side="left",
        truncation_side="left",
        clean_up_tokenization_spaces=False,
        extra_special_tokens={
            "image_token": "<image>",
            "fake_image_token": "<fake_token_around_image>",
            "end_of_utterance_token": "<end_of_utterance>",
            "global_image_token": "<global-img>",
        },
    )


def build_config(plan, tokenizer):
    return SmolVLMConfig(
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=plan["scale_factor"],
        tie_word_embeddings=plan["tie_word_embeddings"],
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-5,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            **plan["text"],
        },
        vision_config=plan["vision"],
    )


def gaussian(rng, shape):
    """Nearly normal f64 values made with integer sums only, so that every CPU gets the same bits."""
    total = rng.integers(0, 1 << 24, (12, *shape), dtype=np.int64).sum(axis=0)
    return (total - 6 * ((1 << 24) - 1)) / float(1 << 24)


def fill_weights(model, seed):
    """Weights wide enough that logits spread and greedy decoding meets no near-tie."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            values = gaussian(rng, tuple(weight.shape))
            if "norm" in name:
                values = 0.1 * values + (1.0 if name.endswith("weight") else 0.0)
            elif name.endswith("bias"):
                values = 0.05 * values
            elif "embed" in name or "lm_head" in name:
                values = 0.5 * values
            else:
                values = values * (1.2 / float(weight[0].numel()) ** 0.5)
            weight.copy_(torch.from_numpy(values.astype(np.float32)))


def build_processor(plan, tokenizer):
    common = dict(size={"longest_edge": plan["longest_edge"]}, max_image_size={"longest_edge": plan["tile"]}, resample=1)
    sampling = {"fps": 1, "max_frames": 8, "video_size": {"longest_edge": plan["tile"]}}
    return SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(**common),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(**common, video_sampling=sampling),
        image_seq_len=plan["image_seq_len"],
        chat_template=CHAT_TEMPLATE,
    )


def write_checkpoint(folder, plan):
    """Writes `<folder>` in the layout that the recipe names."""
    tokenizer = build_tokenizer(plan)
    config = build_config(plan, tokenizer)
    model = SmolVLMForConditionalGeneration(config)
    fill_weights(model, plan["seed"])
    eos = [tokenizer.eos_token_id, *plan["extra_eos"]]
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=eos if len(eos) > 1 else eos[0],
        pad_token_id=tokenizer.pad_token_id,
    )
    model = model.to(getattr(torch, plan["dtype"])).eval()
    if plan["spelling"] == "current":
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(folder)
        build_processor(plan, tokenizer).save_pretrained(folder)
    elif plan["spelling"] == "granite":
        files = old_spelling_files(plan, config, tokenizer, "idefics3", CHAT_TEMPLATE)
        save_granite(folder, plan, model, tokenizer, files["preprocessor_config.json"])
    else:
        family = {"legacy": "smolvlm", "idefics3": "idefics3"}[plan["spelling"]]
        save_old_spelling(folder, plan, model, tokenizer, family, CHAT_TEMPLATE)
    for file in folder.iterdir():
        file.chmod(0o644)
