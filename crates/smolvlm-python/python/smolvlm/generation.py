"""Answers and decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Usage:
    """Numbers of tokens of a request."""

    prompt_tokens: int
    """Tokens of the prompt, those of images included."""
    image_tokens: int
    """Tokens of the prompt that stand for images and frames."""
    cached_tokens: int
    """Tokens of the prompt whose keys and values were kept from an earlier request with the same start."""
    completion_tokens: int
    """Generated tokens, the end token included."""


@dataclass(frozen=True)
class Timings:
    """Seconds of each stage of a request."""

    process: float
    """Reading and decoding of media, tiling, tokenization."""
    vision: float
    """The vision encoder and the connector."""
    prefill: float
    """The text model up to the first token."""
    decode: float
    """All tokens after the first."""
    decode_steps: int
    """Steps in `decode`."""
    decode_tokens: int
    """Tokens generated in `decode`, of the longest text: more than steps where tokens were drafted or forced."""
    accepted_drafts: int
    """Tokens that were looked up in earlier text and confirmed by the model."""

    @property
    def total(self) -> float:
        """Seconds of the whole request."""
        return self.process + self.vision + self.prefill + self.decode


@dataclass(frozen=True)
class TokenLogprobs:
    """Log-probabilities of a generated token."""

    logprob: float
    """Of the token itself."""
    top: list[tuple[int, float]]
    """Token ids and log-probabilities of the most likely tokens."""


@dataclass(frozen=True)
class Generation:
    """A finished answer."""

    text: str
    """The answer without the space that models generate first."""
    token_ids: list[int]
    """The generated tokens, the end token included."""
    finish_reason: str
    """Why generation ended: `eos`, `length`, `context`, `stop_string`, `complete` (all that `json_schema`, `regex`,
    `lark` or `choices` allow), `repetition`, `time` or `cancelled`."""
    usage: Usage
    timings: Timings
    raw_text: str
    """The decoded text, unmodified."""
    notes: list[str] = field(default_factory=list)
    """Warnings about images and videos that were used nevertheless, such as a truncated video."""
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    """Log-probabilities of each token, if the parameter `logprobs` asks for them."""
    score: float | None = None
    """The score of the text in a beam search."""

    def __str__(self) -> str:
        return self.text

    @classmethod
    def from_native(cls, answer: dict[str, Any]) -> Generation:
        """An answer of the compiled part."""
        ids = answer["token_ids"]
        counts = {name: answer[name] for name in ("prompt_tokens", "image_tokens", "cached_tokens")}
        return cls(
            text=answer["text"].lstrip(),
            token_ids=ids,
            finish_reason=answer["finish_reason"],
            usage=Usage(**counts, completion_tokens=len(ids)),
            timings=Timings(**answer["timings"]),
            raw_text=answer["text"],
            notes=answer["notes"],
            logprobs=[
                TokenLogprobs(entry["logprob"], [(token, logprob) for token, logprob in entry["top"]])
                for entry in answer["logprobs"]
            ],
            score=answer["score"],
        )


@dataclass(frozen=True)
class OptionScore:
    """A possible answer to a question."""

    option: str
    probability: float
    """Its probability among the options."""
    logprob: float
    """The log-probability that the model's text starts with it."""
    value: float | None = None
    """The value of a number."""


@dataclass(frozen=True)
class Decision:
    """The answer to a question with known options."""

    question: str
    type: str
    """`yes_no`, `choice` or `number`."""
    answer: str
    """The most likely option."""
    probability: float
    """The probability of the answer among the options."""
    coverage: float
    """The probability that the model answers with any of the options at all."""
    options: list[OptionScore]
    expected: float | None = None
    """The mean of a number, weighted by probability."""

    @classmethod
    def from_native(cls, decision: dict[str, Any]) -> Decision:
        """A decision of the compiled part."""
        return cls(**{**decision, "options": [OptionScore(**option) for option in decision["options"]]})


def yes_no(question: str) -> dict[str, Any]:
    """A question for `SmolVLM.decide` that is answered with yes or no."""
    return {"type": "yes_no", "question": question}


def choice(question: str, options: list[str]) -> dict[str, Any]:
    """A question for `SmolVLM.decide` that is answered with one of at most 1024 options."""
    return {"type": "choice", "question": question, "options": list(options)}


def number(question: str, min: float, max: float, step: float = 1) -> dict[str, Any]:
    """A question for `SmolVLM.decide` that is answered with a number from `min` to `max`."""
    return {"type": "number", "question": question, "min": min, "max": max, "step": step}
