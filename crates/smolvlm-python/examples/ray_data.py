"""Describes a folder of images on a Ray cluster, or on this machine if there is none.

python ray_data.py IMAGES OUT [--model M] [--prompt P] [--actors N] [--cpus N] [--checkpoint DIR]
"""

import argparse

import ray
from ray.data.checkpoint import CheckpointConfig
from smolvlm.ray import Captioner


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("images", help="folder or bucket of images, readable by all nodes")
    parser.add_argument("out", help="folder or bucket of Parquet files")
    parser.add_argument("--model", default="HuggingFaceTB/SmolVLM2-256M-Video-Instruct")
    parser.add_argument("--prompt", default="Describe this image.")
    parser.add_argument("--actors", type=int, default=2, help="models, each in a process of its own")
    parser.add_argument("--cpus", type=int, default=1, help="threads of each model")
    parser.add_argument("--checkpoint", help="folder or bucket for the ids of written rows; such rows are skipped")
    args = parser.parse_args()

    if args.checkpoint:
        ray.data.DataContext.get_current().checkpoint_config = CheckpointConfig(
            id_column="path", checkpoint_path=args.checkpoint, delete_checkpoint_on_success=False
        )

    # Files, not decoded images: a damaged one is an error of its row, and they need less memory.
    files = ray.data.read_binary_files(args.images, include_paths=True)
    answers = files.map_batches(
        Captioner,
        fn_constructor_kwargs={
            "model": args.model,
            "prompt": args.prompt,
            "image": "bytes",
            "drop_columns": ["bytes"],
            "max_new_tokens": 64,
        },
        compute=ray.data.ActorPoolStrategy(size=args.actors),
        num_cpus=args.cpus,
        batch_size=32,
    )
    answers.write_parquet(args.out)


if __name__ == "__main__":
    main()
