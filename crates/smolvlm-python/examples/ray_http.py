"""Describes a folder of images with Ray Data and a running server.

smolvlm serve --model demo --port 8080
python ray_http.py IMAGES OUT [--url URL] [--prompt P] [--concurrency N]
"""

import argparse
import base64
import os

import ray
from ray.data.llm import HttpRequestProcessorConfig, build_processor


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("images", help="folder or bucket of images")
    parser.add_argument("out", help="folder or bucket of Parquet files")
    parser.add_argument("--url", default="http://localhost:8080", help="address of the server or its load balancer")
    parser.add_argument("--prompt", default="Describe this image.")
    parser.add_argument("--concurrency", type=int, default=2, help="processes that send requests, one CPU each")
    args = parser.parse_args()

    def request(row: dict) -> dict:
        image = "data:image/jpeg;base64," + base64.b64encode(row["bytes"]).decode()
        content = [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": args.prompt}]
        return {"payload": {"messages": [{"role": "user", "content": content}], "max_tokens": 64, "temperature": 0}}

    def answer(row: dict) -> dict:
        response = row["http_response"]
        if response.get("error"):
            return {"path": row["path"], "text": "", "error": response["error"]["message"]}
        return {"path": row["path"], "text": response["choices"][0]["message"]["content"], "error": ""}

    config = HttpRequestProcessorConfig(
        url=f"{args.url}/v1/chat/completions",
        headers={"Authorization": f"Bearer {os.environ.get('SMOLVLM_API_KEY', 'none')}"},
        # A process has up to four batches in flight, and one request of each.
        concurrency=args.concurrency,
        batch_size=8,
        # By default 0: one busy moment of the server (429) would fail the job. The waits are 1, 2, 4, ... seconds.
        max_retries=6,
    )
    processor = build_processor(config, preprocess=request, postprocess=answer)
    files = ray.data.read_binary_files(args.images, include_paths=True)
    processor(files).write_parquet(args.out)


if __name__ == "__main__":
    main()
