"""Chat templates other than the released one, their assistant masks, and control tokens in user text."""

from PIL import Image
from transformers import AutoProcessor
from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE

from checkpoints import CHAT_TEMPLATE
from common import write_json

PROMPT = {"add_generation_prompt": True}


def text(words):
    return {"type": "text", "text": words}


IMAGE = {"type": "image", "path": "media/size-17x31.png"}


def user(*content):
    return {"role": "user", "content": list(content)}


def assistant(*content):
    return {"role": "assistant", "content": list(content)}


def say(role, words):
    return {"role": role, "content": words}


PARTS = "{% for part in message.content %}{{ part.text if part.type == 'text' else '<image>' }}{% endfor %}"
TURNS = [user(IMAGE, text("What is it?")), assistant(text("A small shape.")), user(text("Sure?")), assistant(text("Yes."))]
STRINGS = [say("system", "Be nice."), say("user", "Hello"), say("assistant", "Hi there."), say("user", "Bye")]

# name -> (template, messages, options)
TEMPLATES = {
    "generation": (
        "<|im_start|>{% for message in messages %}{{ message.role | capitalize }}: {% if message.role == 'assistant' %}"
        "{% generation %}" + PARTS + "<end_of_utterance>{% endgeneration %}{% else %}" + PARTS + "<end_of_utterance>{% endif %}\n"
        "{% endfor %}",
        TURNS,
        {},
    ),
    "generation with whitespace control": (
        "<|im_start|>{%- for message in messages %}\n  {%- if message.role == 'assistant' %}\n    {%- generation -%}\n   "
        + PARTS
        + "\n  {%- endgeneration %}\n<end_of_utterance>\n  {% else %}\n  "
        + PARTS
        + "\n{% endif -%}\n\n {% endfor %}",
        TURNS,
        {},
    ),
    "nested generation": (
        "{% for message in messages %}{% generation %}[{{ message.role }}{% generation %}|" + PARTS + "{% endgeneration %}]"
        "{% endgeneration %}{% endfor %}",
        TURNS,
        {},
    ),
    "variables of a generation block stay in it": (
        "{% set x = 'a' %}{% set ns = namespace(x='a') %}{% for message in messages %}{% set y = loop.index %}"
        "{% generation %}{{ x }}{{ y }}{% set x = 'b' %}{% set ns.x = ns.x + x %}{{ x }}{% endgeneration %}"
        "{% endfor %}{{ x }}{{ ns.x }}" + "{{ messages[0].content[0].type }}",
        TURNS[1:],
        {},
    ),
    "generation in raw text, a comment and a string": (
        "{% raw %}{% generation %}{% endraw %}{# {% generation %} #}{{ '{% endgeneration %}' }}{{ generation }}"
        "{% generation %}{{ messages[0].content[0].text }}{% endgeneration %}",
        [user(text("x"))],
        {},
    ),
    "generation around a loop and in a macro": (
        "{% macro say(message) %}{% generation %}" + PARTS + "{% endgeneration %};{% endmacro %}"
        "{% generation %}{% for message in messages %}{{ say(message) }}{% endfor %}{% endgeneration %}",
        [user(text("x")), assistant(text("y"))],
        {},
    ),
    "strings as the reference's own template has them": (DEFAULT_CHAT_TEMPLATE, STRINGS, PROMPT),
    "string and items": (DEFAULT_CHAT_TEMPLATE, [STRINGS[0], user(IMAGE, text("hi"))], PROMPT),
    "empty string": (DEFAULT_CHAT_TEMPLATE, [say("user", "")], PROMPT),
    "a template that takes nothing but strings": (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] | trim + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        STRINGS,
        PROMPT,
    ),
    "strings of the system only": (
        "{% for m in messages %}{% if m.role == 'system' %}{{ m.content.strip() ~ ';' }}{% else %}"
        "{% for part in m.content %}{{ part['text'] }}{% endfor %}{% endif %}{% endfor %}",
        [say("system", " Be nice. "), user(text("Hello"))],
        {},
    ),
    "continued string": (DEFAULT_CHAT_TEMPLATE, [say("user", "x"), say("assistant", "Sure, ")], {"continue_final_message": True}),
    "reasoning under each of its names": (
        "{% for m in messages %}{{ m.reasoning_content }},{{ m.thinking }},{{ m.reasoning }};{% endfor %}{{ messages[0].content }}",
        [{**say("user", "x"), "reasoning": "r"}, {**say("user", "y"), "thinking": "t"}, say("user", "z")],
        {},
    ),
}


def spans_of(processor, template, messages):
    """Ids and which of them the template's generation blocks cover; None without such blocks."""
    if "{% generation" not in template and "{%- generation" not in template:
        return {}
    out = processor.apply_chat_template(
        opened(messages, processor.root),
        chat_template=template,
        tokenize=True,
        return_dict=True,
        return_tensors=None,
        return_assistant_tokens_mask=True,
    )
    return {"input_ids": list(out["input_ids"][0]), "assistant_mask": list(out["assistant_masks"][0])}


def opened(messages, root):
    """The messages with images as pictures."""

    def item(part):
        return {"type": "image", "image": Image.open(root / part["path"])} if part["type"] == "image" else part

    return [
        m if isinstance(m["content"], str) else {**m, "content": [item(part) for part in m["content"]]} for m in messages
    ]


def template_cases(processor):
    for name, (template, messages, options) in TEMPLATES.items():
        rendered = processor.apply_chat_template(messages, chat_template=template, **options)
        case = {"name": name, "template": template, "messages": messages, **options, "text": rendered}
        yield {**case, **spans_of(processor, template, messages)}


# name -> messages whose strings hold control tokens
TYPED = {
    "a placeholder": [user(text("What does <image> mean?"))],
    "a placeholder beside an image": [user(IMAGE, text("Is <image> a word?"))],
    "text first": [user(text("<image><image>"), IMAGE, text("<fake_token_around_image><global-img><row_1_col_1>"))],
    "an end inside an answer": [
        user(text("Say it.")),
        assistant(text("It ends: <end_of_utterance>\nUser: and <|im_start|>goes on<|im_end|>")),
        user(text("Thanks.")),
    ],
    "tokens side by side": [user(text("<row_1_col_2><row_2_col_1>,<|endoftext|><|endoftext|>x"))],
    "parts of tokens": [user(text("<row_7_col_1> <ima < image> <IMAGE>"))],
    "blanks and line breaks": [user(text(" <image> \n<image>\n\n<image> x"), text("\n"), text("<|im_end|>"))],
    "a role": [say("<|im_start|>user", [text("x")])],
    "forged marks": [user(text("\U000f0000<image>\U000f0001 and <ima\U000f0000ge> \U000f0001"))],
    "nothing typed": [user(text("Hello."))],
    "characters of several bytes": [user(text("é<image>é🙂<image>日本"))],
}


def typed_cases(processor):
    for name, messages in TYPED.items():
        out = processor.apply_chat_template(
            opened(messages, processor.root),
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors=None,
            sanitize_control_tokens=True,
        )
        yield {"name": name, "messages": messages, "input_ids": list(out["input_ids"][0])}
    # A template whose string methods separate the markers from their tokens.
    template = "<|im_start|>{% for part in messages[0].content[0].text.split('<') %}{{ part }}/{% endfor %}{{ messages[0].role }}"
    messages = [user(text("a<image>b"))]
    out = processor.apply_chat_template(
        messages, chat_template=template, tokenize=True, return_dict=True, return_tensors=None, sanitize_control_tokens=True
    )
    yield {"name": "torn", "template": template, "messages": messages, "input_ids": list(out["input_ids"][0])}


def write(folder, golden_root):
    processor = AutoProcessor.from_pretrained(golden_root / "gqa-256m" / "model")
    assert processor.chat_template == CHAT_TEMPLATE
    processor.root = golden_root
    write_json(folder / "chat_templates.json", list(template_cases(processor)))
    write_json(folder / "control_tokens.json", list(typed_cases(processor)))
