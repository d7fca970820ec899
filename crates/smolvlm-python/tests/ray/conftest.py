"""A cluster of two nodes on this machine, a server, and pictures with known answers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest
from pictures import write_pictures

EXAMPLES = Path(__file__).parents[2] / "examples"
# The size of the data set, and of that for the tests of scripts that ask a server.
PICTURES, SERVER_PICTURES = 300, 40


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The address of two nodes with two logical CPUs each. With one CPU per node, actors leave none for reading."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    node = {"num_cpus": 2, "object_store_memory": 200 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
    try:
        cluster.add_node(**node)
        yield cluster.address
    finally:
        cluster.shutdown()


@pytest.fixture
def connected(cluster: str) -> Iterator[None]:
    """This process is connected to the cluster."""
    import ray

    ray.init(cluster, logging_level="warning", log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a server with the bundled model; `SMOLVLM` is the path of the command."""
    if "SMOLVLM" not in os.environ:
        pytest.skip("SMOLVLM is not set to the path of the command")
    command = [os.environ["SMOLVLM"], "serve", "--model", "demo", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        url = ""
        for line in process.stderr:
            if "listening on " in line:
                url = line.split("listening on ")[1].strip()
            if line.rstrip().endswith("ready"):
                break
        try:
            assert url, "the server did not start"
            yield url
        finally:
            process.kill()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of many pictures, some of them damaged."""
    return write_pictures(tmp_path_factory.mktemp("pictures"), PICTURES)


@pytest.fixture(scope="session")
def few_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a few pictures, some of them damaged."""
    return write_pictures(tmp_path_factory.mktemp("few"), SERVER_PICTURES)


def start_example(name: str, *args: object, **variables: str) -> subprocess.Popen[str]:
    """Starts a script of `examples`."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, args)]
    return subprocess.Popen(command, env=os.environ | variables, stdout=PIPE, stderr=STDOUT, text=True)


def run_example(name: str, *args: object, **variables: str) -> str:
    """Runs a script of `examples` to its end and returns its output."""
    with start_example(name, *args, **variables) as process:
        output = process.communicate(timeout=600)[0]
    assert process.returncode == 0, output
    return output
