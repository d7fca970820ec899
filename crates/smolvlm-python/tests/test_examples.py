"""The examples of the model's documentation page, with only the imports changed, and the reference's answers."""

import functools
import http.server
import json
import threading

import numpy as np
import pytest
from smolvlm import AutoModelForImageTextToText, AutoProcessor, pipeline


@pytest.fixture(scope="module")
def server(golden):
    handler = functools.partial(_Quiet, directory=str(golden / "media"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def examples(golden):
    return {case["name"]: case for case in json.loads((golden / "examples" / "examples.json").read_text())}


@pytest.fixture(scope="module")
def checkpoint(golden):
    return golden / "gqa-256m" / "model"


def conversations(case, golden, server):
    text = json.dumps(case["conversations"])
    return json.loads(text.replace("{server}", server).replace("../corpus", str(golden.parent / "corpus")))


def run(checkpoint, messages, tensors, **options):
    """The code of the page, from the conversation to the texts."""
    processor = AutoProcessor.from_pretrained(checkpoint)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype="float32", device_map="auto")
    inputs = processor.apply_chat_template(
        messages,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors=tensors,
        **options,
    ).to(model.device)
    generated_ids = model.generate(**inputs, do_sample=False, max_new_tokens=12)
    generated_texts = processor.batch_decode(generated_ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return np.asarray(inputs["input_ids"]), generated_texts


@pytest.mark.parametrize("tensors", ["np", "pt"])
@pytest.mark.parametrize("name", ["single image", "video", "mixed batch"])
def test_documented_example(examples, checkpoint, golden, server, name, tensors):
    if tensors == "pt":
        pytest.importorskip("torch")
    case = examples[name]
    messages = conversations(case, golden, server)
    options = {"padding": True} if len(messages) > 1 else {}
    ids, texts = run(checkpoint, messages if len(messages) > 1 else messages[0], tensors, **options)
    np.testing.assert_array_equal(ids, np.array(case["input_ids"]))
    assert texts == case["text"]


def test_pipeline(examples, checkpoint, golden, server):
    case = examples["single image"]
    [messages] = conversations(case, golden, server)
    ask = pipeline("image-text-to-text", model=checkpoint, dtype="float32")
    [record] = ask(text=messages, max_new_tokens=12, return_full_text=False)
    assert record == {"input_text": messages, "generated_text": case["text"][0]}
    [record] = ask(text=messages, max_new_tokens=12)
    assert record["generated_text"] == [*messages, {"role": "assistant", "content": case["text"][0]}]
    [[first], [second]] = ask(text=[messages, messages], max_new_tokens=12, return_full_text=False)
    assert first["generated_text"] == second["generated_text"] == case["text"][0]
    with pytest.raises(ValueError, match="image-text-to-text"):
        pipeline("text-generation")
