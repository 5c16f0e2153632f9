"""Sound fonts made by hand, chunk by chunk."""

import struct

import numpy as np

RATE = 8000
RAMP = np.arange(1, 21, dtype=np.int16) * 1000  # a recording of 20 samples
SINE = np.rint(20000 * np.sin(2 * np.pi * np.arange(160) * 9 / 160)).astype(np.int16)  # 450 Hz
SAMPLES = np.concatenate([RAMP, SINE])


def chunk(name, content):
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def listed(kind, *chunks):
    return chunk(b"LIST", kind + b"".join(chunks))


def zone_records(zones, kind):
    """Bags and generators of a list of lists of zones, each a list of pairs."""
    owners, bags, generators = [], [], []
    for zones_of_one in zones:
        owners.append(len(bags))
        for zone in zones_of_one:
            bags.append(struct.pack("<HH", len(generators), 0))
            generators += [struct.pack("<HH", g, value % 2**16) for g, value in zone]
    owners.append(len(bags))
    bags.append(struct.pack("<HH", len(generators), 0))
    generators.append(bytes(4))
    return owners, chunk(kind + b"bag", b"".join(bags)), chunk(kind + b"gen", b"".join(generators))


def recording(begin, end, loop=(0, 0), rate=RATE, key=60, correction=0, kind=1):
    places = begin, end, *loop, rate
    return bytes(20) + struct.pack("<IIIIIBbHH", *places, key, correction, 0, kind)


RECORDINGS = [recording(0, 20, (4, 9)), recording(20, 180, (20, 180), key=69, correction=-39)]


def font(presets, instruments, recordings=RECORDINGS, samples=SAMPLES, without=None):
    """`presets` are zones by program; the correction makes the sine A4, to 0.1 cents."""
    owners, pbag, pgen = zone_records(presets.values(), b"p")
    names = zip((*presets, 0), owners, strict=True)
    phdr = b"".join(bytes(20) + struct.pack("<HHH", p, 0, bag) + bytes(12) for p, bag in names)
    owners, ibag, igen = zone_records(instruments, b"i")
    inst = b"".join(bytes(20) + struct.pack("<H", bag) for bag in owners)
    shdr = b"".join([*recordings, bytes(46)])
    parts = [chunk(b"phdr", phdr), pbag, pgen, chunk(b"inst", inst), ibag, igen]
    parts = [part for part in [*parts, chunk(b"shdr", shdr)] if part[:4] != without]
    content = b"sfbk" + listed(b"sdta", chunk(b"smpl", samples.tobytes())) + listed(b"pdta", *parts)
    return chunk(b"RIFF", content)
