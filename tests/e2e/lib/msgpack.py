"""msgpack, as much of it as the protocol uses (no floats outside of reading, no ext types)."""

import struct


def pack(value):
    out = bytearray()
    pack_into(out, value)
    return bytes(out)


def pack_into(out, value):
    if value is None:
        out.append(0xC0)
    elif isinstance(value, bool):
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, int):
        pack_int(out, value)
    elif isinstance(value, str):
        pack_head(out, len(value.encode()), 0xA0, 31, (0xD9, 0xDA, 0xDB))
        out += value.encode()
    elif isinstance(value, (bytes, bytearray)):
        pack_head(out, len(value), None, -1, (0xC4, 0xC5, 0xC6))
        out += value
    elif isinstance(value, (list, tuple)):
        pack_head(out, len(value), 0x90, 15, (None, 0xDC, 0xDD))
        for item in value:
            pack_into(out, item)
    elif isinstance(value, dict):
        pack_head(out, len(value), 0x80, 15, (None, 0xDE, 0xDF))
        for key, item in value.items():
            pack_into(out, key)
            pack_into(out, item)
    else:
        raise TypeError(f"cannot pack {type(value).__name__}")


def pack_int(out, value):
    if 0 <= value < 0x80:
        out.append(value)
    elif -32 <= value < 0:
        out.append(value & 0xFF)
    elif value >= 0:
        out += b"\xcf" + struct.pack(">Q", value)
    else:
        out += b"\xd3" + struct.pack(">q", value)


def pack_head(out, size, fix, fix_max, codes):
    """The head of a text, bytes, a list or a map: the shortest of its forms."""
    if size <= fix_max:
        out.append(fix | size)
    elif size < 1 << 8 and codes[0] is not None:
        out += struct.pack(">BB", codes[0], size)
    elif size < 1 << 16:
        out += struct.pack(">BH", codes[1], size)
    else:
        out += struct.pack(">BI", codes[2], size)


NUMBERS = {
    0xCA: ">f", 0xCB: ">d",
    0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}
SIZES = {
    0xC4: ("bin", ">B"), 0xC5: ("bin", ">H"), 0xC6: ("bin", ">I"),
    0xD9: ("str", ">B"), 0xDA: ("str", ">H"), 0xDB: ("str", ">I"),
    0xDC: ("list", ">H"), 0xDD: ("list", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I"),
}
PLAIN = {0xC0: None, 0xC2: False, 0xC3: True}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if self.at + size > len(self.data):
            raise ValueError("msgpack: cut short")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def value(self):
        code = self.take(1)[0]
        if code in PLAIN:
            return PLAIN[code]
        if code in NUMBERS:
            return self.number(NUMBERS[code])
        if code in SIZES:
            kind, form = SIZES[code]
            return self.sized(kind, self.number(form))
        return self.fixed(code)

    def fixed(self, code):
        if code < 0x80:
            return code
        if code < 0x90:
            return self.sized("map", code & 0x0F)
        if code < 0xA0:
            return self.sized("list", code & 0x0F)
        if code < 0xC0:
            return self.sized("str", code & 0x1F)
        if code >= 0xE0:
            return code - 0x100
        raise ValueError(f"msgpack: code {code:#x}")

    def sized(self, kind, size):
        if kind == "bin":
            return self.take(size)
        if kind == "str":
            return self.take(size).decode()
        if kind == "list":
            return [self.value() for _ in range(size)]
        return {self.value(): self.value() for _ in range(size)}


def unpack(data):
    reader = Reader(data)
    value = reader.value()
    if reader.at != len(data):
        raise ValueError("msgpack: bytes behind the value")
    return value
