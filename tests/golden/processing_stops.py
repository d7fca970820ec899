"""Where stop strings end in streams of token ids, for both spellings of bytes in a vocabulary."""

import torch
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.generation.stopping_criteria import StopStringCriteria

from common import lcg_bytes, write_json

TOKENIZER = "byte-fallback-tokenizer.json"
TEXTS = [
    "It does not stop: unstoppable, stops, sto p.\n\nUser: and so on",
    "un été à la mer, 日本語のテキスト, 世界 🙂🙂 ☃",
    "aaaaaa bab aab <row_1_col_1><image> x",
    "\n\n\n  two  blanks\t.",
]
STOPS = [
    ["stop"],
    ["stop", "User:"],
    ["\n\nUser"],
    ["\n\n"],
    ["é", "世界"],
    ["本"],
    ["🙂"],
    ["☃", "テキ"],
    ["aa"],
    ["aab", "b a"],
    [" "],
    ["col_1>"],
    ["<image>"],
    ["\ufffd"],
    ["e> "],
]
# One id in this many is replaced by a random one.
NOISE = 11


def byte_fallback():
    """A tokenizer like those of SentencePiece: bytes that no token covers have byte tokens."""
    words = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words += ["▁", *"abcdefghijklmnopqrstuvwxyzU:.,", "é", "st", "op", "▁st", "▁stop", "▁▁", "世", "▁a", "ab"]
    merges = [("s", "t"), ("o", "p"), ("▁", "st"), ("▁st", "op"), ("▁", "▁"), ("▁", "a"), ("a", "b")]
    model = models.BPE(
        vocab={word: index for index, word in enumerate(words)}, merges=merges, unk_token="<unk>", byte_fallback=True
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(parts)
    return tokenizer


def streams(tokenizer):
    """The tokenized texts, and the same with noise."""
    for index, words in enumerate(TEXTS):
        ids = tokenizer(words, add_special_tokens=False)["input_ids"]
        yield ids
        noise = lcg_bytes(80 + index, 2 * len(ids))
        any_id = [(noise[2 * i] * 256 + noise[2 * i + 1]) for i in range(len(ids))]
        yield [any_id[i] % len(tokenizer) if noise[2 * i] % NOISE == 0 else token for i, token in enumerate(ids)]


def cases(name, tokenizer):
    for ids in streams(tokenizer):
        found = []
        for stops in STOPS:
            rule = StopStringCriteria(tokenizer, stops)
            found.append([n for n in range(1, len(ids) + 1) if bool(rule(torch.tensor([ids[:n]]), None)[0])])
        yield {"tokenizer": name, "ids": ids, "ends": found}


def write(folder, golden_root):
    tokenizer = byte_fallback()
    tokenizer.save(str(folder / TOKENIZER))
    out = {"stop_strings": STOPS}
    both = [
        ("gqa-256m/model/tokenizer.json", AutoTokenizer.from_pretrained(golden_root / "gqa-256m" / "model")),
        (f"processing/{TOKENIZER}", PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")),
    ]
    rows = [case for name, tokenizer in both for case in cases(name, tokenizer)]
    assert sum(len(ends) for case in rows for ends in case["ends"]) > 50
    write_json(folder / "stop_strings.json", {**out, **{f"case {i}": case for i, case in enumerate(rows)}})
