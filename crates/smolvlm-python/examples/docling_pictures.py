"""Describes the pictures of a document with docling and a running server, and prints the document as Markdown.

smolvlm serve --model demo --port 8080
python docling_pictures.py DOCUMENT [--url URL] [--prompt P]
"""

import argparse
import os

from docling.datamodel.base_models import InputFormat
from docling.datamodel.pipeline_options import ConvertPipelineOptions, PdfPipelineOptions, PictureDescriptionApiOptions
from docling.document_converter import DocumentConverter, PdfFormatOption, WordFormatOption


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("document", help="PDF or Word document")
    parser.add_argument("--url", default="http://localhost:8080", help="address of the server")
    parser.add_argument("--prompt", default="Describe this image.")
    args = parser.parse_args()

    pictures = PictureDescriptionApiOptions(
        url=f"{args.url}/v1/chat/completions",
        headers={"Authorization": f"Bearer {os.environ.get('SMOLVLM_API_KEY', 'none')}"},
        prompt=args.prompt,
        # At least 12 tokens: some checkpoints end after one word, such as "In" or "This".
        params={"min_tokens": 12, "max_tokens": 200, "temperature": 0},
        # By default 20 seconds, which a CPU needs for a few pictures with several tiles.
        timeout=300,
        concurrency=8,
    )
    options = {
        "enable_remote_services": True,
        "do_picture_description": True,
        "picture_description_options": pictures,
    }
    pdf = PdfPipelineOptions(**options, generate_picture_images=True)
    converter = DocumentConverter(
        format_options={
            InputFormat.PDF: PdfFormatOption(pipeline_options=pdf),
            InputFormat.DOCX: WordFormatOption(pipeline_options=ConvertPipelineOptions(**options)),
        }
    )
    print(converter.convert(args.document).document.export_to_markdown())


if __name__ == "__main__":
    main()
