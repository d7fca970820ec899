"""Describes a folder of images with Daft and a running server.

smolvlm serve --model demo --port 8080 --max-queue 1000 --request-timeout 3600
python daft_server.py IMAGES OUT [--url URL] [--prompt P]
"""

import argparse
import os

import daft
from daft.ai.openai.provider import OpenAIProvider
from daft.functions import prompt


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("images", help="folder or bucket of images")
    parser.add_argument("out", help="folder or bucket of Parquet files")
    parser.add_argument("--url", default="http://localhost:8080", help="address of the server or its load balancer")
    parser.add_argument("--prompt", default="Describe this image.")
    args = parser.parse_args()

    provider = OpenAIProvider(
        "smolvlm",
        base_url=f"{args.url}/v1",
        api_key=os.environ.get("SMOLVLM_API_KEY", "none"),
        timeout=3600,
        max_retries=6,
    )
    files = daft.from_glob_path(f"{args.images.rstrip('/')}/*").select("path")
    images = files.with_column("image", daft.col("path").download(on_error="null"))
    # Damaged images are left out: one failed request fails the job, or with on_error its whole batch.
    images = images.where(daft.col("image").decode_image(on_error="null").not_null())
    answer = prompt(
        [daft.col("image"), daft.lit(args.prompt)],
        provider=provider,
        model="any",
        # The default is the Responses API, which the server does not have.
        use_chat_completions=True,
        max_tokens=64,
        temperature=0,
    )
    images.select("path", answer.alias("text")).write_parquet(args.out)


if __name__ == "__main__":
    main()
