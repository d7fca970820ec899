"""Our figures compared with those of other runtimes, as Markdown: `python compare.py SMOLVLM CHECKPOINT`. See
README.md."""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = {"transformers": "transformers_peer.py", "openvino": "openvino_peer.py", "llama.cpp": "llamacpp_peer.py"}
DTYPES = {
    "transformers": ["f32", "bf16"],
    "openvino": ["f32", "bf16", "int8", "int4"],
    "llama.cpp": ["f32", "bf16", "int8", "int4"],
}
OURS = {"f32": "f32", "bf16": "bf16", "int8": "q8", "int4": "q4"}
STAGES = {
    "load_s": "load, s",
    "tile_s": "one tile, s",
    "tiles13_s": "each of 13 tiles, s",
    "prefill900_s": "prefill of 900 tokens, s",
    "decode1_tokens_s": "decoding, 1 row, tokens/s",
    "decode8_tokens_s": "decoding, 8 rows, tokens/s",
    "first_token_s": "question to first token, s",
    "total_s": "question to 64th token, s",
    "peak_mib": "peak memory, MiB",
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("smolvlm", help="our command")
    parser.add_argument("checkpoint", type=Path, help="folder of the checkpoint that all run")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtypes", nargs="+", default=list(OURS), choices=OURS)
    parser.add_argument("--peers", nargs="*", choices=SCRIPTS, default=list(SCRIPTS))
    parser.add_argument("--rounds", type=int, default=1, help="ours and the peers in turn so many times; medians")
    parser.add_argument("--python", default=sys.executable, help="the Python that has requirements.txt")
    return parser.parse_args()


def last_json(command):
    """The JSON object on the last line of a command's output; None if it fails, with the reason on stderr."""
    print("$", *command, file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        print(f"no figures: exit code {done.returncode}", file=sys.stderr, flush=True)
        return {}


def ours(options, dtype):
    command = [options.smolvlm, "bench", "--json", "--model", options.checkpoint]
    figures = last_json([str(word) for word in [*command, "--dtype", OURS[dtype], "--threads", options.threads]])
    return figures.get("stages", {}) | {"peak_mib": figures.get("peak_mib")}


def theirs(options, peer, dtype):
    command = [options.python, HERE / SCRIPTS[peer], options.checkpoint, dtype, options.threads]
    return last_json([str(word) for word in command])


def median(runs, stage):
    values = [run[stage] for run in runs if run.get(stage) is not None]
    return statistics.median(values) if values else None


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def ratio(stage, our, their):
    """Ratio of the peer's figure to ours: how many times faster or smaller we are."""
    if not our or not their:
        return "-"
    return f"{our / their if stage.endswith('tokens_s') else their / our:.2f}"


def table(dtype, columns):
    names = [name for name in columns if name != "smolvlm"]
    print(f"\n## {dtype}\n")
    print("| stage | smolvlm |", *(f"{name} | ratio |" for name in names))
    print("|---|---|" + "---|---|" * len(names))
    for stage, title in STAGES.items():
        our = median(columns["smolvlm"], stage)
        cells = [title, number(our)]
        for name in names:
            their = median(columns[name], stage)
            cells += [number(their), ratio(stage, our, their)]
        print("|", " | ".join(cells), "|", flush=True)


def main():
    options = arguments()
    print(f"{options.threads} threads, {options.rounds} rounds. Ratios above 1: smolvlm is faster, or smaller.")
    for dtype in options.dtypes:
        peers = [peer for peer in options.peers if dtype in DTYPES[peer]]
        columns = {name: [] for name in ["smolvlm", *peers]}
        for _ in range(options.rounds):
            columns["smolvlm"].append(ours(options, dtype))
            for peer in peers:
                columns[peer].append(theirs(options, peer, dtype))
        table(dtype, columns)


main()
