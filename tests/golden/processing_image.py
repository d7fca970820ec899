"""Image side: resampling, tile geometry, options, color modes, normalization."""

import numpy as np
import torch
from PIL import Image, ImageOps
from transformers import AutoProcessor, SmolVLMImageProcessor
from transformers.image_transforms import convert_to_rgb
from transformers.image_utils import SizeDict

from common import crc32, f32_bits, f32_list, lcg_image, write_json, write_tensors
from media import MODES

RESAMPLE = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}

# (height, width) -> (height, width)
EXTREME_RESIZES = [
    ((1, 1), (1, 1)),
    ((1, 1), (7, 5)),
    ((1, 1), (64, 64)),
    ((1, 50), (2, 64)),
    ((50, 1), (64, 2)),
    ((1, 300), (20, 256)),
    ((300, 1), (256, 20)),
    ((5, 1), (64, 64)),
    ((200, 1), (1, 1)),
    ((1, 200), (1, 1)),
    ((64, 64), (1, 1)),
    ((37, 41), (1, 60)),
    ((37, 41), (60, 1)),
    ((2, 2), (3, 3)),
    ((2, 3), (64, 96)),
    ((48, 64), (153, 204)),
    ((77, 33), (51, 51)),
    ((93, 128), (92, 128)),
    ((93, 128), (93, 64)),
    ((60, 90), (60, 90)),
    ((64, 90), (64, 128)),
    ((31, 50), (128, 50)),
    ((300, 100), (64, 64)),
    ((100, 300), (64, 64)),
    ((256, 256), (64, 64)),
    ((192, 256), (64, 64)),
    ((120, 16), (30, 250)),
    ((3, 400), (200, 3)),
]
SPEC_SIZES = (
    "1x1 1x2 1x100 1x5000 5000x1 2x3 17x31 31x17 64x64 100x80 224x224 333x500 480x640 511x513 512x512 513x512 512x513 "
    "600x1000 720x1280 1080x1920 1920x1080 768x1024 1024x1025 1023x2047 1536x2048 2048x2048 2049x2048 3000x4000 "
    "4000x3000 4096x4096 5000x5000 10000x500 500x10000 100x2048 2048x513 1025x4096"
).split()
# sides whose float arithmetic differs from exact arithmetic, and neighbors of multiples
FLOAT_SIZES = [(75, 512, 1536, 384), (77, 512, 1536, 384), (117, 512, 1536, 384), (93, 512, 512, 512), (512, 93, 512, 512)]
RANDOM_GEOMETRIES = 300


def first_words(error):
    return f"{type(error).__name__}: {str(error).splitlines()[0]}"[:100]


def resize(image, height, width, resample):
    """u8 [h, w, 3] -> u8 [height, width, 3] through the image processor's own resize."""
    planes = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].contiguous()
    out = SmolVLMImageProcessor().resize(planes, SizeDict(height=height, width=width), resample=resample)
    assert out.dtype == torch.uint8
    return out[0].permute(1, 2, 0).contiguous().numpy()


def resize_cases():
    rng = np.random.default_rng(11)
    plan = [("lanczos", a, b, "noise") for a, b in EXTREME_RESIZES]
    plan += [("lanczos", a, b, "binary") for a, b in EXTREME_RESIZES[14:26]]
    for _ in range(40):
        h, w, nh, nw = (int(v) for v in rng.integers(1, 140, 4))
        plan.append(("lanczos", (h, w), (nh, nw), "noise"))
    plan += [(name, (48, 64), (30, 90), "noise") for name in ("box", "hamming")]
    for name in ("nearest", "bilinear", "bicubic"):
        plan += [(name, a, b, "noise") for a, b in EXTREME_RESIZES[::2]]
        plan += [(name, a, b, "binary") for a, b in EXTREME_RESIZES[15:26:5]]
        for _ in range(8):
            h, w, nh, nw = (int(v) for v in rng.integers(1, 100, 4))
            plan.append((name, (h, w), (nh, nw), "noise"))
    for seed, (name, source, target, content) in enumerate(plan, 1):
        case = {"resample": name, "from": source, "to": target, "content": content, "seed": seed}
        try:
            out = resize(lcg_image(seed, *source, content), *target, RESAMPLE[name])
        except Exception as error:  # recorded: filters that the reference does not support
            yield {**case, "error": first_words(error)}
            continue
        case["crc32"] = crc32(out)
        if out.size <= 120:
            case["output"] = out.reshape(-1).tolist()
        yield case


class Measured(SmolVLMImageProcessor):
    """Records the size after every resize."""

    def resize(self, image, size, resample=None, **kwargs):
        out = super().resize(image, size, resample=resample, **kwargs)
        self.sizes.append(list(out.shape[-2:]))
        return out


def geometry(height, width, size, tile, split, do_resize):
    processor = Measured()
    processor.sizes = []
    out = processor(
        torch.zeros((3, height, width), dtype=torch.uint8),
        size=size,
        max_image_size={"longest_edge": tile},
        do_image_splitting=split,
        do_resize=do_resize,
        resample=RESAMPLE["nearest"],  # sizes do not depend on the filter, time does
        return_row_col_info=True,
        return_tensors="pt",
    )
    sizes = list(processor.sizes)
    resized = sizes.pop(0) if do_resize else [height, width]
    return {
        "height": height,
        "width": width,
        "size": size,
        "tile": tile,
        "do_image_splitting": split,
        "do_resize": do_resize,
        "resized": resized,
        "stretched": sizes[0],
        "rows": out["rows"][0][0],
        "cols": out["cols"][0][0],
        "shape": list(out["pixel_values"].shape),
    }


def geometry_cases():
    for text in SPEC_SIZES:
        height, width = (int(v) for v in text.split("x"))
        for longest, tile in ((2048, 512), (1536, 384)):
            for split in (True, False):
                yield geometry(height, width, {"longest_edge": longest}, tile, split, True)
    for height, width, longest, tile in FLOAT_SIZES:
        yield geometry(height, width, {"longest_edge": longest}, tile, True, True)
    edge = {"longest_edge": 512}
    for height, width in ((300, 200), (512, 513), (700, 600), (5000, 100), (512, 512), (1, 1)):
        yield geometry(height, width, edge, 512, True, False)
        yield geometry(height, width, edge, 512, False, False)
    for height, width, size, tile in (
        (300, 200, edge, 512),
        (300, 200, {"longest_edge": 1000}, 512),
        (200, 900, {"longest_edge": 700}, 512),
        (300, 200, {"height": 600, "width": 700}, 512),
        (300, 200, {"height": 100, "width": 90}, 512),
        (400, 300, {"longest_edge": 5000}, 1024),
        (300, 4000, {"longest_edge": 6001}, 1024),
        (300, 400, {"longest_edge": 1456}, 364),
    ):
        for split in (True, False):
            yield geometry(height, width, size, tile, split, True)
    rng = np.random.default_rng(12)
    for index in range(RANDOM_GEOMETRIES):
        long, short = (int(2 ** rng.uniform(0, 11)) for _ in range(2))
        longest, tile = [(2048, 512), (1536, 384), (256, 64), (336, 84), (int(rng.integers(2, 700)), int(rng.integers(2, 200)))][
            index % 5
        ]
        size = {"longest_edge": longest}
        if index % 20 == 19:
            size = {"height": int(rng.integers(1, 700)), "width": int(rng.integers(1, 700))}
        yield geometry(long, short, size, tile, index % 7 != 6, index % 11 != 10)


# overrides of the gqa-256m processor
OPTIONS = [
    {},
    {"do_image_splitting": False},
    {"size": {"longest_edge": 100}},
    {"size": {"longest_edge": 50}},
    {"size": {"longest_edge": 333}},
    {"size": {"height": 130, "width": 70}},
    {"size": {"height": 64, "width": 64}},
    {"max_image_size": {"longest_edge": 48}},
    {"size": {"longest_edge": 96}, "max_image_size": {"longest_edge": 32}, "do_image_splitting": False},
    {"do_resize": False},
    {"do_resize": False, "do_image_splitting": False},
    {"do_rescale": False},
    {"do_normalize": False},
    {"do_rescale": False, "do_normalize": False},
    {"rescale_factor": 1 / 128},
    {"do_normalize": False, "rescale_factor": 1 / 128},
    {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
    {"do_rescale": False, "image_mean": [120.5, 110.25, 99.0], "image_std": [58.0, 57.0, 3.0]},
    {"resample": RESAMPLE["bilinear"]},
    {"resample": RESAMPLE["bicubic"]},
    {"resample": RESAMPLE["nearest"]},
    {"resample": RESAMPLE["box"]},
    {"resample": RESAMPLE["hamming"]},
]
OPTION_IMAGES = ["landscape.png", "size-17x31.png"]


def option_cases(golden_root):
    processor = AutoProcessor.from_pretrained(golden_root / "gqa-256m" / "model").image_processor
    for name in OPTION_IMAGES:
        picture = Image.open(golden_root / "media" / name).convert("RGB")
        for overrides in OPTIONS:
            case = {"image": f"media/{name}", "image_processor": overrides}
            try:
                out = processor([[picture]], return_row_col_info=True, return_tensors="pt", **overrides)
            except Exception as error:
                yield {**case, "error": first_words(error)}
                continue
            values = out["pixel_values"]
            assert values.dtype == torch.float32 and bool((out["pixel_attention_mask"] == 1).all())
            yield {
                **case,
                "rows": out["rows"][0][0],
                "cols": out["cols"][0][0],
                "shape": list(values.shape),
                "f32_crc32": crc32(values.numpy()),
                "first_values": f32_list(values.reshape(-1)[:8]),
            }


def decoded(path):
    """Our conversion of files: rotate by EXIF, composite over white, 8-bit RGB; of 16 bits keep the high byte."""
    picture = Image.open(path)
    mode = picture.mode
    if mode.startswith("I"):
        assert picture.getexif().get(0x0112, 1) == 1
        high = (np.asarray(picture).astype(np.uint32) >> 8).astype(np.uint8)
        return mode, np.repeat(high[..., None], 3, axis=2)
    return mode, convert_to_rgb(ImageOps.exif_transpose(picture), return_numpy=True)


def mode_cases(golden_root):
    cases, tensors = [], {}
    for path in sorted((golden_root / "media" / MODES).iterdir()):
        mode, rgb = decoded(path)
        cases.append(
            {
                "file": f"media/{MODES}/{path.name}",
                "pil_mode": mode,
                "height": rgb.shape[0],
                "width": rgb.shape[1],
                "crc32": crc32(rgb),
            }
        )
        tensors[path.name] = torch.from_numpy(np.array(rgb))
    return cases, tensors


NORMALIZATIONS = {
    "default": {},
    "rescale only": {"do_normalize": False},
    "normalise only": {"do_rescale": False},
    "neither": {"do_rescale": False, "do_normalize": False},
    "imagenet": {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
    "odd": {"image_mean": [0.1, 1 / 3, 0.9], "image_std": [0.3, 1 / 7, 1.7], "rescale_factor": 0.0031},
    "odd, not rescaled": {"do_rescale": False, "image_mean": [120.3, 0.7, -5.1], "image_std": [58.1, 57.3, 3.7]},
    "odd, not normalised": {"do_normalize": False, "rescale_factor": 0.0031},
}


def normalizations():
    base = SmolVLMImageProcessor()
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16).contiguous()
    for name, overrides in NORMALIZATIONS.items():
        keys = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")
        settings = {key: overrides.get(key, getattr(base, key)) for key in keys}
        arguments = {k: tuple(v) if isinstance(v, (list, tuple)) else v for k, v in settings.items()}
        out = base.rescale_and_normalize(levels, **arguments).to(torch.float32)
        yield {
            "name": name,
            **{k: list(v) if isinstance(v, (list, tuple)) else v for k, v in settings.items()},
            "f32_bits": [f32_bits(out[0, channel]) for channel in range(3)],
        }


def write(folder, golden_root):
    write_json(folder / "resize.json", list(resize_cases()))
    write_json(folder / "geometry.json", list(geometry_cases()))
    write_json(folder / "options.json", list(option_cases(golden_root)))
    cases, tensors = mode_cases(golden_root)
    write_json(folder / "modes.json", cases)
    write_tensors(folder / "modes.safetensors", tensors)
    write_json(folder / "normalize.json", list(normalizations()))
