"""Generation side: logits processors on random rows, beam search over a table of logits."""

import warnings

import numpy as np
import torch
from transformers import GenerationConfig, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from common import lcg_bytes, write_json

# Rows of scores. Their sizes lie on both sides of top-h's 100 candidates.
ROWS = ((40, 1.5), (64, 4.0), (96, 0.5), (130, 8.0), (200, 2.5))

PROCESSORS = {
    "none": {},
    "sequence bias": {"sequence_bias": [[[3], -2.5], [[7], 1.25], [[5, 9], 4.0], [[2, 5, 11], -8.0], [[3], 0.75]]},
    "repetition 1.3": {"repetition_penalty": 1.3},
    "repetition 0.8": {"repetition_penalty": 0.8},
    "no repeat 1": {"no_repeat_ngram_size": 1},
    "no repeat 2": {"no_repeat_ngram_size": 2},
    "no repeat 3": {"no_repeat_ngram_size": 3},
    "no repeat 40": {"no_repeat_ngram_size": 40},
    "bad words": {"bad_words_ids": [[4], [1], [5, 8], [2, 5, 12], [6, 13]]},
    "min length": {"min_length": 30},
    "min length reached": {"min_length": 3},
    "min new tokens": {"min_new_tokens": 12},
    "forced eos": {"forced_eos_token_id": [1, 6], "max_new_tokens": 6},
    "forced eos, not yet": {"forced_eos_token_id": 1, "max_new_tokens": 7},
    "remove invalid values": {"bad_words_ids": [[4], [5, 8]], "remove_invalid_values": True},
    "decay (2, 1.5)": {"exponential_decay_length_penalty": (2, 1.5)},
    "decay (0, 1.01)": {"exponential_decay_length_penalty": (0, 1.01)},
    "decay, not yet": {"exponential_decay_length_penalty": (5, 1.5)},
    "suppressed": {"suppress_tokens": [0, 8, 9], "begin_suppress_tokens": [3]},
    "renormalised": {"renormalize_logits": True, "bad_words_ids": [[4]]},
}
SAMPLING = {
    "temperature 0.7": {"temperature": 0.7},
    "temperature 1.9": {"temperature": 1.9},
    "top-k 1": {"top_k": 1},
    "top-k 5": {"top_k": 5},
    "top-k 50": {"top_k": 50},
    "top-k 150": {"top_k": 150},
    "top-p 0": {"top_p": 0.0},
    "top-p 0.3": {"top_p": 0.3},
    "top-p 0.9": {"top_p": 0.9},
    "top-p 0.999": {"top_p": 0.999},
    "min-p 0.02": {"min_p": 0.02},
    "min-p 0.3": {"min_p": 0.3},
    "min-p 1": {"min_p": 1.0},
    "typical 0.2": {"typical_p": 0.2},
    "typical 0.9": {"typical_p": 0.9},
    "top-h 0.2": {"top_h": 0.2},
    "top-h 0.7": {"top_h": 0.7},
    "top-h 1": {"top_h": 1.0},
    "epsilon 0.01": {"epsilon_cutoff": 0.01},
    "epsilon 0.9": {"epsilon_cutoff": 0.9},
    "eta 0.01": {"eta_cutoff": 0.01},
    "eta 0.3": {"eta_cutoff": 0.3},
    "usual": {"temperature": 0.6, "top_k": 20, "top_p": 0.95, "repetition_penalty": 1.1},
    "all truncations": {
        "temperature": 1.2,
        "top_h": 0.95,
        "top_k": 30,
        "top_p": 0.97,
        "min_p": 0.01,
        "typical_p": 0.95,
        "epsilon_cutoff": 0.003,
        "eta_cutoff": 0.003,
        "renormalize_logits": True,
    },
    "everything": {
        "sequence_bias": [[[3], -2.5], [[5, 9], 4.0]],
        "repetition_penalty": 1.2,
        "no_repeat_ngram_size": 2,
        "bad_words_ids": [[4], [5, 8]],
        "min_new_tokens": 12,
        "remove_invalid_values": True,
        "exponential_decay_length_penalty": (2, 1.01),
        "suppress_tokens": [0],
        "temperature": 0.8,
        "top_k": 25,
        "top_p": 0.9,
        "renormalize_logits": True,
    },
    "beams, top-k 1": {"num_beams": 3, "top_k": 1},
    "beams, top-p 0.1": {"num_beams": 3, "top_p": 0.1},
    "beams, min-p 1": {"num_beams": 3, "min_p": 1.0},
    "beams, typical 0.1": {"num_beams": 3, "typical_p": 0.1},
    "beams, epsilon 0.9": {"num_beams": 3, "epsilon_cutoff": 0.9},
    "beams, eta 0.9": {"num_beams": 3, "eta_cutoff": 0.9},
}
EOS = [1, 6]

VOCABULARY, TABLE_PERIOD = 24, 5
BEAM_PROMPT = [7, 3, 11]
BEAMS = {
    "two beams": {"num_beams": 2},
    "three beams": {"num_beams": 3, "num_return_sequences": 3},
    "five beams": {"num_beams": 5, "num_return_sequences": 5},
    "five beams, one text": {"num_beams": 5},
    "two end tokens": {"num_beams": 3, "num_return_sequences": 2, "eos_token_id": [1, 6]},
    "three end tokens": {"num_beams": 2, "num_return_sequences": 2, "eos_token_id": [1, 6, 9]},
    "no end token": {"num_beams": 3, "num_return_sequences": 3, "eos_token_id": None},
    "one new token": {"num_beams": 4, "num_return_sequences": 4, "max_new_tokens": 1},
    "long": {"num_beams": 4, "num_return_sequences": 4, "max_new_tokens": 40},
    **{
        f"length penalty {penalty}, early stopping {stopping}": {
            "num_beams": 3,
            "num_return_sequences": 3,
            "length_penalty": penalty,
            "early_stopping": stopping,
        }
        for penalty in (-1.0, 0.0, 0.5, 1.0, 2.0)
        for stopping in (False, True, "never")
    },
    "repetition penalty": {"num_beams": 3, "num_return_sequences": 3, "repetition_penalty": 1.4},
    "no repeat": {"num_beams": 3, "num_return_sequences": 3, "no_repeat_ngram_size": 2, "eos_token_id": None},
    "bias upwards": {"num_beams": 3, "num_return_sequences": 2, "sequence_bias": [[[5], 3.0], [[5, 8], 2.0]]},
    "min new tokens": {"num_beams": 3, "num_return_sequences": 3, "min_new_tokens": 5},
    "forced end": {"num_beams": 3, "num_return_sequences": 3, "forced_eos_token_id": 1, "min_new_tokens": 9},
    "renormalised": {"num_beams": 3, "num_return_sequences": 3, "renormalize_logits": True, "suppress_tokens": [2, 5]},
    "decay": {"num_beams": 3, "num_return_sequences": 3, "exponential_decay_length_penalty": (2, 1.3)},
}
# With a smaller lead, the order could differ on other machines.
SMALLEST_LEAD = 1e-5


def noise(seed, count, scale):
    """f32 of about `scale`, bell-shaped: the sum of four bytes, and a fifth for what follows the point."""
    parts = np.frombuffer(lcg_bytes(seed, 5 * count), np.uint8).reshape(count, 5).astype(np.float32)
    return (parts[:, :4].sum(1) + parts[:, 4] / 256.0 - 510.0) / 256.0 * np.float32(scale)


def short(values):
    """f32 values as the shortest decimals that parse to the same f32; minus infinity is null."""
    values = np.asarray(values, np.float32).reshape(-1)
    out = [None if value == -np.inf else float(str(value)) for value in values]
    assert all(a is None or np.float32(a) == b for a, b in zip(out, values))
    return out


class TableModel(PreTrainedModel, GenerationMixin):
    """Logits are a row of one table, by the newest token, plus a row of another, by the length."""

    config_class = PreTrainedConfig

    def __init__(self, by_token, by_length):
        super().__init__(PreTrainedConfig(vocab_size=len(by_token), use_cache=False))
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.by_token, self.by_length = by_token, by_length

    def forward(self, input_ids, **_):
        lengths = torch.arange(1, input_ids.shape[1] + 1) % len(self.by_length)
        return CausalLMOutput(logits=self.by_token[input_ids] + self.by_length[lengths])

    def prepare_inputs_for_generation(self, input_ids, **_):
        return {"input_ids": input_ids}


def table_model():
    tables = [noise(seed, rows * VOCABULARY, 1.7).reshape(rows, -1) for seed, rows in ((71, VOCABULARY), (72, TABLE_PERIOD))]
    tables[0][:, 1] += 2.0  # the end token is frequent
    return TableModel(*map(torch.from_numpy, tables))


def processor_rows():
    """Ids end in (2, 5) or (6, 2, 5), so that runs of several tokens match; pairs occur twice."""
    for index, (size, scale) in enumerate(ROWS):
        scores = noise(50 + index, size, scale)
        assert len(set(scores)) == size  # the order of equal scores is unspecified
        ids = [b % min(size, 20) for b in lcg_bytes(60 + index, 14 + index)] + [2, 5, 9, 2, 5, 6, 2, 5]
        yield {"ids": ids, "prompt_len": len(ids) - 5, "scores": short(scores)}


def processor_cases(rows):
    model = table_model()
    settings = [(name, False, options) for name, options in PROCESSORS.items()]
    settings += [(name, True, options) for name, options in SAMPLING.items()]
    for name, do_sample, options in settings:
        expected = []
        for row in rows:
            config = GenerationConfig(do_sample=do_sample, eos_token_id=EOS, **options)
            config.top_k = options.get("top_k", 0)
            config._eos_token_tensor = torch.tensor(EOS)
            config.max_length = row["prompt_len"] + options.get("max_new_tokens", 20)
            processors = model._get_logits_processor(config, row["prompt_len"], device="cpu")
            scores = processors(torch.tensor([row["ids"]]), torch.tensor([row["scores"]], dtype=torch.float32))
            expected.append(short(scores[0]))
        yield {"name": name, "do_sample": do_sample, "parameters": options, "expected": expected}


def write_processors(path):
    rows = list(processor_rows())
    cases = list(processor_cases(rows))
    write_json(path, {"eos_token_id": EOS, "rows": rows, **{f"case {i}": case for i, case in enumerate(cases)}})


def beam_cases(model):
    for name, options in BEAMS.items():
        settings = {"max_new_tokens": 10, "eos_token_id": [1], **options}
        out = model.generate(
            torch.tensor([BEAM_PROMPT]),
            do_sample=False,
            use_cache=False,
            pad_token_id=23,
            return_dict_in_generate=True,
            output_scores=True,
            **settings,
        )
        texts = []
        for ids, score in zip(out.sequences.tolist(), out.sequences_scores.tolist()):
            tokens = ids[len(BEAM_PROMPT) :]
            ends = [i for i, token in enumerate(tokens) if token in (settings["eos_token_id"] or [])]
            texts.append({"tokens": tokens[: ends[0] + 1] if ends else tokens, "score": score})
        yield {"name": name, "parameters": settings, "texts": texts}


def write_beams(path):
    model = table_model()
    tables = {"by_token": [short(row) for row in model.by_token], "by_length": [short(row) for row in model.by_length]}
    cases = {f"case {i}": case for i, case in enumerate(beam_cases(model))}
    for case in cases.values():
        scores = [text["score"] for text in case["texts"]]
        assert all(a - b > SMALLEST_LEAD for a, b in zip(scores, scores[1:])), case
    write_json(path, {"prompt": BEAM_PROMPT, **tables, **cases})


def write(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_processors(folder / "logits_processors.json")
        write_beams(folder / "beam_search.json")
