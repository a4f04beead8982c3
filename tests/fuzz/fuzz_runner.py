#!/usr/bin/env python3
"""Random payloads for the Python side (worker/freecad/runner.py): fuzz_runner.py [--seconds N] [--seed N].

A payload is decoded inside the task's child before the handler sees it. Whatever the bytes: a dict, or InvalidInput. And what
send_frame writes is a frame: a length and that many bytes of JSON.
"""

import argparse
import importlib.util
import json
import os
import random
import struct
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def load_runner():
    spec = importlib.util.spec_from_file_location("runner", os.path.join(ROOT, "worker/freecad/runner.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SEEDS = [b"", b"{}", b'{"a": [1, 2.5, null, "x"]}', b"\x80", b"\x81\xa1a\x93\x01\xcb\x40\x04\x00\x00\x00\x00\x00\x00\xc0",
         b"\x82\xa1a\xc4\x02xy\xa1b\xde\x00\x01\xa1c\xdc\x00\x02\x01\x02", b"\x81\xd9\x01a\xdb\x00\x00\x00\x01b",
         b"\x91" * 40, b"\xdd\xff\xff\xff\xff", b"\xdf\x00\x00\x00\x02\xa1a\x01\xa1a\x02", b'{"a": NaN}', b"{" * 3000]


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randint(0, len(data))
        kind = rng.randrange(5)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at:at] = bytes(rng.choices(range(256), k=rng.randint(1, 8)))
        elif kind == 2:
            del data[at:at + rng.randint(1, 8)]
        elif kind == 3:
            data[at:at] = rng.choice(SEEDS)
        else:
            data[at:at + 1] = bytes([rng.choice((0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xC1, 0xC7, 0xD4, 0xDC, 0xDD, 0xDE, 0xDF, 0xFF))])
    return bytes(data[:8192])


def check_payload(runner, data):
    try:
        value = runner.decode_payload(data)
    except runner.InvalidInput:
        return False
    if not isinstance(value, dict):
        raise AssertionError(f"decode_payload gave a {type(value).__name__}")
    return True


def check_result(runner, value):
    """What comes out of a task as a result is one frame, or a Failure."""
    reader, writer = os.pipe()
    try:
        try:
            runner.send_result(writer, value)
        except runner.Failure:
            return
        os.close(writer)
        writer = -1
        with os.fdopen(os.dup(reader), "rb") as file:
            frame = file.read()
        size = struct.unpack("<I", frame[:4])[0]
        told = json.loads(frame[4:])
        if size != len(frame) - 4 or told["type"] != "result" or not isinstance(told["result"], str):
            raise AssertionError("send_result wrote no frame")
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    args = parser.parse_args()
    runner, rng = load_runner(), random.Random(args.seed)
    corpus, good, tried = list(SEEDS), 0, 0
    until = time.monotonic() + args.seconds
    while time.monotonic() < until:
        data = mutate(rng, rng.choice(corpus))
        tried += 1
        try:
            if check_payload(runner, data):
                good += 1
                check_result(runner, runner.decode_payload(data))
                corpus = (corpus + [data])[-2000:]
        except Exception as error:
            print(f"fuzz_runner: seed {args.seed}: {type(error).__name__}: {error}\n{data!r}")
            return 1
    print(f"fuzz_runner: {tried} payloads, {good} of them good (seed {args.seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
