"""Reads, changes and writes GGUF files in plain Python, for the tests. Independent of the program's own reader and writer.

A file is an object with version, keys and tensors. keys: name -> (type, value); the type of an array is ("arr", element type).
tensors: name -> [ne, type id, bytes], with ne fastest dimension first, as in the file.
"""
import struct

SCALARS = {"u8": (0, "<B"), "i8": (1, "<b"), "u16": (2, "<H"), "i16": (3, "<h"), "u32": (4, "<I"), "i32": (5, "<i"),
           "f32": (6, "<f"), "bool": (7, "<?"), "u64": (10, "<Q"), "i64": (11, "<q"), "f64": (12, "<d")}
TYPE_IDS = {name: number for name, (number, _) in SCALARS.items()} | {"str": 8, "arr": 9}
TYPE_NAMES = {number: name for name, number in TYPE_IDS.items()}
F32, F16, Q8_0, BF16 = 0, 1, 8, 30
BLOCKS = {F32: (1, 4), F16: (1, 2), Q8_0: (32, 34), BF16: (1, 2)}  # elements, bytes


def padded(n, alignment=32):
    return -(-n // alignment) * alignment


class GgufFile:
    def __init__(self, version=3):
        self.version = version
        self.keys = {}
        self.tensors = {}

    def set(self, key, kind, value):
        self.keys[key] = (kind, value)

    def add(self, name, shape, type_id, data):
        """shape as in PyTorch: slowest first."""
        n = 1
        for d in shape:
            n *= d
        block, size = BLOCKS[type_id]
        assert shape[-1] % block == 0 and len(data) == n // block * size, name
        assert name not in self.tensors and len(name) < 64, name
        self.tensors[name] = [list(reversed(shape)), type_id, data]

    def write(self, path):
        head = bytearray(struct.pack("<4sIQQ", b"GGUF", self.version, len(self.tensors), len(self.keys)))
        for key, (kind, value) in self.keys.items():
            head += pack_string(key) + pack_value(kind, value)
        offset = 0
        for name, (ne, type_id, data) in self.tensors.items():
            head += pack_string(name) + struct.pack(f"<I{len(ne)}QIQ", len(ne), *ne, type_id, offset)
            offset += padded(len(data))
        with open(path, "wb") as out:
            out.write(head + bytes(padded(len(head)) - len(head)))
            for _, _, data in self.tensors.values():
                out.write(data + bytes(padded(len(data)) - len(data)))

    @staticmethod
    def read(path):
        with open(path, "rb") as f:
            data = f.read()
        cursor = Cursor(data)
        magic, version, n_tensors, n_keys = cursor.take("<4sIQQ")
        assert magic == b"GGUF"
        file = GgufFile(version)
        for _ in range(n_keys):
            key = cursor.string()
            file.keys[key] = cursor.value()
        places = []
        for _ in range(n_tensors):
            name = cursor.string()
            n_dims, = cursor.take("<I")
            ne = list(cursor.take(f"<{n_dims}Q"))
            places.append((name, ne, *cursor.take("<IQ")))
        start = padded(cursor.at)
        for name, ne, type_id, offset in places:
            n = 1
            for d in ne:
                n *= d
            block, size = BLOCKS[type_id]
            file.tensors[name] = [ne, type_id, data[start + offset:start + offset + n // block * size]]
        return file


def pack_string(text):
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def pack_element(kind, value):
    return pack_string(value) if kind == "str" else struct.pack(SCALARS[kind][1], value)


def pack_value(kind, value):
    if isinstance(kind, tuple):
        return struct.pack("<IIQ", 9, TYPE_IDS[kind[1]], len(value)) + b"".join(pack_element(kind[1], x) for x in value)
    return struct.pack("<I", TYPE_IDS[kind]) + pack_element(kind, value)


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values

    def string(self):
        n, = self.take("<Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def element(self, kind):
        return self.string() if kind == "str" else self.take(SCALARS[kind][1])[0]

    def value(self):
        kind = TYPE_NAMES[self.take("<I")[0]]
        if kind != "arr":
            return kind, self.element(kind)
        element, n = self.take("<IQ")
        return ("arr", TYPE_NAMES[element]), [self.element(TYPE_NAMES[element]) for _ in range(n)]
