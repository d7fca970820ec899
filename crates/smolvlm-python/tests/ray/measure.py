"""Measures the stage for Ray Data on a cluster of two nodes on this machine.

measure.py [--model M] [--rows N] [--repeats N]

Prints rows per second with one actor of two threads, with two actors of one thread on two nodes, and with these when a
worker is killed after a quarter of the rows. Each picture is one tile. The time is from the first batch to the last,
without start-up.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import ray
from pictures import DAMAGED_EVERY, pixels
from ray.cluster_utils import Cluster
from smolvlm.ray import Captioner

BATCH = 8


class Timed(Captioner):
    """Adds when the batch of a row began and ended. With `killed`, the first process to answer that many rows ends."""

    def __init__(self, killed: str | None, kill_after: int, **options: object) -> None:
        super().__init__(**options)
        self.killed, self.kill_after, self.rows = killed, kill_after, 0

    def __call__(self, batch: dict) -> dict:
        count, began = len(batch["id"]), time.time()
        self.rows += count
        output = super().__call__(batch)
        if self.killed and self.rows > self.kill_after and not os.path.exists(self.killed):
            Path(self.killed).touch()
            os._exit(1)
        times = {"began": began, "ended": time.time(), "node": ray.get_runtime_context().get_node_id()}
        return output | {name: [value] * count for name, value in times.items()}


def picture(row: dict) -> dict:
    # Damaged ones are skipped, and a pixel makes each different: features of the same image are computed once.
    image = pixels(row["id"] * DAMAGED_EVERY)
    image[0, 0] = row["id"] % 256, row["id"] // 256, 0
    return row | {"image": image}


def run(model: str, rows: int, actors: int, cpus: int, kill: bool) -> float:
    """Answers the rows, and returns the seconds from the first batch to the last."""
    with tempfile.TemporaryDirectory() as folder:
        options = {
            "killed": f"{folder}/killed" if kill else None,
            "kill_after": rows // 4 // actors,
            "model": model,
            "image": "image",
            "image_splitting": False,
            "drop_columns": ["image"],
            "max_new_tokens": 16,
            "min_new_tokens": 16,
            "do_sample": False,
        }
        answers = (
            ray.data.range(rows, override_num_blocks=max(1, rows // (2 * BATCH)))
            .map(picture)
            .map_batches(
                Timed,
                fn_constructor_kwargs=options,
                compute=ray.data.ActorPoolStrategy(size=actors),
                num_cpus=cpus,
                batch_size=BATCH,
            )
            .to_pandas()
        )
        assert sorted(answers["id"]) == list(range(rows)) and answers["error"].isna().all()
        assert answers["node"].nunique() == actors and (not kill or os.path.exists(f"{folder}/killed"))
    return answers["ended"].max() - answers["began"].min()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="demo")
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    node = {"num_cpus": 2, "object_store_memory": 300 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
    cluster.add_node(**node)
    ray.init(cluster.address, logging_level="error", log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False

    cases = {
        "one actor of two threads": (1, 2, False),
        "two actors of one thread on two nodes": (2, 1, False),
        "the same, one worker killed": (2, 1, True),
    }
    seconds = {name: [] for name in cases}
    # Alternating, so that other load on the machine affects all cases.
    for _ in range(args.repeats):
        for name, case in cases.items():
            seconds[name].append(run(args.model, args.rows, *case))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{args.model}, {args.rows} rows, medians of {args.repeats}")
    for name, median in medians.items():
        print(f"{name:40} {args.rows / median:8.2f} rows/s  {median:8.1f} s")
    _, whole, killed = medians.values()
    print(f"{'time lost to a killed worker':40} {'':15}  {killed - whole:8.1f} s")
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
