"""The stages in llama.cpp: `python llamacpp_peer.py CHECKPOINT f32|bf16|int8|int4|int4-asym THREADS`. See README.md."""

import ctypes
import subprocess
import sys
from pathlib import Path

import llama_cpp as llama
import measure
import numpy
from llama_cpp import mtmd_cpp as mtmd

BATCH = 2048
quiet = llama.llama_log_callback(lambda *_: None)


def model_params():
    params = llama.llama_model_default_params()
    # llama-cpp-python 0.3.36 crashes in its AMX kernels.
    params.use_extra_bufts = " amx_tile " not in Path("/proc/cpuinfo").read_text()
    return params


class LlamaCpp:
    def __init__(self, folder, threads):
        llama.llama_log_set(quiet, ctypes.c_void_p())
        mtmd.mtmd_helper_log_set(quiet, ctypes.c_void_p())
        llama.llama_backend_init()
        self.threads = threads
        self.model = llama.llama_model_load_from_file(bytes(folder / "text.gguf"), model_params())
        self.vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self.model))
        self.width = llama.llama_model_n_embd(self.model)
        params = mtmd.mtmd_context_params_default()
        params.n_threads, params.warmup, params.use_gpu = threads, False, False
        self.vision = mtmd.mtmd_init_from_file(bytes(folder / "mmproj.gguf"), self.model, params)
        self.contexts = {1: self.context(1, 1024)}

    def context(self, rows, length):
        params = llama.llama_context_default_params()
        params.n_ctx, params.n_seq_max, params.n_batch = rows * length, rows, BATCH
        params.n_threads = params.n_threads_batch = self.threads
        return llama.llama_init_from_model(self.model, params)

    def chunks(self):
        """The tiles of an image, ready to encode: 2048x1536 pixels are 12 tiles and the whole image as one more."""
        pixels = numpy.random.default_rng(1).integers(0, 256, (1536, 2048, 3), dtype=numpy.uint8)
        bitmap = mtmd.mtmd_bitmap_init(2048, 1536, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
        marker = mtmd.mtmd_default_marker()
        prompt = mtmd.mtmd_input_text(marker, len(marker), False, True)
        chunks = mtmd.mtmd_input_chunks_init()
        bitmaps = (mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap)
        assert mtmd.mtmd_tokenize(self.vision, chunks, ctypes.byref(prompt), bitmaps, 1) == 0
        every = [mtmd.mtmd_input_chunks_get(chunks, i) for i in range(mtmd.mtmd_input_chunks_size(chunks))]
        tiles = [c for c in every if mtmd.mtmd_input_chunk_get_type(c) == mtmd.MTMD_INPUT_CHUNK_TYPE_IMAGE]
        assert len(tiles) == measure.TILES, len(tiles)
        return tiles

    def see(self, tiles):
        """One by one: llama.cpp does not support batches of tiles for this model."""
        self.tiles = getattr(self, "tiles", None) or self.chunks()
        return numpy.concatenate([self.encode(tile) for tile in self.tiles[:tiles]])

    def encode(self, tile):
        assert mtmd.mtmd_encode_chunk(self.vision, tile) == 0
        shape = (mtmd.mtmd_input_chunk_get_n_tokens(tile), self.width)
        return numpy.ctypeslib.as_array(mtmd.mtmd_get_output_embd(self.vision), shape).copy()

    def start(self, rows, length, features=None):
        if rows not in self.contexts:
            self.contexts[rows] = self.context(rows, 256)
        self.current, self.length = self.contexts[rows], 0
        llama.llama_memory_clear(llama.llama_get_memory(self.current), False)
        ids = numpy.arange(length) % 1000 + 3
        if features is not None:
            self.forward(1, len(features), features=features)
            ids = ids[len(features) :]
        return self.forward(rows, len(ids), ids[None].repeat(rows, 0))

    def step(self, tokens):
        return self.forward(len(tokens), 1, tokens[:, None])

    def logits(self, ids):
        self.current, self.length = self.contexts[1], 0
        llama.llama_memory_clear(llama.llama_get_memory(self.current), False)
        self.forward(1, len(ids), ids, every=True)
        return numpy.stack([self.output(i) for i in range(len(ids))])

    def forward(self, rows, count, ids=None, features=None, every=False):
        """Rows one after the other in one batch; returns the most likely next token of each row. Logits are those of
        the last token of each row, or of every token."""
        batch = llama.llama_batch_init(rows * count, 0 if features is None else self.width, 1)
        batch.n_tokens = rows * count
        if features is None:
            numpy.ctypeslib.as_array(batch.token, (rows * count,))[:] = ids.flatten()
        else:
            ctypes.memmove(batch.embd, numpy.ascontiguousarray(features, numpy.float32).ctypes.data, features.size * 4)
        for i in range(rows * count):
            batch.pos[i], batch.n_seq_id[i] = self.length + i % count, 1
            batch.seq_id[i][0], batch.logits[i] = i // count, every or i % count == count - 1
        assert llama.llama_decode(self.current, batch) == 0
        llama.llama_batch_free(batch)
        self.length += count
        return numpy.array([self.output(row * count + count - 1).argmax() for row in range(rows)])

    def output(self, i):
        return numpy.ctypeslib.as_array(llama.llama_get_logits_ith(self.current, i), (self.vocabulary,))


def converted(checkpoint, dtype):
    """The files' folder beside the checkpoint, made by another process if it isn't there: its memory doesn't count."""
    folder = checkpoint.with_name(f"{checkpoint.name}-gguf-{dtype}")
    if not (folder / "text.gguf").exists():
        script = Path(__file__).with_name("gguf_convert.py")
        subprocess.run([sys.executable, script, checkpoint, folder, dtype], check=True, stdout=sys.stderr)
    return folder


if __name__ == "__main__":
    folder = converted(Path(sys.argv[1]), sys.argv[2])
    measure.main("llama.cpp", lambda _, dtype, threads: LlamaCpp(folder, threads))
