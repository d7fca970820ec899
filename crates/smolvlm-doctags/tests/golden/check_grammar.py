#!/usr/bin/env python3
"""Tries the grammars of the golden checkpoints (NAME.lark, which tests/grammar.rs writes) with llguidance.

pip install llguidance==1.9.1
python check_grammar.py
"""

import sys
from pathlib import Path

from llguidance import LLMatcher, LLTokenizer

HERE = Path(__file__).resolve().parent
CHECKPOINTS = HERE / "../../../../tests/golden"
BOX = "<loc_1><loc_20><loc_300><loc_500>"
ACCEPTED = [
    f"<doctag><text>{BOX}Plain text.</text>\n<title>{BOX}Title</title></doctag>",
    f"<doctag>\n<unordered_list><list_item>{BOX}one</list_item>\n<list_item>two</list_item>\n</unordered_list>\n</doctag>",
    f"<otsl>{BOX}<ched>a<lcel><nl><fcel>1<ecel><nl><caption>{BOX}Table</caption></otsl>",
    f"<doctag><picture>{BOX}<logo></picture><chart>{BOX}<bar_chart><fcel>x<fcel>1<nl></chart></doctag>",
    f"<code>{BOX}<_Python_>def f():\n    return 1</code>",
    "<formula>E=mc^2</formula>",
    "<doctag></doctag>",
]
# Only where tags are tokens.
WITH_TOKENS = [f"<doctag><text>{BOX}a < b and <b>c</b></text></doctag>", "<formula>a<b</formula>"]
REJECTED = [
    "plain",
    "<doctag>plain</doctag>",
    "<text>a</title>",
    "<text><loc_501><loc_1><loc_1><loc_1>a</text>",
    "<text><loc_1>a</text>",
    "<doctag><otsl>a<fcel>",
    "<otsl><nl></otsl>",
    "<doctag><doctag>",
    "<text>a</text></text>",
]


def accepts(tokenizer, grammar, text):
    matcher = LLMatcher(tokenizer, grammar)
    assert not matcher.is_error(), matcher.get_error()
    tokens = tokenizer.tokenize_str(text)
    if "<" in text:
        tokens = tokenizer.tokenize_bytes(text.encode(), parse_special=True)
    return matcher.validate_tokens(tokens) == len(tokens) and matcher.consume_tokens(tokens) and matcher.is_accepting()


def main():
    failures = 0
    for path in sorted(HERE.glob("*.lark")):
        tokenizer = LLTokenizer((CHECKPOINTS / path.stem / "model/tokenizer.json").read_text())
        has_tokens = path.stem != "gqa-256m"
        cases = [(text, True) for text in ACCEPTED] + [(text, has_tokens) for text in WITH_TOKENS]
        for text, expected in cases + [(text, False) for text in REJECTED]:
            if accepts(tokenizer, "%llguidance {}\n" + path.read_text(), text) != expected:
                failures += 1
                print(f"{path.name}: {'rejects' if expected else 'accepts'} {text!r}")
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
