"""The scripts that ask a server."""

import io
from pathlib import Path

import pytest
from conftest import SERVER_PICTURES, run_example
from pictures import QUESTION, check_answers, color, png
from pyarrow import parquet

# Fewer tokens are the answer itself, such as "Red."
MIN_CHARACTERS = 12


def test_ray(cluster: str, server: str, few_pictures: Path, tmp_path: Path) -> None:
    run_example(
        "ray_http.py", few_pictures, tmp_path / "out", "--url", server, "--prompt", QUESTION, RAY_ADDRESS=cluster
    )
    check_answers(parquet.read_table(tmp_path / "out").to_pylist(), SERVER_PICTURES)


def test_daft(server: str, few_pictures: Path, tmp_path: Path) -> None:
    run_example("daft_server.py", few_pictures, tmp_path / "out", "--url", server, "--prompt", QUESTION)
    rows = parquet.read_table(tmp_path / "out").to_pylist()
    # Damaged pictures have no row.
    damaged = [{"path": f"{index:04}", "error": "damaged", "text": None} for index in range(SERVER_PICTURES)]
    damaged = [row for row in damaged if color(int(row["path"])) is None]
    check_answers([row | {"error": None} for row in rows] + damaged, SERVER_PICTURES)


def test_langchain(server: str, few_pictures: Path) -> None:
    paths = sorted(few_pictures.iterdir())[:9]
    output = run_example("langchain_server.py", *paths, "--url", server, "--prompt", QUESTION)
    lines = dict(line.split(": ", 1) for line in output.splitlines() if line.startswith(str(few_pictures)))
    for index, path in enumerate(paths):
        expected = color(index)
        if expected is None:
            assert "cannot be decoded" in lines[str(path)]
        else:
            assert expected in lines[str(path)].lower() and len(lines[str(path)]) > MIN_CHARACTERS, lines


def test_docling(server: str, tmp_path: Path) -> None:
    pytest.importorskip("docling.document_converter", reason="docling converts documents only with torch")
    import docx

    document = docx.Document()
    for index in (0, 1, 3):
        document.add_picture(io.BytesIO(png(index)))
    document.save(tmp_path / "document.docx")
    output = run_example("docling_pictures.py", tmp_path / "document.docx", "--url", server, "--prompt", QUESTION)
    descriptions = [line for line in output.splitlines() if line.startswith(("Red", "Yellow", "Blue"))]
    assert [line.split(".")[0] for line in descriptions] == ["Red", "Yellow", "Blue"], output
    assert all(len(line) > MIN_CHARACTERS for line in descriptions), descriptions
