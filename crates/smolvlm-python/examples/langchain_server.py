"""Describes images with LangChain and a running server.

smolvlm serve --model demo --port 8080
python langchain_server.py IMAGE ... [--url URL] [--prompt P]
"""

import argparse
import base64
import os
from pathlib import Path

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI


def message(path: str, prompt: str) -> HumanMessage:
    image = {"type": "image", "base64": base64.b64encode(Path(path).read_bytes()).decode(), "mime_type": "image/jpeg"}
    return HumanMessage([image, {"type": "text", "text": prompt}])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("images", nargs="+")
    parser.add_argument("--url", default="http://localhost:8080", help="address of the server or its load balancer")
    parser.add_argument("--prompt", default="Describe this image.")
    args = parser.parse_args()

    chat = ChatOpenAI(
        base_url=f"{args.url}/v1",
        api_key=os.environ.get("SMOLVLM_API_KEY", "none"),
        model="any",
        temperature=0,
        max_tokens=64,
        max_retries=6,
        # Parameters that OpenAI's API does not have.
        extra_body={"min_tokens": 12},
    )
    questions = [[message(path, args.prompt)] for path in args.images]
    answers = chat.batch(questions, {"max_concurrency": 8}, return_exceptions=True)
    for path, answer in zip(args.images, answers):
        print(f"{path}: {f'error: {answer}' if isinstance(answer, Exception) else answer.content}")


if __name__ == "__main__":
    main()
