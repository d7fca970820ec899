"""How far number formats are from transformers in f32, on real weights, beside their speed:
`python quality.py --binary SMOLVLM --work DIR`. See README.md."""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
import numpy
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

import quality_inputs as inputs

HERE = Path(__file__).parent
# Formats of the peers that stand beside ours.
BESIDE = {"f32": ["f32"], "bf16": ["bf16"], "q8": ["int8"], "q4": ["int4", "int4-asym"]}
SCRIPTS = {"llama.cpp": "llamacpp_peer.py", "openvino": "openvino_peer.py"}
PROMPT = "Describe this picture."

Conversation = list[dict[str, object]]


@dataclass
class Text:
    """A conversation with one text, its tokens, and the reference's logits, [tokens, vocabulary]."""

    conversation: Conversation
    ids: list[int]
    reference: torch.Tensor


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True, help="our command, smolvlm")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and downloads; kept")
    parser.add_argument("--dtypes", nargs="+", choices=BESIDE, default=list(BESIDE))
    parser.add_argument("--peers", nargs="*", choices=SCRIPTS, default=list(SCRIPTS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-speed", action="store_true", help="do not measure our speed")
    parser.add_argument("--vision", action="store_true", help="image features of photographs instead of texts")
    return parser.parse_args()


def message(*content: dict[str, str]) -> Conversation:
    return [{"role": "user", "content": list(content)}]


def ours(options: argparse.Namespace, checkpoint: Path, dtype: str, command: list[str]) -> str:
    """Standard output of our command."""
    words = [options.binary, *command, "--model", checkpoint, "--dtype", dtype, "--threads", options.threads]
    return subprocess.run([str(word) for word in words], check=True, stdout=subprocess.PIPE, text=True).stdout


def forward(
    options: argparse.Namespace, checkpoint: Path, dtype: str, conversations: object, *more: str
) -> dict[str, torch.Tensor]:
    """The tensors that `smolvlm forward` writes."""
    source, out = options.work / "conversations.json", options.work / "forward.safetensors"
    source.write_text(json.dumps(conversations))
    ours(options, checkpoint, dtype, ["forward", "--conversation", str(source), "--out", str(out), *more])
    return load_file(out)


# Texts


@torch.inference_mode()
def references(checkpoint: Path) -> list[Text]:
    processor = AutoProcessor.from_pretrained(checkpoint)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32).eval()
    found = []
    for text in inputs.texts():
        conversation = message({"type": "text", "text": text})
        batch = processor.apply_chat_template(
            [conversation], tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[0]
        found.append(Text(conversation, batch["input_ids"][0].tolist(), logits))
    return found


def compared(texts: list[Text], logits: Iterator[torch.Tensor]) -> list[str]:
    """The cells of a row about quality. KL divergences are those of the format from the reference, in nats."""
    divergences, equal, surprises = [], [], []
    for text, got in zip(texts, logits, strict=True):
        if got.shape != text.reference.shape:
            raise SystemExit(f"logits of shape {tuple(got.shape)}, the reference has {tuple(text.reference.shape)}")
        # In f64: for equal formats, the divergence is below the rounding of f32.
        got, reference = got.double().log_softmax(-1), text.reference.double().log_softmax(-1)
        divergences.append((reference.exp() * (reference - got)).sum(-1))
        equal.append(got.argmax(-1) == reference.argmax(-1))
        surprises.append(-got[:-1].gather(1, torch.tensor(text.ids[1:])[:, None])[:, 0])
    divergence, top1, surprise = torch.cat(divergences), torch.cat(equal).float(), torch.cat(surprises)
    mean, p99 = divergence.mean(), divergence.quantile(0.99)
    return [f"{mean:.2g}", f"{p99:.2g}", f"{100 * top1.mean():.2f} %", f"{surprise.mean().exp():.3f}"]


def speeds(stages: dict[str, float | None]) -> list[str]:
    cells = [stages.get(key) for key in ("prefill900_s", "decode1_tokens_s")]
    return ["-" if cell is None else f"{cell:.3g}" for cell in cells]


def our_row(options: argparse.Namespace, checkpoint: Path, dtype: str, texts: list[Text]) -> list[str]:
    logits = (
        forward(options, checkpoint, dtype, text.conversation, "--all-logits")["logits"].reshape(text.reference.shape)
        for text in texts
    )
    quality = compared(texts, logits)
    if options.no_speed:
        return [*quality, "-", "-"]
    report = json.loads(ours(options, checkpoint, dtype, ["bench", "--json"]))
    return [*quality, *speeds(report["stages"])]


def peer_row(options: argparse.Namespace, checkpoint: Path, peer: str, dtype: str, texts: list[Text]) -> list[str]:
    """One process loads the peer's model, computes the logits and measures the speed of that same model."""
    tokens, out = options.work / "tokens.json", options.work / "logits.npy"
    tokens.write_text(json.dumps([text.ids for text in texts]))
    command = [sys.executable, HERE / SCRIPTS[peer], checkpoint, dtype, options.threads, tokens, out]
    done = subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True)
    logits = torch.from_numpy(numpy.load(out, mmap_mode="c")).split([len(text.ids) for text in texts])
    quality = compared(texts, iter(logits))
    out.unlink()
    return [*quality, *speeds(json.loads(done.stdout.strip().splitlines()[-1]))]


def text_table(options: argparse.Namespace) -> None:
    checkpoint = inputs.text_checkpoint(options.binary, options.work)
    texts = references(checkpoint)
    tokens = str(sum(len(text.ids) for text in texts))
    columns = ["mean KL", "99th percentile", "same top-1", "perplexity", "prefill of 900, s", "decoding, tokens/s"]
    header(options, ["system", "format", "tokens", *columns])
    reference = compared(texts, (text.reference for text in texts))
    line("transformers", "f32", tokens, *reference, "-", "-")
    for dtype in options.dtypes:
        attempt(("smolvlm", dtype, tokens), our_row, options, checkpoint, dtype, texts)
        for peer in options.peers:
            for theirs in BESIDE[dtype]:
                attempt((peer, theirs, tokens), peer_row, options, checkpoint, peer, theirs, texts)


# Photographs


@torch.inference_mode()
def image_features(checkpoint: Path, photos: list[Image.Image]) -> torch.Tensor:
    """The reference's features of one tile per photograph, [photos, features, width]."""
    processor = AutoProcessor.from_pretrained(checkpoint).image_processor
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32).eval()
    features = []
    for photo in photos:
        batch = processor([[photo]], do_image_splitting=False, return_tensors="pt")
        features.append(torch.cat(tuple(model.get_image_features(**batch).pooler_output)))
    return torch.stack(features).flatten(1, -2)


def vision_row(
    options: argparse.Namespace,
    checkpoint: Path,
    dtype: str,
    conversations: list[Conversation],
    reference: torch.Tensor,
) -> list[str]:
    got = forward(options, checkpoint, dtype, conversations, "--no-image-splitting")["image_features"]
    got = got.reshape(reference.shape)
    cosines = torch.nn.functional.cosine_similarity(got, reference, dim=-1)
    error = (got - reference).norm() / reference.norm()
    return [f"{cosines.mean():.5f}", f"{cosines.mean(1).min():.5f}", f"{cosines.min():.4f}", f"{100 * error:.2f} %"]


def vision_table(options: argparse.Namespace) -> None:
    text = inputs.text_checkpoint(options.binary, options.work)
    checkpoint = inputs.vision_checkpoint(text, options.work)
    photos, conversations = inputs.photos(), []
    for index, photo in enumerate(photos):
        path = options.work.absolute() / f"photo{index}.png"
        photo.save(path)
        conversations.append(message({"type": "image", "path": str(path)}, {"type": "text", "text": PROMPT}))
    reference = image_features(checkpoint, photos)
    features = str(len(reference) * reference.shape[1])
    header(options, ["system", "format", "features", "mean cosine", "worst photograph", "worst feature", "error"])
    for dtype in options.dtypes:
        attempt(("smolvlm", dtype, features), vision_row, options, checkpoint, dtype, conversations, reference)


# Tables


def line(*cells: str) -> None:
    print("|", " | ".join(cells), "|", flush=True)


def header(options: argparse.Namespace, columns: list[str]) -> None:
    print(f"{processor_name()}, {options.threads} threads\n")
    line(*columns)
    print("|" + "---|" * len(columns))


def attempt(names: tuple[str, ...], row: Callable[..., list[str]], *values: object) -> None:
    """Prints the cells that `row(*values)` gives; if it fails, the reason, so that other rows can follow."""
    try:
        line(*names, *row(*values))
    except (subprocess.CalledProcessError, OSError) as error:
        line(*names, f"failed: {error}")


def processor_name() -> str:
    try:
        names = [text for text in Path("/proc/cpuinfo").read_text().splitlines() if text.startswith("model name")]
        return names[0].split(":", 1)[1].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def main() -> None:
    options = arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    if options.vision:
        vision_table(options)
    else:
        text_table(options)


main()
