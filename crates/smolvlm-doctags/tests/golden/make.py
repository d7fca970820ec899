#!/usr/bin/env python3
"""Writes, or checks, what docling-core makes of the DocTags in this folder.

    pip install docling-core==2.104.0 pillow==13.0.0
    python make.py            # writes NAME.json and NAME.md for every NAME.doctags
    python make.py --check    # compares them, and loads the JSON that this crate wrote (NAME.written.json)

Page images are blank, 1000 x 800 pixels. Images and what only docling-core knows are removed from its JSON: see `pruned`.
"""

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path

from docling_core.types.doc import DoclingDocument
from docling_core.types.doc.document import DocTagsDocument
from PIL import Image

HERE = Path(__file__).resolve().parent
SIZE = (1000, 800)


def load(text):
    pages = text.split("<page_break>")
    images = [Image.new("RGB", SIZE, "white") for _ in pages]
    return DoclingDocument.load_from_doctags(DocTagsDocument.from_doctags_and_image_pairs(pages, images), "golden")


def pruned(document):
    """The JSON without images, the grids that repeat cells, and marks of who made it."""
    value = document.export_to_dict()
    for item in [*value["pictures"], *value["pages"].values()]:
        item.pop("image", None)
    for text in value["texts"]:
        if text["label"] == "code":
            # docling-core counts the language's tag.
            for place in text["prov"]:
                place["charspan"] = [0, len(text["text"])]
    for picture in value["pictures"]:
        meta = picture.get("meta", {})
        for prediction in meta.get("classification", {}).get("predictions", []):
            prediction["created_by"] = "smolvlm"
        meta.get("tabular_chart", {}).get("chart_data", {}).pop("grid", None)
    for table in value["tables"]:
        table["data"].pop("grid")
    return value


def build(source):
    document = load(source.read_text())
    value = {"docling-core": version("docling-core"), "document": pruned(document)}
    text = json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    return {source.with_suffix(".json"): text, source.with_suffix(".md"): document.export_to_markdown() + "\n"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    differences = 0
    for source in sorted(HERE.glob("*.doctags")):
        for path, text in build(source).items():
            if not check:
                path.write_text(text)
            elif path.read_text() != text:
                differences += 1
                print(f"{path.name} differs")
    for path in sorted(HERE.glob("*.written.json")):
        # Raises an error if it is not valid. Markdown needs the references between items.
        loaded = DoclingDocument.model_validate_json(path.read_text())
        name = path.name.removesuffix(".written.json")
        expected = HERE / f"{name}.md"
        if check and expected.exists() and loaded.export_to_markdown() + "\n" != expected.read_text():
            differences += 1
            print(f"{path.name}: docling-core writes other Markdown")
    print(f"{differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
