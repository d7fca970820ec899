"""The tokens of document models, and a tiny checkpoint spelled like granite-docling-258M."""

import json

from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Tokenizer

# A part of the tags; location tokens are spelled with several tokens.
BLOCKS = [
    "text",
    "title",
    "caption",
    "formula",
    "code",
    "list_item",
    "ordered_list",
    "unordered_list",
    "otsl",
    "picture",
]
BLOCKS += ["section_header_level_1", "page_header", "page_footer", "chart", "doctag"]
CELLS = ["fcel", "ecel", "lcel", "ucel", "xcel", "nl", "ched", "rhed", "page_break"]
TAGS = [tag for name in BLOCKS for tag in (f"<{name}>", f"</{name}>")] + [f"<{name}>" for name in CELLS]
# Beginnings of numbered tags are tokens, too.
PREFIXES = ["<key_", "</key_", "<value_", "</value_", "<link_"]

# Renders as the released template does.
GRANITE_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|start_of_role|>' ~ message['role'] ~ '<|end_of_role|>' -}}"
    "{%- if message['content'] is string -%}{{- message['content'] -}}{%- else -%}"
    "{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}{{- '<image>' -}}{%- elif part['type'] == 'text' -%}{{- part['text'] -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{{- '<|end_of_text|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|start_of_role|>assistant<|end_of_role|>' -}}{%- endif -%}"
)

# After the words of the vocabulary, in the released order as far as it is unusual: markers of tiles among the tags.
GRANITE_SPECIALS = (
    ["<|pad|>", "<|end_of_text|>", "<row_1_col_1>", "<row_1_col_2>", "<text>", "<row_1_col_3>", "<row_1_col_4>"]
    + ["<row_2_col_1>", "<|start_of_role|>", "<|end_of_role|>", "</title>", "<row_2_col_2>", "<row_2_col_3>", "<title>"]
    + ["<image>"]
    + [tag for tag in TAGS if tag not in ("<text>", "<title>", "</title>")]
    + PREFIXES
    + ["<|unk|>", "<fake_token_around_image>", "<global-img>", "<row_2_col_4>"]
    + [f"<row_{row}_col_{col}>" for row in (3, 4) for col in range(1, 5)]
)


def granite_tokenizer(corpus, base_vocabulary):
    """A byte-level tokenizer without a pre-tokenizer for digits, whose special tokens follow the words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=base_vocabulary, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(corpus, trainer)
    assert tokenizer.get_vocab_size() == base_vocabulary
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in GRANITE_SPECIALS])
    return GPT2Tokenizer(
        tokenizer_object=tokenizer,
        bos_token="<|start_of_role|>",
        eos_token="<|end_of_text|>",
        pad_token="<|end_of_text|>",
        unk_token="<|unk|>",
        model_max_length=8192,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def granite_config(plan, config, tokenizer):
    """config.json as granite-docling-258M spells it (written by transformers 4.56)."""
    text, vision = plan["text"], plan["vision"]
    tokens = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return {
        "architectures": ["Idefics3ForConditionalGeneration"],
        **tokens,
        "dtype": "float32",
        "image_token_id": config.image_token_id,
        "model_type": "idefics3",
        "scale_factor": plan["scale_factor"],
        "text_config": {
            "architectures": ["LlamaForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            **tokens,
            "dtype": "bfloat16",
            "hidden_act": "silu",
            "initializer_range": 0.02,
            "max_position_embeddings": 2048,
            "mlp_bias": False,
            "model_type": "llama",
            "pretraining_tp": 1,
            "rms_norm_eps": 1e-05,
            "rope_scaling": None,
            "tie_word_embeddings": True,
            "use_cache": False,
            "vocab_size": len(tokenizer),
            **text,
        },
        "tie_word_embeddings": True,
        "transformers_version": "4.56.1",
        "use_cache": True,
        "vision_config": {
            "attention_dropout": 0.0,
            "hidden_act": "gelu_pytorch_tanh",
            "initializer_range": 0.02,
            "layer_norm_eps": 1e-06,
            "max_image_size": {"longest_edge": plan["tile"]},
            "model_type": "idefics3_vision",
            "num_channels": 3,
            "size": {"longest_edge": plan["tile"]},
            **vision,
        },
        "vocab_size": len(tokenizer),
    }


def save_granite(folder, plan, model, tokenizer, preprocessor):
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    files = {
        "config.json": granite_config(plan, model.config, tokenizer),
        "preprocessor_config.json": preprocessor,
        "processor_config.json": {"image_seq_len": plan["image_seq_len"], "processor_class": "Idefics3Processor"},
        "generation_config.json": {
            "_from_model_config": True,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "transformers_version": "4.56.1",
            "use_cache": False,
        },
        # Beyond the embeddings: no prompt has it.
        "added_tokens.json": {"<end_of_utterance>": len(tokenizer)},
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    (folder / "chat_template.jinja").write_text(GRANITE_TEMPLATE)
    weights = {name: weight.contiguous() for name, weight in model.state_dict().items() if name != "lm_head.weight"}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
