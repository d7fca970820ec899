"""Runs the reference's `generate` with one setting at a time: logits processors, stop criteria and beams."""

from copy import deepcopy

import torch
from transformers import AutoModelForImageTextToText
from transformers.generation.stopping_criteria import StopStringCriteria

from cases import CASES, SMALLEST_MARGIN
from common import versions, write_json

FOLDER = "generation"
NEW_TOKENS = 14
CHECKPOINTS = ("gqa-256m", "mha-2b")
PROMPTS = {"image": CASES["single-whole"], "text": CASES["text-only"], "batch": CASES["mixed-batch-whole"]}
# Beam scores of unfinished sequences are lower by this much; their order is arbitrary.
UNFINISHED = -1e8
SCORE_TOLERANCE = 1e-4
# <checkpoint>/<case> that the generator omits because of near-ties.
NEAR_TIES = {
    "gqa-256m/image-bad-words",
    "gqa-256m/image-begin-suppress",
    "gqa-256m/image-no-repeat-3",
    "gqa-256m/image-suppress",
    "mha-2b/batch-repetition-reward",
    "mha-2b/image-bad-words",
}


class Plain:
    """The model's output without any setting; the settings are chosen to change it."""

    def __init__(self, reference, rows, length):
        self.tokenizer, self.rows, self.length = reference.tokenizer, rows, length
        self.first = rows[0]

    def special(self, words):
        return self.tokenizer.convert_tokens_to_ids(words)

    def ids(self, words):
        return self.tokenizer(words, add_special_tokens=False)["input_ids"]

    def new(self, row, start):
        """The first token from position `start` on that does not occur earlier in the row."""
        return next(t for i, t in enumerate(row) if i >= start and t not in row[:i])

    def pushed(self, after, ids):
        """A sequence_bias that makes `ids` follow the token `after`."""
        return [[[after, *ids[: i + 1]], 60.0] for i in range(len(ids))]


def greedy_settings(plain):
    """name -> generation settings"""
    g, new = plain.first, plain.new
    middle, last = plain.rows[len(plain.rows) // 2], plain.rows[-1]
    words = plain.pushed(g[1], plain.ids(" image shows"))
    snowman, marker = plain.ids("☃"), plain.special("<row_1_col_1>")
    return {
        "greedy": {},
        "repetition-penalty": {"repetition_penalty": 1.3},
        "repetition-reward": {"repetition_penalty": 0.7},
        "no-repeat-1": {"no_repeat_ngram_size": 1},
        "no-repeat-2": {"no_repeat_ngram_size": 2, "sequence_bias": [[[g[2]], 25.0]]},
        "no-repeat-3": {"no_repeat_ngram_size": 3, "sequence_bias": [[[g[1]], 25.0], [[g[1], g[1]], 3.0]]},
        "bad-words": {"bad_words_ids": [[g[0]], [g[4]]]},
        "bad-word-sequences": {"bad_words_ids": [[g[1], g[2]], [g[2], g[3], g[4]], [g[5], g[6]]]},
        "sequence-bias": {"sequence_bias": [[[g[0]], -4.0], [[g[1]], 2.5], [[g[1], g[3]], 9.0]]},
        "eos-early": {"eos_token_id": new(g, 2)},
        "eos-several": {"eos_token_id": [new(last, 6), new(g, 8), new(middle, 3)]},
        "min-new-tokens": {"eos_token_id": new(g, 2), "min_new_tokens": 8},
        "min-length": {"eos_token_id": new(g, 2), "min_length": plain.length + 5},
        "suppress": {"suppress_tokens": [g[0], g[3]]},
        "begin-suppress": {"begin_suppress_tokens": [g[0]]},
        "forced-eos": {"forced_eos_token_id": 551, "max_new_tokens": 6},
        "forced-other-eos": {"forced_eos_token_id": [g[9]], "eos_token_id": [551, g[9]], "max_new_tokens": 6},
        "exponential-decay": {"exponential_decay_length_penalty": [3, 1.5]},
        "stop-inside-token": {"stop_strings": ["ima"], "sequence_bias": words},
        "stop-across-tokens": {"stop_strings": ["never said", "age sho"], "sequence_bias": words},
        "stop-special": {"stop_strings": ["col_1>"], "sequence_bias": plain.pushed(g[1], [marker])},
        "stop-bytes": {"stop_strings": ["☃"], "sequence_bias": plain.pushed(g[1], snowman)},
        "stop-from-prompt": {"stop_strings": ["stant:x"], "sequence_bias": [[[plain.ids("x")[0]], 60.0]]},
        "stop-or-eos": {
            "stop_strings": ["image shows", "red"],
            "sequence_bias": words,
            "eos_token_id": [new(last, 3), 551],
        },
        "one-token": {"max_new_tokens": 1},
        "max-length": {"max_length": plain.length + 5},
        "combined": {
            "repetition_penalty": 1.2,
            "no_repeat_ngram_size": 3,
            "suppress_tokens": [g[1]],
            "bad_words_ids": [[g[2]]],
            "eos_token_id": [551, g[4]],
            "min_new_tokens": 6,
        },
    }


def beam_settings(plain, beams):
    """`beams`: three beams of the first row without any setting, whose tokens serve as ends."""
    ends = sorted({beams[0][3], beams[1][6], beams[2][9], 551})
    many = sorted({token for beam in beams for token in beam[2:]})
    out = {
        "beams-2": {"num_beams": 2},
        "beams-3": {"num_beams": 3},
        "beams-5": {"num_beams": 5},
        "beams-3-one-token": {"num_beams": 3, "max_new_tokens": 1},
        "beams-3-max-length": {"num_beams": 3, "max_length": plain.length + 4},
        "beams-3-of-3": {"num_beams": 3, "num_return_sequences": 3},
        "beams-3-of-3-ends": {"num_beams": 3, "num_return_sequences": 3, "eos_token_id": ends},
        "beams-5-of-2-ends": {"num_beams": 5, "num_return_sequences": 2, "eos_token_id": ends},
        "beams-5-of-5": {"num_beams": 5, "num_return_sequences": 5},
        "beams-2-ends": {"num_beams": 2, "eos_token_id": ends},
        "beams-3-repetition-penalty": {"num_beams": 3, "repetition_penalty": 1.3},
        "beams-3-penalty-ends": {"num_beams": 3, "repetition_penalty": 1.3, "eos_token_id": ends},
        "beams-3-no-repeat-1": {"num_beams": 3, "no_repeat_ngram_size": 1},
        "beams-3-bad-words": {"num_beams": 3, "bad_words_ids": [[beams[0][0]], [beams[0][1], beams[0][2]]]},
        "beams-3-min-new-tokens": {"num_beams": 3, "eos_token_id": ends, "min_new_tokens": 8},
        "beams-3-exponential-decay": {"num_beams": 3, "exponential_decay_length_penalty": [3, 1.3]},
        "beams-3-forced-eos": {"num_beams": 3, "forced_eos_token_id": 551, "max_new_tokens": 6},
        "beams-3-stop-special": {
            "num_beams": 3,
            "stop_strings": ["col_1>"],
            "sequence_bias": plain.pushed(beams[0][1], [plain.special("<row_1_col_1>")]),
        },
    }
    for penalty in (-1.0, 0.5, 2.0):
        for early in (True, False, "never"):
            name = f"beams-3-length-{penalty:g}-early-{str(early).lower()}"
            out[name] = {
                "num_beams": 3,
                "num_return_sequences": 3,
                "eos_token_id": many,
                "length_penalty": penalty,
                "early_stopping": early,
            }
    return out


class Generator:
    def __init__(self, folder, reference, prompt):
        self.reference, (self.conversations, self.overrides) = reference, PROMPTS[prompt]
        processor = reference.processor
        rendered = [processor.apply_chat_template(c, add_generation_prompt=True) for c in self.conversations]
        self.inputs = reference.inputs(rendered, reference.images(self.conversations), self.overrides)
        self.length = self.inputs["input_ids"].shape[1]
        self.exact = AutoModelForImageTextToText.from_pretrained(folder / "model", dtype=torch.float64).eval()

    def params(self, settings):
        limit = {} if "max_length" in settings else {"max_new_tokens": NEW_TOKENS}
        return {"do_sample": False, **limit, **settings}

    def run(self, model, params):
        known = {"tokenizer": self.reference.tokenizer} if "stop_strings" in params else {}
        # A fresh copy: the reference rewrites some of the lists that it is given.
        own = deepcopy(params)
        with torch.no_grad():
            return model.generate(**self.inputs, **own, **known, output_scores=True, return_dict_in_generate=True)

    def ends(self, sequences, params):
        """How many new tokens of every row count: up to the first end token or stop string."""
        eos = params.get("eos_token_id", self.reference.model.generation_config.eos_token_id)
        eos = torch.tensor(eos if isinstance(eos, list) else [eos])
        stop = None
        if "stop_strings" in params:
            stop = StopStringCriteria(self.reference.tokenizer, params["stop_strings"])
        count = torch.full((len(sequences),), sequences.shape[1] - self.length)
        for end in range(sequences.shape[1], self.length, -1):
            hit = torch.isin(sequences[:, end - 1], eos)
            if stop is not None:
                hit |= stop(sequences[:, :end], None)
            count[hit] = end - self.length
        return count.tolist()

    def rows(self, out, params):
        new = out.sequences[:, self.length :].tolist()
        return [ids[:count] for ids, count in zip(new, self.ends(out.sequences, params))]

    def margin(self, out, rows):
        """The smallest lead of a chosen token over the second best, after all processors."""
        best = [out.scores[step][row].topk(2).values for row, ids in enumerate(rows) for step in range(len(ids))]
        return min((pair[0] - pair[1]).item() for pair in best)

    def case(self, params, rows, **more):
        return {
            "conversations": self.conversations,
            "image_processor": self.overrides,
            "params": params,
            "generated": rows,
            "text": self.reference.tokenizer.batch_decode(rows, skip_special_tokens=True),
            **more,
            "versions": versions(),
        }

    def greedy(self, settings):
        """The case, or the reason for rejecting it."""
        params = self.params(settings)
        out = self.run(self.reference.model, params)
        rows = self.rows(out, params)
        margin = self.margin(out, rows)
        if not margin > SMALLEST_MARGIN:
            return None, f"margin {margin:.2e}"
        return self.case(params, rows, smallest_margin=float(torch.tensor(margin))), None

    def beams(self, settings):
        """The same for beam search, which has to give the same beams with float64 weights."""
        params = self.params(settings)
        out, exact = (self.run(model, params) for model in (self.reference.model, self.exact))
        rows, scores = self.rows(out, params), out.sequences_scores
        if rows != self.rows(exact, params):
            return None, "float64 takes other beams"
        if bool((scores < UNFINISHED).any()):
            return None, "unfinished beams"
        gap = (scores - exact.sequences_scores).abs().max().item()
        if gap > SCORE_TOLERANCE:
            return None, f"scores differ by {gap:.2e}"
        return self.case(params, rows, sequences_scores=scores.tolist()), None


def settings_of(generator):
    unended = {"min_new_tokens": NEW_TOKENS}
    plain_params = generator.params(unended)
    rows = generator.rows(generator.run(generator.reference.model, plain_params), plain_params)
    plain = Plain(generator.reference, rows, generator.length)
    three = generator.params({**unended, "num_beams": 3, "num_return_sequences": 3})
    beams = generator.rows(generator.run(generator.reference.model, three), three)
    return {**greedy_settings(plain), **beam_settings(plain, beams)}


def write_generation_cases(folder, reference, plan):
    if plan["name"] not in CHECKPOINTS:
        return
    for prompt in PROMPTS:
        generator = Generator(folder, reference, prompt)
        for name, settings in settings_of(generator).items():
            where = f"{plan['name']}/{prompt}-{name}"
            if where in NEAR_TIES:
                continue
            case, problem = (generator.beams if "num_beams" in settings else generator.greedy)(settings)
            assert case, f"{where}: {problem}; add it to NEAR_TIES"
            write_json(folder / FOLDER / f"{prompt}-{name}.json", case)
        print(f"{plan['name']}/{FOLDER}: {prompt}", flush=True)
