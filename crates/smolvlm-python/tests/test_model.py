"""The model: answers, batches, streams, decisions, and what can go wrong."""

import asyncio
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import smolvlm


def picture(color):
    return np.full((60, 90, 3), color, dtype=np.uint8)


def question(color=(200, 0, 0), text="What color is it?"):
    return [{"role": "user", "content": [{"type": "image", "image": picture(color)}, {"type": "text", "text": text}]}]


MISSING = [{"role": "user", "content": [{"type": "image", "path": "/does/not/exist.png"}]}]


def test_batch_gives_the_answers_of_single_calls(demo):
    asked = [question((200, 0, 0)), "Hello!", question((0, 0, 200), "Is it red?"), question((0, 90, 0))]
    together = demo.batch(asked, max_new_tokens=8)
    alone = [demo.generate(conversation, max_new_tokens=8) for conversation in asked]
    assert [answer.token_ids for answer in together] == [answer.token_ids for answer in alone]
    assert [answer.usage.prompt_tokens for answer in together] == [answer.usage.prompt_tokens for answer in alone]


def test_error_of_one_conversation_is_that_ones(demo):
    good = demo.generate(question(), max_new_tokens=8)
    first, second, third = demo.batch([question(), MISSING, question()], max_new_tokens=8, return_exceptions=True)
    assert first.token_ids == third.token_ids == good.token_ids
    assert isinstance(second, smolvlm.InputError) and "exist.png" in str(second)
    with pytest.raises(smolvlm.InputError, match="exist.png"):
        demo.batch([question(), MISSING], max_new_tokens=8)


def test_all_kinds_of_pictures_are_the_same_picture(demo, tmp_path):
    pil = pytest.importorskip("PIL.Image")
    array = np.arange(60 * 90 * 3, dtype=np.uint32).reshape(60, 90, 3).astype(np.uint8)
    path = tmp_path / "a.png"
    pil.fromarray(array).save(path)
    sources = [
        {"image": array},
        {"image": pil.fromarray(array)},
        {"image": path},
        {"path": str(path)},
        {"bytes": path.read_bytes()},
        {"url": path.as_uri()},
        {"image": np.moveaxis(array, -1, 0)},
    ]
    answers = set()
    for source in sources:
        content = [{"type": "image", **source}, {"type": "text", "text": "What is it?"}]
        answer = demo.generate([{"role": "user", "content": content}], max_new_tokens=6, logprobs=0)
        answers.add((tuple(answer.token_ids), answer.logprobs[0].logprob))
    assert len(answers) == 1


def test_stream_is_the_answer_in_pieces(demo):
    answer = demo.generate("Tell me about circles.", max_new_tokens=40, min_new_tokens=40)
    stream = demo.stream("Tell me about circles.", max_new_tokens=40, min_new_tokens=40)
    with pytest.raises(RuntimeError, match="not complete"):
        _ = stream.result
    pieces = list(stream)
    assert len(pieces) > 5
    assert "".join(pieces) == answer.text == stream.result.text
    assert stream.result.token_ids == answer.token_ids


def test_many_async_streams_share_one_model(demo):
    async def ask(index):
        return "".join([text async for text in demo.stream(f"{index}?", max_new_tokens=20, min_new_tokens=20)])

    async def ask_all():
        return await asyncio.gather(*[ask(index) for index in range(40)])

    expected = [demo.generate(f"{index}?", max_new_tokens=20, min_new_tokens=20).text for index in range(40)]
    assert asyncio.run(ask_all()) == expected


def test_event_loop_runs_while_an_answer_is_awaited(demo):
    async def run():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        ticker = asyncio.create_task(tick())
        async for _ in demo.stream("Hello!", max_new_tokens=200, min_new_tokens=200):
            pass
        ticker.cancel()
        return ticks

    assert asyncio.run(run()) > 5


def test_threads_share_one_model(demo):
    expected = demo.generate("Hello!", max_new_tokens=30, min_new_tokens=30).token_ids
    answers = []
    ask = lambda: answers.append(demo.generate("Hello!", max_new_tokens=30, min_new_tokens=30).token_ids)  # noqa: E731
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 8


# Drafts would finish it before it can be interrupted.
LONG = {"max_new_tokens": 7000, "min_new_tokens": 7000, "prompt_lookup_num_tokens": 0}


def test_a_token_ends_generation(demo):
    cancel = smolvlm.Cancel()
    threading.Timer(0.3, cancel.cancel).start()
    answer = demo.generate("Hello!", **LONG, cancel=cancel)
    assert answer.finish_reason == "cancelled" and answer.usage.completion_tokens < 7000
    stream = demo.stream("Hello!", **LONG)
    next(stream)
    stream.cancel()
    for _ in stream:
        pass
    assert stream.result.finish_reason == "cancelled"


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_keyboard_interrupt_ends_a_call(demo):
    def interrupt():
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    for call in (
        lambda: demo.generate("Hello!", **LONG),
        lambda: list(demo.stream("Hello!", **LONG)),
    ):
        threading.Thread(target=interrupt).start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            call()
        assert time.monotonic() - start < 5
    # The model still works.
    assert demo.generate("Hello!", max_new_tokens=2).token_ids


def test_sampling_parameters_have_the_names_of_transformers(demo):
    texts = {
        demo.generate("Hello!", do_sample=True, temperature=2.0, seed=seed, max_new_tokens=12).text for seed in range(4)
    }
    assert len(texts) > 1
    best, second = demo.generate("Hello!", num_beams=2, num_return_sequences=2, max_new_tokens=6)
    assert best.score > second.score
    ended = demo.generate("Hello!", max_new_tokens=50, eos_token_id=list(range(512)))
    assert ended.finish_reason == "eos" and ended.usage.completion_tokens == 1
    answer = demo.generate("Hello!", max_new_tokens=300, min_new_tokens=300, loop_guard=True)
    assert answer.finish_reason in ("repetition", "length")


@pytest.mark.parametrize(
    "call, kind, text",
    [
        (lambda m: m.generate("x", max_new_token=3), TypeError, "did you mean 'max_new_tokens'"),
        (lambda m: m.generate("x", video_frame=3), TypeError, "did you mean 'video_frames'"),
        (lambda m: m.generate("x", do_sample=True, temperature=-1.0), smolvlm.InputError, "temperature is -1"),
        (lambda m: m.generate("x", max_new_tokens=-1), smolvlm.InputError, "-1"),
        (lambda m: m.generate(3), TypeError, "conversation"),
        (lambda m: m.generate([{"role": "user", "content": [{"type": "image"}]}]), ValueError, "image"),
        (lambda m: m.complete("x", image_splitting=False), TypeError, "image_splitting"),
        (lambda m: m.decide("x", [{"type": "choice", "question": "?", "options": []}]), smolvlm.InputError, "options"),
        (lambda m: m.embed(["x"], pooling="max"), ValueError, "pooling"),
        (lambda m: smolvlm.SmolVLM.from_pretrained("/nowhere"), smolvlm.ConfigError, "/nowhere"),
        (lambda m: smolvlm.SmolVLM.from_pretrained("demo", dtype="int3"), smolvlm.ConfigError, "int3"),
        (lambda m: smolvlm.SmolVLM.from_pretrained("demo", device="tpu"), smolvlm.ConfigError, "tpu"),
    ],
)
def test_errors_tell_what_to_do(demo, call, kind, text):
    with pytest.raises(kind, match=text):
        call(demo)


def test_errors_are_also_errors_of_python():
    assert issubclass(smolvlm.InputError, (ValueError, smolvlm.Error))
    assert issubclass(smolvlm.FileError, OSError) and issubclass(smolvlm.DeviceError, RuntimeError)


def test_answers_match_their_constraint(demo):
    schema = {
        "type": "object",
        "properties": {
            "count": {"type": "integer", "minimum": 0, "maximum": 99},
            "shape": {"enum": ["circle", "square"]},
        },
        "required": ["count", "shape"],
        "additionalProperties": False,
    }
    for given in (schema, json.dumps(schema)):
        value = json.loads(demo.generate("How many circles?", json_schema=given).text)
        assert list(value) == ["count", "shape"] and 0 <= value["count"] < 100
    assert re.fullmatch("[0-9]{3}-[a-c]+", demo.generate("A code?", regex="[0-9]{3}-[a-c]{1,3}").text)
    assert demo.generate("Which?", choices=("left", "right")).text in ("left", "right")
    assert demo.complete("Number: ", lark='start: "a" | "b"').text in ("a", "b")
    with pytest.raises(smolvlm.InputError, match="uniqueItems"):
        demo.generate("a", json_schema={"type": "array", "uniqueItems": True})
    with pytest.raises(TypeError, match="only one of"):
        demo.generate("a", regex="a", choices=["a"])
    with pytest.raises(TypeError, match="only one of"):
        demo.generate("a", regex="b", constraint={"regex": "a"})
    assert demo.complete("Number: ", constraint={"regex": "a"}).text == "a"


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("regex", 5, TypeError),
        ("lark", b"start:", TypeError),
        ("choices", "left", TypeError),
        ("choices", 5, TypeError),
        ("choices", [1], TypeError),
        ("json_schema", 7, TypeError),
        ("json_schema", "{", smolvlm.InputError),
        ("json_schema", {"minimum": float("nan")}, smolvlm.InputError),
        ("constraint", {"json_schema": {"minimum": float("inf")}}, smolvlm.InputError),
        ("temperature", float("nan"), smolvlm.InputError),
    ],
)
def test_invalid_arguments_are_named(demo, name, value, kind):
    with pytest.raises(kind, match=name):
        demo.generate("a", **{name: value})


def test_decisions_have_probabilities(demo):
    asked = [smolvlm.choice("What color is it?", ["red", "blue"]), "Is it red?", smolvlm.number("How many?", 0, 3)]
    color, red, count = demo.decide(question(), asked)
    assert (color.type, red.type, count.type) == ("choice", "yes_no", "number")
    assert sum(option.probability for option in color.options) == pytest.approx(1)
    assert [option.option for option in red.options] == ["yes", "no"]
    assert 0 <= count.expected <= 3 and [option.value for option in count.options] == [0, 1, 2, 3]
    [calibrated] = demo.decide(question(), asked[0], calibration={"choice": 5.0})
    assert calibrated.answer == color.answer and calibrated.probability < color.probability


def test_embeddings_are_means_of_hidden_states(demo):
    [(ids, states)] = demo.hidden_states(question())
    assert states.shape == (len(ids), demo.config["text_config"]["hidden_size"]) and states.dtype == np.float32
    mean, last = demo.embed([question()])[0], demo.embed([question()], pooling="last")[0]
    np.testing.assert_allclose(mean, states.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(last, states[-1])


def test_estimate_counts_what_a_request_uses(demo):
    estimate = demo.estimate(question())
    answer = demo.generate(question(), max_new_tokens=1)
    assert estimate["prompt_tokens"] == answer.usage.prompt_tokens
    assert estimate["image_tokens"] == answer.usage.image_tokens
    assert estimate["memory"]["peak"] > 0 and estimate["refused"] is None


def test_media_options_are_those_of_one_request(demo):
    whole = demo.generate(question(), image_splitting=False, max_new_tokens=1).usage.image_tokens
    split = demo.generate(question(), max_new_tokens=1).usage.image_tokens
    assert whole < split


def test_chat_keeps_the_conversation(demo):
    chat = demo.chat()
    first = chat.send(question()[0], max_new_tokens=8)
    second = chat.send("And its shape?", max_new_tokens=8)
    assert second.usage.cached_tokens > 0
    expected = demo.generate(
        [
            *question(),
            {"role": "assistant", "content": [{"type": "text", "text": first.text}]},
            {"role": "user", "content": [{"type": "text", "text": "And its shape?"}]},
        ],
        max_new_tokens=8,
    )
    assert second.token_ids == expected.token_ids
    assert "".join(chat.stream("Again?", max_new_tokens=4)) == chat.history[-1]["content"][0]["text"]
    chat.rewind(2)
    with pytest.raises(smolvlm.InputError):
        chat.send({"role": "user", "content": [{"type": "image", "path": "/does/not/exist.png"}]})
    assert len(chat.history) == 2


def test_model_cannot_be_pickled(demo):
    with pytest.raises(TypeError, match="from_pretrained"):
        pickle.dumps(demo)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_process_is_told_what_to_do(demo):
    child = os.fork()
    if child == 0:
        try:
            demo.generate("Hello!")
        except RuntimeError as error:
            os._exit(0 if "spawn" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_command_is_part_of_the_package():
    run = [sys.executable, "-m", "smolvlm"]
    shown = subprocess.run([*run, "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["smolvlm", smolvlm.__version__]
    wrong = subprocess.run([*run, "describe", "/does/not/exist.png", "--model", "demo"], capture_output=True, text=True)
    assert wrong.returncode == 1 and "exist.png" in wrong.stderr


def test_import_needs_only_numpy():
    code = (
        "import sys, smolvlm\n"
        "found = {'torch', 'transformers', 'PIL', 'av', 'ray', 'tqdm'} & sys.modules.keys()\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_process_does_not_wait_for_threads_of_its_parent():
    code = """
import os, sys
import numpy, smolvlm
picture = numpy.zeros((60, 90, 3), numpy.uint8)
process = smolvlm.AutoProcessor.from_pretrained("demo").image_processor
process(picture)
model = smolvlm.SmolVLM.from_pretrained("demo", device="cpu")
child = os.fork()
if child == 0:
    for call in (lambda: process(picture), lambda: smolvlm.SmolVLM.from_pretrained("demo")):
        try:
            call()
            os._exit(1)
        except RuntimeError as error:
            assert "spawn" in str(error)
    del model
    sys.exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "panic" not in done.stderr.lower(), done.stderr


def test_tiles_of_another_size_are_an_error_of_their_request(demo):
    model = smolvlm.SmolVLMForConditionalGeneration(demo)
    processor = smolvlm.AutoProcessor.from_pretrained("demo")
    inputs = processor(text=["<image>What?"], images=[picture((9, 9, 9))])
    assert model.generate(**inputs, max_new_tokens=2).shape[1] > inputs["input_ids"].shape[1]
    with pytest.raises(smolvlm.Error, match="pixels"):
        model.generate(inputs["input_ids"], pixel_values=inputs["pixel_values"][..., :32, :32])


def test_black_tiles_are_not_padding(demo):
    model = smolvlm.SmolVLMForConditionalGeneration(demo)
    processor = smolvlm.AutoProcessor.from_pretrained("demo")
    inputs = processor(text=["<image>What?"], images=[picture((0, 0, 0))], do_normalize=False)
    assert model.generate(**inputs, max_new_tokens=2).shape[0] == 1


def test_max_new_tokens_takes_precedence(demo):
    answer = demo.generate("Hello!", max_new_tokens=4, min_new_tokens=4, max_length=60)
    assert answer.usage.completion_tokens == 4


def test_batch_refuses_a_single_conversation(demo):
    for single in ("Hello!", question(), question()[0]):
        with pytest.raises(TypeError, match="list of conversations"):
            demo.batch(single)
    [answer] = demo.batch(["<image>"], sanitize_control_tokens=True, max_new_tokens=1)
    assert answer.usage.image_tokens == 0


def test_gguf_text_model_sees_images_with_an_mmproj_file(demo, tmp_path):
    command = [sys.executable, "-m", "smolvlm", "quantize", "--model", "demo", "--format", "gguf", "--dtype", "f32"]
    subprocess.run([*command, "--mmproj-dtype", "f32", "--out", tmp_path / "gguf"], check=True, timeout=60)
    text, mmproj = tmp_path / "gguf" / "model-F32.gguf", tmp_path / "gguf" / "mmproj-F32.gguf"
    alone = smolvlm.SmolVLM.from_pretrained(text)
    assert alone.generate("Hello!", max_new_tokens=2).usage.image_tokens == 0
    with pytest.raises(smolvlm.InputError, match="mmproj"):
        alone.generate(question(), max_new_tokens=2)
    both = smolvlm.SmolVLM.from_pretrained(text, mmproj=mmproj)
    assert both.generate(question(), max_new_tokens=8).text == demo.generate(question(), max_new_tokens=8).text
    with pytest.raises(smolvlm.ConfigError, match="mmproj"):
        smolvlm.SmolVLM.from_pretrained("demo", mmproj=mmproj)
