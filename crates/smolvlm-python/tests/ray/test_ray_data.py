"""The stage on a cluster of two nodes."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
import ray
from conftest import PICTURES, run_example, start_example
from pictures import QUESTION, check_answers
from pyarrow import parquet
from smolvlm.ray import Captioner

EXAMPLE_ARGS = ["--model", "demo", "--prompt", QUESTION]

# Classes of this file are sent to the workers by value, as those of a script are.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Reporting(Captioner):
    """Adds the node and the threads of each row; the first actor to have answered some rows is killed."""

    def __init__(self, killed: Path | None = None, **options: object) -> None:
        super().__init__(**options)
        self.killed, self.answered = killed, 0
        self.node = ray.get_runtime_context().get_node_id()

    def __call__(self, batch: dict) -> dict:
        self.answered += len(batch["path"])
        if self.killed and self.answered > PICTURES // 4 and not self.killed.exists():
            self.killed.touch()
            os._exit(1)
        output = super().__call__(batch)
        return output | {"node": [self.node] * len(batch["path"]), "process": [os.getpid()] * len(batch["path"])}


def answer(pictures: Path, cpus: int, **options: object) -> list[dict]:
    files = ray.data.read_binary_files(str(pictures), include_paths=True, override_num_blocks=16)
    answers = files.map_batches(
        Reporting,
        fn_constructor_kwargs={
            "model": "demo",
            "prompt": QUESTION,
            "image": "bytes",
            "drop_columns": ["bytes"],
            "max_new_tokens": 12,
        }
        | options,
        compute=ray.data.ActorPoolStrategy(size=2),
        num_cpus=cpus,
        batch_size=8,
    )
    return answers.take_all()


def test_two_nodes_share_the_rows(connected: None, pictures: Path) -> None:
    rows = answer(pictures, cpus=1)
    check_answers(rows, PICTURES)
    assert len({row["node"] for row in rows}) == len({row["process"] for row in rows}) == 2


def test_no_row_is_lost_or_repeated_if_a_worker_is_killed(connected: None, pictures: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    rows = answer(pictures, cpus=1, killed=killed)
    assert killed.exists()
    check_answers(rows, PICTURES)


@pytest.mark.parametrize(("cpus", "threads"), [(0.5, 1), (1, 1), (2, 2)])
def test_threads_are_the_cpus_of_the_actor(connected: None, cpus: float, threads: int) -> None:
    @ray.remote(num_cpus=cpus)
    class Actor:
        def threads(self) -> int | None:
            from smolvlm.ray import _reserved_cpus

            return _reserved_cpus()

    assert ray.get(Actor.remote().threads.remote()) == threads


def test_wrong_parameters_fail_the_job(connected: None, pictures: Path) -> None:
    with pytest.raises(Exception, match="max_tokenz"):
        answer(pictures, cpus=1, max_tokenz=3)


def test_the_example(cluster: str, pictures: Path, tmp_path: Path) -> None:
    run_example("ray_data.py", pictures, tmp_path / "out", *EXAMPLE_ARGS, RAY_ADDRESS=cluster)
    check_answers(parquet.read_table(tmp_path / "out").to_pylist(), PICTURES)


def test_the_example_resumes_after_it_was_killed(cluster: str, pictures: Path, tmp_path: Path) -> None:
    out, checkpoint = tmp_path / "out", tmp_path / "checkpoint"
    args = ["ray_data.py", pictures, out, *EXAMPLE_ARGS, "--checkpoint", checkpoint]
    with start_example(*args, RAY_ADDRESS=cluster) as process:
        while process.poll() is None and len(list(out.glob("*.parquet"))) < 3:
            time.sleep(0.02)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    # Workers of a killed script end later than the script.
    time.sleep(5)
    written = {path: path.stat().st_mtime_ns for path in out.glob("*.parquet")}

    run_example(*args, RAY_ADDRESS=cluster)
    check_answers(parquet.read_table(out).to_pylist(), PICTURES)
    # A file that was written but not yet recorded is replaced.
    kept = [path for path, changed in written.items() if path.exists() and path.stat().st_mtime_ns == changed]
    assert len(kept) >= 2
    run_example(*args, RAY_ADDRESS=cluster)
    check_answers(parquet.read_table(out).to_pylist(), PICTURES)
