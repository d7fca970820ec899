"""Local media in place of those that transformers' tests download."""

import os
from pathlib import Path

# What stands for each kind of file.
MEDIA = {
    ".png": Path(os.environ["MEDIA"], "landscape.png"),
    ".jpg": Path(os.environ["MEDIA"], "portrait.png"),
    ".mp4": Path(os.environ["CLIPS"], "plain.mp4"),
}


def url_to_local_path(url: str, return_url_if_not_found: bool = True) -> str:
    """The path of a file of the same kind; the URL itself for kinds that these processors do not read."""
    return str(MEDIA.get(Path(url).suffix, url))
