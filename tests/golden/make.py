#!/usr/bin/env python3
"""Writes, or checks, the golden data of this folder.

    python make.py --out DIR     write everything below DIR (the committed files: --out .)
    python make.py --check       rebuild in a temporary folder and compare with the committed files

Answers of the demo's checkpoint are written or compared only with --questions, the folder in which `cargo run --release
-p smolvlm-demo-train -- questions DIR --of-each 16` put its questions; `cargo xtask golden` does both.

README.md describes the files; requirements.txt names the exact packages. Nothing is downloaded.
"""

import argparse
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

sys.dont_write_bytecode = True
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
warnings.filterwarnings("ignore")

import torch

HERE = Path(__file__).resolve().parent
MEDIA, PROCESSING, ADAPTER, ADAPTERS, EXAMPLES, DEMO = "media", "processing", "adapter", "adapters", "examples", "demo"


def build(out, only=None, questions=None):
    from adapter import write_adapter
    from cases import Reference, write_cases
    from cases_adapters import write_adapters
    from cases_generation import write_generation_cases
    from cases_training import CHECKPOINTS as TRAINED, write_training_case
    from cases_video import write_video_cases
    from checkpoints import CHECKPOINTS, recipe, write_checkpoint
    from demo import write_answers
    from examples import write_examples
    from media import write_media
    from processing_decoders import DECODERS, write_decoder_media
    from processing import write_processing

    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    names = [MEDIA, PROCESSING, *CHECKPOINTS, ADAPTER, ADAPTERS, EXAMPLES] + ([DEMO] if questions else [])
    wanted = [n for n in names if only is None or n in only]
    for name in wanted:
        shutil.rmtree(out / name, ignore_errors=True)
    if MEDIA in wanted:
        write_media(out / MEDIA)
        write_decoder_media(out / MEDIA / DECODERS)
    for name in wanted:
        if name in CHECKPOINTS:
            plan = recipe(name)
            write_checkpoint(out / name / "model", plan)
            reference = Reference(out / name / "model", out, plan["dtype"])
            write_cases(out / name, reference, plan)
            write_video_cases(out / name, reference, plan)
            write_generation_cases(out / name, reference, plan)
            if name in TRAINED:
                write_training_case(out / name / "training", out / name / "model", out)
    if PROCESSING in wanted:
        write_processing(out / PROCESSING, out)
    if ADAPTER in wanted:
        write_adapter(out / ADAPTER, out)
    if ADAPTERS in wanted:
        write_adapters(out / ADAPTERS, out)
    if EXAMPLES in wanted:
        write_examples(out / EXAMPLES, out)
    if DEMO in wanted:
        write_answers(out / DEMO, questions)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write below this folder")
    parser.add_argument("--check", action="store_true", help="compare a fresh build with the committed files")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="with --out: only these (a folder's name)")
    parser.add_argument("--questions", type=Path, metavar="DIR", help="the demo's questions")
    arguments = parser.parse_args()
    if arguments.check == (arguments.out is not None):
        parser.error("give either --out DIR or --check")
    if arguments.out:
        build(arguments.out.resolve(), arguments.only, arguments.questions)
        return 0
    from compare import differences

    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), questions=arguments.questions)
        found = differences(HERE, Path(folder))
    for line in found:
        print(line)
    print(f"{len(found)} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
