"""The same GGUF file here and in llama.cpp: tokens of prompts and texts, greedy answers, KL divergence of logits.

`python gguf_compare.py --binary SMOLVLM --model text.gguf [--mmproj mmproj.gguf --images a.png ...]`. Needs
llama-cpp-python, numpy and safetensors. With images also the features of one tile. See README.md.
"""

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import llama_cpp as llama
import numpy
from safetensors import safe_open

PROMPTS = [
    "What is the capital of France, and why is it famous?",
    "Explain in three sentences how a rainbow forms.",
    "Write a short poem about a lighthouse.",
    "List five things to pack for a week in the mountains.",
    "What is 17 plus 25? Explain each step.",
    "Translate to French: The weather is beautiful today.",
    "Write a Python function that reverses a list.",
    "Who wrote Romeo and Juliet, and what is it about?",
    "Summarize the water cycle for a child.",
    "Give me a recipe for pancakes with 4 ingredients.",
]

PAGE = """The quick brown fox jumps over 13 lazy dogs; it's 2026-11-29, isn't it? They'll've "quoted" 3.14159e-10.
  Indented\ttabs\tand   several    spaces
def f(x):
    return x**2 + 12345678901234567890
Größe, naïve café, Ελληνικά και Ωμέγα, Русский язык и 2 слова, עברית בלי ניקוד, العربية ١٢٣٤٥, हिन्दी में ४५,
ไทยไม่มีช่องว่าง, 日本語のテキスト、漢字とカナ, 中文简体与繁體 123, 한국어 문장입니다.
Emoji: 👋🏽 👨‍👩‍👧‍👦 🇩🇪 ❤️ ☕️ ½ ² Ⅷ ①②③ 𝒳 𝟙𝟚 ﬁ zero\u200bwidth non\u00a0breaking
'S 'LL don't DON'T we'Re I'D 's's ... !!! #1 $5.00 100% a_b-c/d\\e {json: ["x", 1]} https://example.com/a?b=c&d=1#e
"""

quiet = llama.llama_log_callback(lambda *_: None)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True, help="our command, smolvlm")
    parser.add_argument("--model", type=Path, required=True, help="text model in GGUF")
    parser.add_argument("--mmproj", type=Path, help="vision encoder and connector in GGUF")
    parser.add_argument("--images", nargs="*", default=[], help="images, one question each; need --mmproj")
    parser.add_argument("--dtypes", nargs="+", default=["f32", "auto"])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer-only", action="store_true", help="only answers and tokens of llama.cpp, without ours")
    return parser.parse_args()


class Peer:
    """The model in llama.cpp, one sequence at a time."""

    def __init__(self, path: Path, threads: int) -> None:
        llama.llama_log_set(quiet, ctypes.c_void_p())
        llama.llama_backend_init()
        params = llama.llama_model_default_params()
        # Weights as in the file: repacked ones have other kernels, of which those for AMX fail on some systems.
        params.use_extra_bufts = False
        self.model = llama.llama_model_load_from_file(bytes(path), params)
        if not self.model:
            sys.exit(f"llama.cpp cannot load {path}")
        self.vocab = llama.llama_model_get_vocab(self.model)
        self.size = llama.llama_vocab_n_tokens(self.vocab)
        params = llama.llama_context_default_params()
        params.n_ctx = params.n_batch = 2048
        params.n_threads = params.n_threads_batch = threads
        self.context = llama.llama_init_from_model(self.model, params)

    def tokens(self, text: str) -> list[int]:
        data = text.encode()
        found = (llama.llama_token * (len(data) + 8))()
        count = llama.llama_tokenize(self.vocab, data, len(data), found, len(found), False, True)
        return list(found[:count])

    def template(self) -> str:
        text = llama.llama_model_chat_template(self.model, None)
        return text.decode() if text else ""

    def restart(self) -> None:
        llama.llama_memory_clear(llama.llama_get_memory(self.context), False)

    def forward(self, ids: list[int], start: int, every: bool) -> numpy.ndarray:
        """Logits of the last token, or of every token: [tokens, vocabulary]."""
        batch = llama.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = token, start + i, 1, 0
            batch.logits[i] = every or i == len(ids) - 1
        if llama.llama_decode(self.context, batch) != 0:
            sys.exit("llama.cpp cannot decode")
        llama.llama_batch_free(batch)
        rows = range(len(ids)) if every else [len(ids) - 1]
        logits = [llama.llama_get_logits_ith(self.context, i) for i in rows]
        return numpy.stack([numpy.ctypeslib.as_array(row, (self.size,)).copy() for row in logits])

    def answer(self, ids: list[int], count: int) -> tuple[list[int], list[float]]:
        """Greedy tokens, the end token included, and by how much each leads the second."""
        self.restart()
        logits, position = self.forward(ids, 0, False)[0], len(ids)
        tokens, leads = [], []
        while len(tokens) < count:
            token = int(logits.argmax())
            second, first = numpy.partition(logits, -2)[-2:]
            tokens.append(token)
            leads.append(float(first - second))
            if llama.llama_vocab_is_eog(self.vocab, token):
                break
            logits = self.forward([token], position, False)[0]
            position += 1
        return tokens, leads

    def logits(self, ids: list[int]) -> numpy.ndarray:
        self.restart()
        return self.forward(ids, 0, True)


def ours(options: argparse.Namespace, dtype: str, *command: object) -> str:
    """Standard output of our command."""
    words = [options.binary, *command, "--model", options.model, "--dtype", dtype, "--threads", options.threads]
    words += ["--mmproj", options.mmproj] if options.mmproj else []
    return subprocess.run([str(word) for word in words], check=True, stdout=subprocess.PIPE, text=True).stdout


def conversation(text: str, image: str | None = None) -> list[dict[str, object]]:
    media = [{"type": "image", "path": str(Path(image).resolve())}] if image else []
    return [{"role": "user", "content": [*media, {"type": "text", "text": text}]}]


def tensors(path: Path) -> tuple[dict[str, numpy.ndarray], dict[str, str]]:
    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}


def processed(options: argparse.Namespace, work: Path, value: list[dict[str, object]]) -> tuple[list[int], str]:
    """Token ids and prompt of a conversation."""
    source, out = work / "conversation.json", work / "processed.safetensors"
    source.write_text(json.dumps(value))
    ours(options, "auto", "process", "--conversation", source, "--out", out)
    arrays, metadata = tensors(out)
    return arrays["input_ids"][0].tolist(), metadata["prompt.0"]


def log_softmax(logits: numpy.ndarray) -> numpy.ndarray:
    wide = logits.astype(numpy.float64)
    wide -= wide.max(-1, keepdims=True)
    return wide - numpy.log(numpy.exp(wide).sum(-1, keepdims=True))


def divergence(reference: numpy.ndarray, other: numpy.ndarray) -> numpy.ndarray:
    """KL divergence per token, in nats."""
    p, q = log_softmax(reference), log_softmax(other)
    return (numpy.exp(p) * (p - q)).sum(-1)


def compare_text(options: argparse.Namespace, peer: Peer, work: Path) -> None:
    conversations = [conversation(text) for text in PROMPTS]
    every = [*conversations, conversation(PAGE)]
    prompts = [processed(options, work, value) for value in every]
    for ids, prompt in prompts:
        if peer.tokens(prompt) != ids:
            sys.exit(f"tokens differ for {prompt!r}: {ids} here, {peer.tokens(prompt)} in llama.cpp")
    print(f"tokens: equal in all {len(prompts)} prompts, {sum(len(ids) for ids, _ in prompts)} tokens")
    expected = [peer.answer(ids, options.tokens) for ids, _ in prompts[:-1]]
    reference = [peer.logits(ids) for ids, _ in prompts]
    source = work / "conversations.json"
    source.write_text(json.dumps(conversations))
    for dtype in options.dtypes:
        lines = ours(
            options, dtype, "generate", "--conversation", source, "--json", "--greedy", "--no-loop-guard",
            "--max-new-tokens", options.tokens, "--batch-size", len(PROMPTS),
        )  # fmt: skip
        answers = {row["conversation"]: row["token_ids"] for row in map(json.loads, lines.splitlines())}
        equal = 0
        for index, (tokens, leads) in enumerate(expected):
            pairs = zip(answers[index], tokens)
            first = next((i for i, (own, other) in enumerate(pairs) if own != other), None)
            # One of them may have no end token.
            if first is None and abs(len(answers[index]) - len(tokens)) > 1:
                first = min(len(answers[index]), len(tokens) - 1)
            equal += first is None
            if first is not None:
                print(
                    f"  {dtype}: answer {index} differs at token {first}, where llama.cpp's leads by {leads[first]:.3f}"
                )
        print(f"{dtype}: {equal} of {len(PROMPTS)} answers of {options.tokens} tokens are equal")
        losses, agree = [], []
        for value, rows in zip(every, reference):
            out = work / "forward.safetensors"
            (work / "conversation.json").write_text(json.dumps(value))
            ours(options, dtype, "forward", "--conversation", work / "conversation.json", "--all-logits", "--out", out)
            own = tensors(out)[0]["logits"].reshape(-1, peer.size)
            losses.append(divergence(rows, own))
            agree.append(rows.argmax(-1) == own.argmax(-1))
        loss, same = numpy.concatenate(losses), numpy.concatenate(agree)
        print(
            f"{dtype}: KL of llama.cpp's logits to ours, {len(loss)} tokens of prompts: mean {loss.mean():.5f}, "
            f"99th percentile {numpy.quantile(loss, 0.99):.5f}; the same most likely token {100 * same.mean():.1f} %"
        )


def compare_images(options: argparse.Namespace, peer: Peer, work: Path) -> None:
    """Features of tiles of 512 pixels, of which llama.cpp and we resize nothing."""
    from llama_cpp import mtmd_cpp as mtmd

    params = mtmd.mtmd_context_params_default()
    params.n_threads, params.warmup, params.use_gpu = options.threads, False, False
    vision = mtmd.mtmd_init_from_file(bytes(options.mmproj), peer.model, params)
    width = llama.llama_model_n_embd(peer.model)
    for path in options.images:
        bitmap = mtmd.mtmd_helper_bitmap_init_from_file(vision, str(path).encode(), False)
        marker = mtmd.mtmd_default_marker()
        text = mtmd.mtmd_input_text(marker, len(marker), False, True)
        chunks = mtmd.mtmd_input_chunks_init()
        assert mtmd.mtmd_tokenize(vision, chunks, ctypes.byref(text), (mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap), 1) == 0
        every = [mtmd.mtmd_input_chunks_get(chunks, i) for i in range(mtmd.mtmd_input_chunks_size(chunks))]
        tiles = [c for c in every if mtmd.mtmd_input_chunk_get_type(c) == mtmd.MTMD_INPUT_CHUNK_TYPE_IMAGE]
        features = []
        for tile in tiles:
            assert mtmd.mtmd_encode_chunk(vision, tile) == 0
            shape = (mtmd.mtmd_input_chunk_get_n_tokens(tile), width)
            features.append(numpy.ctypeslib.as_array(mtmd.mtmd_get_output_embd(vision), shape).copy())
        source, out = work / "conversation.json", work / "forward.safetensors"
        source.write_text(json.dumps(conversation("What is this?", path)))
        for dtype in options.dtypes:
            ours(options, dtype, "forward", "--conversation", source, "--out", out)
            own = tensors(out)[0]["image_features"].reshape(len(tiles), -1, width)
            other = numpy.stack(features)
            lengths = numpy.linalg.norm(own, axis=-1) * numpy.linalg.norm(other, axis=-1)
            cosine = (own * other).sum(-1) / lengths
            print(
                f"{dtype}: features of {path}: {len(tiles)} tiles, cosine with llama.cpp's mean {cosine.mean():.6f}, "
                f"lowest {cosine.min():.6f}"
            )


def main() -> None:
    options = arguments()
    peer = Peer(options.model, options.threads)
    if options.peer_only:
        for text in PROMPTS:
            ids = peer.tokens(f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n")
            tokens, _ = peer.answer(ids, options.tokens)
            print(len(ids), tokens)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare_text(options, peer, Path(folder))
        if options.mmproj and options.images:
            compare_images(options, peer, Path(folder))


if __name__ == "__main__":
    main()
