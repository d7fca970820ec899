"""The `smolvlm` command: `python -m smolvlm`."""

import signal
import sys

from . import _native


def main() -> None:
    """Runs the command with the arguments of the process, and ends it with its exit code."""
    # Python's handler would only run once the command has ended.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_native.run_command(["smolvlm", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
