"""The work of the demo: what is submitted, and what must come out, known without the program that does it."""

import hashlib
import json
import math
import os
import random
import shutil
import struct

MIB = 1024 * 1024


class Kind:
    """Tasks of one handler. A task has a `key`, so that submitting it twice makes one."""

    handler = short = title = check_text = ""

    def tasks(self):
        """The lines for `jqctl task submit --from-jsonl`."""
        raise NotImplementedError

    def fault(self, task, result):
        """What is wrong with the result of `task`, one of tasks(); None if nothing is."""
        raise NotImplementedError


def text_of(result):
    return (result or {}).get("text", "")


# ---- Flanges by FreeCAD -------------------------------------------------------------------------------------------

# Sizes after EN 1092-1, type 01, PN 16, in mm: outer diameter, bolt circle, bolt hole, bolts, thickness, bore.
FLANGES = {
    "dn10": (90, 60, 14, 4, 14, 18.0),
    "dn15": (95, 65, 14, 4, 14, 22.0),
    "dn20": (105, 75, 14, 4, 16, 27.5),
    "dn25": (115, 85, 14, 4, 16, 34.5),
    "dn32": (140, 100, 18, 4, 18, 43.5),
    "dn40": (150, 110, 18, 4, 18, 49.5),
    "dn50": (165, 125, 18, 4, 20, 61.5),
    "dn65": (185, 145, 18, 8, 20, 77.5),
    "dn80": (200, 160, 18, 8, 20, 90.5),
    "dn100": (220, 180, 18, 8, 22, 116.0),
    "dn125": (250, 210, 18, 8, 22, 141.5),
    "dn150": (285, 240, 22, 8, 24, 170.5),
    "dn200": (340, 295, 22, 12, 26, 221.5),
    "dn250": (405, 355, 26, 12, 29, 276.5),
    "dn300": (460, 410, 26, 12, 32, 327.5),
}
EXTRA_THICKNESS_MM = (0, 4)
DENSITY_G_CM3 = 7.85
LINEAR_MM = 0.05


class Flanges(Kind):
    handler, short, title = "cad.variants", "flanges", "flange: STEP, STL, mass"
    check_text = "volume = \u03c0\u00b7t\u00b7(R\u00b2 \u2212 r\u00b2 \u2212 n\u00b7b\u00b2), in CAD and in the mesh"

    def __init__(self, output_folder):
        self.output_folder = output_folder

    def tasks(self):
        return [self.task(name, sizes, extra) for name, sizes in FLANGES.items() for extra in EXTRA_THICKNESS_MM]

    def task(self, name, sizes, extra):
        outer, circle, bolt, bolts, thickness, bore = sizes
        row = {
            "name": f"{name}-{thickness + extra}mm", "outer_d": outer, "bore_d": bore, "thickness": thickness + extra,
            "bolt_circle": circle, "bolts": bolts, "bolt_d": bolt,
        }
        payload = {"part": "flange", "density_g_cm3": DENSITY_G_CM3, "linear_mm": LINEAR_MM, "rows": [row]}
        return {"handler": self.handler, "queue": "cad", "key": "flange-" + row["name"], "payload": payload}

    def fault(self, task, result):
        row = task["payload"]["rows"][0]
        report = result if "parts" in (result or {}) else json.loads(text_of(result) or "{}")
        if report.get("count") != 1:
            return f"no report: {result}"
        return self.report_fault(row, report["parts"][0]) or self.files_fault(row, report["dir"])

    @staticmethod
    def report_fault(row, part):
        volume = flange_volume_mm3(row)
        if not is_near(part["volume_mm3"], volume, 1e-6):
            return f"{row['name']}: volume {part['volume_mm3']}, not {volume}"
        mass = volume / 1000 * DENSITY_G_CM3
        return None if is_near(part["mass_g"], mass, 1e-6) else f"{row['name']}: mass {part['mass_g']}, not {mass}"

    def files_fault(self, row, folder):
        base = os.path.join(folder, row["name"])
        if not base.startswith(self.output_folder):
            return f"{base} is not in {self.output_folder}"
        with open(base + ".step", encoding="ascii", errors="replace") as file:
            step = file.read()
        if not (step.startswith("ISO-10303-21;") and step.rstrip().endswith("END-ISO-10303-21;")):
            return f"{base}.step is no whole STEP file"
        with open(base + ".json", encoding="utf-8") as file:
            if json.load(file)["name"] != row["name"]:
                return f"{base}.json is of another part"
        volume = stl_volume_mm3(base + ".stl")
        # A mesh of chords is a little off the circle; one of a wrong or open solid is far off.
        return None if is_near(volume, flange_volume_mm3(row), 0.01) else f"{base}.stl holds {volume} mm3"


def flange_volume_mm3(row):
    area = (row["outer_d"] / 2) ** 2 - (row["bore_d"] / 2) ** 2 - row["bolts"] * (row["bolt_d"] / 2) ** 2
    return math.pi * row["thickness"] * area


def is_near(value, wanted, relative):
    return abs(value - wanted) <= relative * abs(wanted)


def stl_volume_mm3(path):
    """Of a binary STL file: the signed volumes of the tetrahedra from the origin to each triangle, summed."""
    with open(path, "rb") as file:
        data = file.read()
    (count,) = struct.unpack_from("<I", data, 80)
    six_fold = 0.0
    for facet in struct.iter_unpack("<12fH", data[84 : 84 + 50 * count]):
        _, _, _, ax, ay, az, bx, by, bz, cx, cy, cz, _ = facet
        six_fold += ax * (by * cz - bz * cy) - ay * (bx * cz - bz * cx) + az * (bx * cy - by * cx)
    return six_fold / 6


# ---- Files of this machine ----------------------------------------------------------------------------------------

FILES = 24
FILE_SIZES = (1 * MIB, 16 * MIB)


def large_files(folders=("/usr/bin", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")):
    """Readable plain files of some MiB, the largest first."""
    found = {}
    for folder in folders:
        for entry in os.scandir(folder) if os.path.isdir(folder) else ():
            if not entry.is_file(follow_symlinks=False):
                continue
            status = entry.stat()
            if FILE_SIZES[0] <= status.st_size <= FILE_SIZES[1] and status.st_mode & 0o004:
                found[(status.st_dev, status.st_ino)] = (status.st_size, entry.path)
    return [path for _, path in sorted(found.values(), reverse=True)[:FILES]]


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(MIB):
            digest.update(block)
    return digest.hexdigest()


class Checksums(Kind):
    handler, short, title = "sha256", "sha256", "SHA-256 of a file"
    check_text = "same as Python's hashlib"

    def __init__(self, digests):
        self.digests = digests

    def tasks(self):
        return [
            {"handler": self.handler, "queue": "files", "key": f"{self.handler} {path}", "payload": {"input": path}}
            for path in self.digests
        ]

    def fault(self, task, result):
        path = task["payload"]["input"]
        words = text_of(result).split()
        return None if self.digests[path] in words else f"{path}: {text_of(result)!r}"


class Packs(Checksums):
    handler, short, title = "zstd", "zstd", "zstd a file, and back"
    check_text = "what came back has the file's SHA-256"

    def fault(self, task, result):
        size = text_of(result).split()[:1]
        is_smaller = size and size[0].isdigit() and 0 < int(size[0]) < os.path.getsize(task["payload"]["input"])
        return super().fault(task, result) if is_smaller else f"packed size: {text_of(result)!r}"


# ---- A sort larger than its memory ----------------------------------------------------------------------------------

HEADS, TAILS = 4096, 2048  # Their product is the number of lines.
LINE_BYTES = 32


class Sort(Kind):
    """A file whose lines are all pairs of a head and a tail, in disorder. Its sorted text can therefore be written
    down at once, without sorting it: every head in order, with every tail in order.
    """

    handler, short, title = "extsort", "sort", "sort 256 MiB in 64 MiB"
    check_text = "same as the text written down in order"

    def __init__(self, path):
        self.path = path
        chance = random.Random(7)
        self.heads = [b"%06x" % number for number in chance.sample(range(1 << 24), HEADS)]
        self.tails = [b" %024x\n" % number for number in chance.sample(range(1 << 62), TAILS)]
        self.size_bytes = HEADS * TAILS * LINE_BYTES
        self.digest = None

    def prepare(self):
        with open(self.path, "wb") as file:
            for tail in self.tails:
                file.write(tail.join(self.heads) + tail)
        os.chmod(self.path, 0o644)
        digest, tails = hashlib.sha256(), sorted(self.tails)
        for head in sorted(self.heads):
            digest.update(head + head.join(tails))
        self.digest = digest.hexdigest()

    def tasks(self):
        payload = {"input": self.path}
        return [{"handler": self.handler, "queue": "sort", "key": "sort", "need": "mem=256M", "payload": payload}]

    def fault(self, task, result):
        return None if text_of(result).split()[:1] == [self.digest] else f"sorted text: {text_of(result)!r}"

    def room_fault(self):
        """Disk is needed for the text, the sorted runs and the sorted text."""
        free = shutil.disk_usage(os.path.dirname(self.path)).free
        wanted = 4 * self.size_bytes
        if free >= wanted:
            return None
        return f"{os.path.dirname(self.path)} has {free // MIB} MiB free, {wanted // MIB} are needed: set TMPDIR"
