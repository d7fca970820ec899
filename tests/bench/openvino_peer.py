"""The stages in OpenVINO: `python openvino_peer.py CHECKPOINT f32|bf16|int8|int4|int4-asym THREADS`. See README.md."""

import os
import subprocess
import sys
from pathlib import Path

import measure
import numpy
import openvino as ov

# Held to AVX2, the plugin has no kernels for bf16.
PRECISION = "f32" if os.environ.get("ONEDNN_MAX_CPU_ISA", "").startswith("AVX2") else "bf16"
OPTIONS = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": PRECISION}   # KV cache: u8 by default
OF_DTYPE = {
    "f32": {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"},
    "int8": {"DYNAMIC_QUANTIZATION_GROUP_SIZE": 128},   # a little faster than the default, 32
}


class OpenVino:
    def __init__(self, folder, dtype, threads):
        core = ov.Core()
        options = OPTIONS | {"INFERENCE_NUM_THREADS": threads} | OF_DTYPE.get(dtype, {})
        self.vision = core.compile_model(folder / "vision.xml", "CPU", options).create_infer_request()
        self.text = core.compile_model(folder / "text.xml", "CPU", options).create_infer_request()
        self.embeddings = numpy.load(folder / "embeddings.npy", mmap_mode="r")
        edge = self.vision.model_inputs[0].partial_shape[-1].get_length()
        self.tiles = numpy.random.default_rng(1).uniform(-1, 1, (measure.TILES, 3, edge, edge)).astype(numpy.float32)

    def see(self, tiles):
        return self.vision.infer([self.tiles[:tiles]], share_inputs=True, share_outputs=True)[0]

    def start(self, rows, length, features=None):
        self.text.reset_state()
        self.length = 0
        embeddings = self.embeddings[numpy.arange(length) % 1000 + 3][None].repeat(rows, 0)
        if features is not None:
            features = features.reshape(-1, features.shape[-1])
            embeddings[0, : len(features)] = features
        return self.forward(embeddings)

    def step(self, tokens):
        return self.forward(self.embeddings[tokens])

    def logits(self, ids):
        self.text.reset_state()
        self.length = 0
        return self.infer(self.embeddings[ids][None], numpy.arange(len(ids)))[0].copy()

    def forward(self, embeddings):
        return self.infer(embeddings, numpy.array([embeddings.shape[1] - 1])).argmax(-1)

    def infer(self, embeddings, outputs):
        """Logits of the tokens with these indices, [rows, outputs, vocabulary]."""
        rows, count = embeddings.shape[:2]
        positions = numpy.arange(self.length, self.length + count)[None].repeat(rows, 0)
        self.length += count
        inputs = {"embeddings": embeddings, "positions": positions, "outputs": outputs}
        inputs["rows"] = numpy.arange(rows, dtype=numpy.int32)
        return self.text.infer(inputs, share_inputs=True, share_outputs=True)[0]


def converted(checkpoint, dtype):
    """The models' folder beside the checkpoint, made by another process if it isn't there: its memory doesn't count."""
    folder = checkpoint.with_name(f"{checkpoint.name}-openvino-{dtype}")
    if not (folder / "embeddings.npy").exists():
        script = Path(__file__).with_name("openvino_convert.py")
        subprocess.run([sys.executable, script, checkpoint, folder, dtype], check=True, stdout=sys.stderr)
    return folder


folder = converted(Path(sys.argv[1]), sys.argv[2])
measure.main("openvino", lambda _, dtype, threads: OpenVino(folder, dtype, threads))
