"""A lossless JPEG encoder (ITU-T T.81, annex H) for tests; common tools do not write such files with 8 bits."""

import struct


def predict(predictor, a, b, c):
    return [a, b, c, a + b - c, a + ((b - c) >> 1), b + ((a - c) >> 1), (a + b) >> 1][predictor - 1]


class Bits:
    def __init__(self):
        self.out = bytearray()
        self.value = self.count = 0

    def put(self, bits, count):
        for at in range(count - 1, -1, -1):
            self.value = self.value << 1 | (bits >> at & 1)
            self.count += 1
            if self.count == 8:
                self.out.append(self.value)
                if self.value == 0xFF:
                    self.out.append(0)
                self.value = self.count = 0

    def align(self):
        while self.count:
            self.put(1, 1)


def put_difference(bits, difference):
    """A category as a 5-bit code (0 to 16), and the bits of the difference."""
    difference = (difference + 32768 & 0xFFFF) - 32768
    size = 16 if difference == -32768 else abs(difference).bit_length()
    bits.put(size, 5)
    if 0 < size < 16:
        bits.put(difference if difference > 0 else difference + (1 << size) - 1, size)


def scan(pixels, channels, predictor, shift, restart):
    """The entropy coded data of a scan without subsampling; `restart` counts rows, 0 for none."""
    bits = Bits()
    height, width = pixels.shape[:2]
    rows = pixels.astype(int) >> shift
    for y in range(height):
        fresh = y == 0
        if restart and y and y % restart == 0:
            bits.align()
            bits.out += bytes([0xFF, 0xD0 + (y // restart - 1) % 8])
            fresh = True
        for x in range(width):
            for channel in channels:
                plane = rows[..., channel]
                if fresh:
                    guess = plane[y, x - 1] if x else 1 << (7 - shift)
                elif x == 0:
                    guess = plane[y - 1, 0]
                else:
                    guess = predict(predictor, plane[y, x - 1], plane[y - 1, x], plane[y - 1, x - 1])
                put_difference(bits, int(plane[y, x]) - int(guess))
    bits.align()
    return bytes(bits.out)


def segment(code, data):
    return bytes([0xFF, code]) + struct.pack(">H", len(data) + 2) + data


def encode(rng, pixels):
    height, width, channels = pixels.shape
    predictor, shift = rng.randint(1, 7), rng.choice([0, 0, 0, rng.randint(1, 7)])
    names = [1, 2, 3, 4] if rng.random() < 0.7 else [82, 71, 66, 75]
    restart = rng.choice([0, 0, rng.randint(1, 5)])
    out = b"\xff\xd8"
    # 17 codes of 5 bits.
    out += segment(0xC4, bytes([0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)]))
    frame = struct.pack(">BHHB", 8, height, width, channels)
    out += segment(0xC3, frame + b"".join(bytes([name, 0x11, 0]) for name in names[:channels]))
    apart = rng.random() < 0.3
    for group in [[channel] for channel in range(channels)] if apart else [list(range(channels))]:
        if restart:
            out += segment(0xDD, struct.pack(">H", restart * width))
        head = bytes([len(group), *(value for channel in group for value in (names[channel], 0)), predictor, 0, shift])
        out += segment(0xDA, head) + scan(pixels, group, predictor, shift, restart)
    return out + b"\xff\xd9"
