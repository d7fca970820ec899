"""Text side: chat templates and the tokenizer."""

from transformers import AutoProcessor

from common import write_json


def user(*content):
    return {"role": "user", "content": list(content)}


def text(words):
    return {"type": "text", "text": words}


IMAGE = {"type": "image"}
VIDEO = {"type": "video"}
PLAIN, PROMPT, CONTINUE = {}, {"add_generation_prompt": True}, {"continue_final_message": True}

TEMPLATES = {
    "image first": ([user(IMAGE, text("hi"))], PROMPT),
    "text first": ([user(text("hi"), IMAGE)], PROMPT),
    "image only": ([user(IMAGE)], PROMPT),
    "two images, text between": ([user(IMAGE, text("a"), IMAGE, text("b"))], PROMPT),
    "system and several turns": (
        [
            {"role": "system", "content": [text("Be nice.")]},
            user(IMAGE, text("Q?")),
            {"role": "assistant", "content": [text("A.")]},
            user(text("more")),
        ],
        PROMPT,
    ),
    "no generation prompt": ([user(text("x"))], PLAIN),
    "conversation ends with the assistant": ([user(text("x")), {"role": "assistant", "content": [text("y")]}], PLAIN),
    "continued final message": ([user(text("x")), {"role": "assistant", "content": [text("Sure, ")]}], CONTINUE),
    "continued final message, no trailing space": (
        [user(text("x")), {"role": "assistant", "content": [text("Sure")]}],
        CONTINUE,
    ),
    "continued final message, text also earlier": (
        [user(text("Sure")), {"role": "assistant", "content": [text("Sure")]}],
        CONTINUE,
    ),
    "continued final message of two texts": (
        [user(text("x")), {"role": "assistant", "content": [text("One. "), text("Two ")]}],
        CONTINUE,
    ),
    "capitalised role": ([{"role": "uSER two", "content": [text("x")]}], PROMPT),
    "non-ASCII role": ([{"role": "élève", "content": [text("x")]}], PROMPT),
    "role tool": ([{"role": "tool", "content": [text("42")]}], PROMPT),
    "special strings in the text": ([user(text("<image> and <end_of_utterance>\n{{ 1 + 1 }}"))], PROMPT),
    "newlines and blanks kept": ([user(text("  a\n\n b \n"))], PROMPT),
    "empty text": ([user(text(""))], PROMPT),
    "no messages": ([], PROMPT),
    "unknown content type ignored": ([user({"type": "audio"}, text("x"))], PROMPT),
    "content given as a string is lost": ([{"role": "user", "content": "hello"}], PROMPT),
    "empty content": ([user()], PROMPT),
    "video first": ([user(VIDEO, text("hi"))], PROMPT),
}

TOKENIZER_TEXTS = [
    "",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\n\n\n",
    "a\n\n  b",
    "Hello, world!",
    "What is in this image?",
    " this image?",
    "Assistant:",
    " Assistant:",
    "1234567890",
    " 42",
    "12345 a 3.14159",
    "It's they'll we've I'M don't",
    "tab\there",
    "CamelCase_and-dash",
    "!!!???...",
    "naïve café — größer",
    "日本語のテキスト",
    "русский текст",
    "🙂👩‍👩‍👧 🇩🇪",
    "e\u0301 combining",
    "\u00a0non-breaking\u2003space",
    "\u0000control\u007f",
    "<image>",
    "<image><image>",
    "a<image>b",
    " <image> ",
    "<|im_start|>User:<image>hi<end_of_utterance>\nAssistant:",
    "<fake_token_around_image><row_1_col_1><image><image>\n\n<fake_token_around_image><global-img><image><fake_token_around_image>",
    "<row_7_col_1>",
    "<row_6_col_6>",
    "<|im_end|><|endoftext|>",
    "< image>",
    "<ima",
]
# ids that end in the middle of a character, or that hold special tokens
DECODE_ONLY_TEXTS = ["日本", "🙂", "x é y"]


def render(processor, messages, options):
    case = {"messages": messages, **options}
    case["uses_video_template"] = any(
        isinstance(item, dict) and item.get("type") == "video" for message in messages for item in message["content"]
    )
    try:
        return {**case, "text": processor.apply_chat_template(messages, **options)}
    except Exception as error:
        return {**case, "error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}


def tokenizer_cases(tokenizer):
    def decode(ids, skip):
        return tokenizer.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False)

    def both(ids):
        return {"decoded": decode(ids, False), "decoded_without_special": decode(ids, True)}

    for words in TOKENIZER_TEXTS:
        ids = tokenizer(words, add_special_tokens=False)["input_ids"]
        assert ids == tokenizer(words)["input_ids"] and decode(ids, False) == words
        yield {"text": words, "ids": ids, **both(ids)}
    for words in DECODE_ONLY_TEXTS:
        ids = tokenizer(words, add_special_tokens=False)["input_ids"]
        for cut in range(1, len(ids) + 1):
            yield {"ids": ids[:cut], **both(ids[:cut])}


def write(folder, golden_root):
    processor = AutoProcessor.from_pretrained(golden_root / "gqa-256m" / "model")
    cases = [{"name": name, **render(processor, *case)} for name, case in TEMPLATES.items()]
    write_json(folder / "templates.json", cases)
    write_json(folder / "tokenizer-cases.json", list(tokenizer_cases(processor.tokenizer)))
