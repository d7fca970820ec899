"""Runs transformers' own processor tests on our processors.

    python run.py [--cache FOLDER] [pytest arguments]

The tests are in the source distribution of transformers, which pip downloads into the cache folder, in the version that
is installed. They are laid out with the files beside this script in a temporary folder.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[1] / "python"
GOLDEN = HERE.parents[3] / "tests" / "golden"
COMMON = ("test_image_processing_common.py", "test_video_processing_common.py", "test_processing_common.py")


def source(cache: Path) -> Path:
    """The source distribution of the installed version, downloaded once."""
    release = version("transformers")
    archive = cache / f"transformers-{release}.tar.gz"
    if not archive.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        options = ["--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--dest", str(cache)]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, f"transformers=={release}"], check=True)
    return archive


def lay_out(archive: Path, folder: Path) -> None:
    """Writes the package `tests` and its folder `utils` as the tests expect them."""
    tests = folder / "tests"
    shutil.copytree(HERE / "models", tests / "models", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(HERE / "utils", folder / "utils", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE / "adapters.py", folder / "adapters.py")
    (tests / "__init__.py").touch()
    with tarfile.open(archive) as files:
        for member in files:
            path = Path(member.name)
            if path.parent.name == "tests" and path.name in COMMON:
                (tests / path.name).write_bytes(files.extractfile(member).read())
    missing = [name for name in COMMON if not (tests / name).is_file()]
    if missing:
        sys.exit(f"{archive} has no {', '.join(missing)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "smolvlm-tests")
    parser.add_argument("--checkpoint", type=Path, default=GOLDEN / "gqa-256m" / "model")
    arguments, others = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        lay_out(source(arguments.cache), Path(folder))
        paths = [folder, str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "CKPT": str(arguments.checkpoint.resolve()),
            "MEDIA": str(GOLDEN / "media"),
            "CLIPS": str(GOLDEN.parent / "corpus" / "clips"),
            "HF_HUB_OFFLINE": "1",
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/models/smolvlm", *others]
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
