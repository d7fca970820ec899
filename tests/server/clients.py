"""Asks a running server through other programs' Python packages: clients.py URL KEY IMAGE."""

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    url, key, path = sys.argv[1:]
    for script in sorted(Path(__file__).parent.glob("check_*.py")):
        importlib.import_module(script.stem).check(url, key, Path(path).read_bytes())
        print(f"{script.stem.removeprefix('check_')}: ok", flush=True)
