#!/usr/bin/env python3
"""The handlers in a real FreeCAD, forked from one zygote by the worker's own code (freecad_run.c): figures against formulas,
and every pathological end.

Needs freecadcmd (Debian: apt-get install --no-install-recommends freecad-python3), else all of it is skipped.
"""

import json
import math
import os
import shutil
import struct
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ET
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
RUN = os.path.join(os.environ.get("JQ_TEST_BIN", HERE), "freecad_run")
SCRIPTS = os.path.join(os.environ.get("JQ_PREFIX", ""), "share/jqmesh/freecad")
FREECAD = os.environ.get("JQ_FREECADCMD") or shutil.which("freecadcmd") or shutil.which("FreeCADCmd")
COMMAND = [FREECAD or "freecadcmd", "-c", "exec(open('{runner}').read())"]

FLANGES = [
    {"name": "dn15", "outer_d": 95, "bore_d": 21.3, "thickness": 14, "bolt_circle": 65, "bolts": 4, "bolt_d": 14},
    {"name": "dn50", "outer_d": 165, "bore_d": 60.3, "thickness": 20, "bolt_circle": 125, "bolts": 4, "bolt_d": 18},
    {"name": "dn100", "outer_d": 220, "bore_d": 114.3, "thickness": 22, "bolt_circle": 180, "bolts": 8, "bolt_d": 18},
    {"name": "blank", "outer_d": 100, "bore_d": 10, "thickness": 5, "bolt_circle": 50, "bolts": 0, "bolt_d": 5},
]


def flange_volume(row):
    """pi t (R^2 - r^2 - n rb^2), in mm^3."""
    radii = (row["outer_d"] / 2) ** 2 - (row["bore_d"] / 2) ** 2 - row["bolts"] * (row["bolt_d"] / 2) ** 2
    return math.pi * row["thickness"] * radii


def flange_area(row):
    """Both faces, the rim, and the walls of the holes, in mm^2."""
    rims = row["outer_d"] + row["bore_d"] + row["bolts"] * row["bolt_d"]
    return 2 * flange_volume(row) / row["thickness"] + math.pi * row["thickness"] * rims


def read_png_alpha(path):
    """(width, height, alpha of every pixel) of an 8-bit RGBA picture that is not interlaced (PNG specification, 3rd edition)."""
    with open(path, "rb") as file:
        data = file.read()
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IHDR":
            width, height, *form = struct.unpack(">IIBBBBB", data[at + 8:at + 21])
            assert form == [8, 6, 0, 0, 0], form
        packed += data[at + 8:at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    lines, above, raw = [], bytearray(4 * width), zlib.decompress(packed)
    for row in range(height):
        begin = row * (4 * width + 1)
        line = unfilter(raw[begin], bytearray(raw[begin + 1:begin + 1 + 4 * width]), above)
        lines.extend(line[3::4])
        above = line
    return width, height, lines


def unfilter(kind, line, above):
    for i, value in enumerate(line):
        a, b = line[i - 4] if i >= 4 else 0, above[i]
        c = above[i - 4] if i >= 4 else 0
        nearest = min((a, b, c), key=lambda x: abs(a + b - c - x))
        line[i] = (value + (0, a, b, (a + b) // 2, nearest)[kind]) & 0xFF
    return line


class Place:
    """A state directory and an output directory that go away together."""

    def __enter__(self):
        self.root = tempfile.TemporaryDirectory(prefix="jqmesh-freecad-")
        self.outputs = os.path.join(self.root.name, "out")
        os.mkdir(self.outputs)
        os.chmod(self.root.name, 0o755)
        return self

    def __exit__(self, *_):
        self.root.cleanup()

    def run(self, tasks, in_flight=1, scripts=SCRIPTS, uid=0):
        """`tasks`: (script, parameters[, limits]). Outcomes in the order of the tasks; and what the zygote says at the end."""
        lines = []
        for script, params, *rest in tasks:
            limits = dict({"memory": 0, "soft_ms": 0, "hard_ms": 120000}, **(rest[0] if rest else {}))
            lines.append("\t".join((script, str(limits["memory"]), str(limits["soft_ms"]), str(limits["hard_ms"]),
                                    json.dumps(params))))
        command = [RUN, os.path.join(self.root.name, "state"), scripts, str(in_flight), str(uid), self.outputs, "--",
                   *COMMAND]
        done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=300,
                              check=False)
        if done.returncode != 0:
            raise AssertionError("freecad_run: exit %d: %s" % (done.returncode, done.stderr))
        *outcomes, zygote = [json.loads(line) for line in done.stdout.splitlines()]
        return sorted(outcomes, key=lambda outcome: outcome["task"]), zygote


@unittest.skipUnless(FREECAD, "freecadcmd not found: apt-get install --no-install-recommends freecad-python3")
class Handlers(unittest.TestCase):
    """Each stock handler on a real model, its figures checked."""

    def succeeded(self, outcome):
        self.assertEqual(outcome["outcome"], "success", outcome["message"] + outcome["stderr"])
        return json.loads(outcome["result"])

    def test_variants_have_the_volume_of_the_formula(self):
        """A table of flanges becomes STEP, STL and report of each, under the task's own folder and nowhere else."""
        with Place() as place:
            (outcome,), _ = place.run([("variants.py", {"density_g_cm3": 7.85, "rows": FLANGES})])
            result = self.succeeded(outcome)
            self.assertEqual(result["count"], len(FLANGES))
            self.assertEqual(os.listdir(place.outputs), ["1"])
            self.assertEqual(result["dir"], os.path.join(place.outputs, "1"))
            for row, part in zip(FLANGES, result["parts"]):
                self.assertEqual(part["name"], row["name"])
                self.assertAlmostEqual(part["volume_mm3"] / flange_volume(row), 1, delta=1e-9)
                self.assertAlmostEqual(part["mass_g"], flange_volume(row) * 7.85e-3, delta=1e-6 * part["mass_g"])
                for ending in (".step", ".stl", ".json"):
                    self.assertGreater(os.path.getsize(os.path.join(result["dir"], row["name"] + ending)), 500)
                with open(os.path.join(result["dir"], row["name"] + ".json"), encoding="utf-8") as file:
                    report = json.load(file)
                self.assertAlmostEqual(report["area_mm2"] / flange_area(row), 1, delta=1e-9)

    def test_massprops_and_step2stl_read_what_variants_wrote(self):
        """Through STEP and back the figures stay; the mesh is closed and holds nearly the same volume."""
        with Place() as place:
            row = FLANGES[1]
            step = os.path.join(place.outputs, "1", "dn50.step")
            first, second, third = place.run([
                ("variants.py", {"rows": [row]}),
                ("massprops.py", {"input": step, "density_g_cm3": 7.85}),
                ("step2stl.py", {"input": step, "output": "mesh.stl", "linear_mm": 0.02, "angular_rad": 0.1}),
            ])[0]
            self.succeeded(first)
            props = self.succeeded(second)
            volume, radius = flange_volume(row), row["outer_d"] / 2
            self.assertEqual(props["solids"], 1)
            self.assertAlmostEqual(props["volume_mm3"] / volume, 1, delta=1e-9)
            self.assertAlmostEqual(props["area_mm2"] / flange_area(row), 1, delta=1e-9)
            self.assertAlmostEqual(props["mass_g"], volume * 7.85e-3, delta=1e-3)
            for got, expected in zip(props["centre_of_mass_mm"], (0, 0, row["thickness"] / 2)):
                self.assertAlmostEqual(got, expected, delta=1e-6)
            box = (-radius, -radius, 0, radius, radius, row["thickness"])
            for got, expected in zip(props["bounding_box_mm"], box):
                self.assertAlmostEqual(got, expected, delta=1e-3)
            self.assertAlmostEqual(props["inertia_mm5"][2][2] / self.polar_inertia(row), 1, delta=1e-6)
            mesh = self.succeeded(third)
            self.assertTrue(mesh["closed"])
            self.assertAlmostEqual(mesh["mesh_volume_mm3"] / volume, 1, delta=1e-3)
            self.check_stl(mesh)

    @staticmethod
    def polar_inertia(row):
        """About the axis, density 1: discs by m r^2 / 2, bolt holes moved out by Steiner."""
        def disc(radius):
            return math.pi * row["thickness"] * radius ** 2
        outer, bore, bolt = row["outer_d"] / 2, row["bore_d"] / 2, row["bolt_d"] / 2
        holes = row["bolts"] * disc(bolt) * (bolt ** 2 / 2 + (row["bolt_circle"] / 2) ** 2)
        return disc(outer) * outer ** 2 / 2 - disc(bore) * bore ** 2 / 2 - holes

    def check_stl(self, mesh):
        """Binary STL: 80 bytes, a count, 50 bytes a facet."""
        with open(mesh["stl"], "rb") as file:
            data = file.read()
        self.assertEqual(int.from_bytes(data[80:84], "little"), mesh["facets"])
        self.assertEqual(len(data), 84 + 50 * mesh["facets"])

    def test_interference_finds_the_common_volume_and_what_is_too_close(self):
        """Of three equal discs the second stands half inside the first, the third 0.4 mm above the second, far enough from the first."""
        with Place() as place:
            row = FLANGES[3]
            step, height = os.path.join(place.outputs, "1", "blank.step"), row["thickness"]
            parts = [{"name": "a", "input": step}, {"name": "b", "input": step, "at": [0, 0, height / 2], "angle_deg": 30},
                     {"name": "c", "input": step, "at": [0, 0, 1.5 * height + 0.4]}]
            first, second, third = place.run([
                ("variants.py", {"rows": [row]}),
                ("interference.py", {"parts": parts, "clearance_mm": 1}),
                ("interference.py", {"parts": [parts[0], parts[2]]})])[0]
            self.succeeded(first)
            found = self.succeeded(second)
            self.assertEqual([found["parts"], found["pairs"]], [3, 3])
            self.assertEqual([pair["parts"] for pair in found["interferences"]], [["a", "b"]])
            self.assertAlmostEqual(found["interferences"][0]["volume_mm3"] / (flange_volume(row) / 2), 1, delta=1e-6)
            self.assertEqual([pair["parts"] for pair in found["close"]], [["b", "c"]])
            self.assertAlmostEqual(found["close"][0]["distance_mm"], 0.4, delta=1e-6)
            self.assertEqual(self.succeeded(third)["interferences"], [])

    def test_drawing_has_the_size_of_its_views(self):
        """Front and top of a disc stand above each other: the sheet is as wide as the disc, and the DXF has its circles."""
        with Place() as place:
            row = FLANGES[1]
            step = os.path.join(place.outputs, "1", "dn50.step")
            first, second = place.run([("variants.py", {"rows": [row]}), (
                "drawing.py", {"input": step, "output": "sheet", "views": ["front", "top"], "hidden": True})])[0]
            self.succeeded(first)
            sheet = self.succeeded(second)
            diameter, gap = row["outer_d"], 0.15 * row["outer_d"]
            self.assertAlmostEqual(sheet["width_mm"], diameter, delta=0.01)
            self.assertAlmostEqual(sheet["height_mm"], diameter + gap + row["thickness"], delta=0.01)
            with open(sheet["svg"], encoding="utf-8") as file:
                svg = file.read()
            self.assertEqual(ET.fromstring(svg.encode()).tag, "{http://www.w3.org/2000/svg}svg")
            self.assertIn("stroke-dasharray", svg)
            with open(sheet["dxf"], encoding="ascii") as file:
                dxf = file.read().split("\n")
            # Groups of code and value: radii (code 40) of circles in the top view.
            groups = list(zip(dxf[0::2], dxf[1::2]))
            radii = [float(value) for code, value in groups if code.strip() == "40"]
            self.assertTrue(any(abs(radius - diameter / 2) < 1e-3 for radius in radii), radii)
            # Each hole twice: its near edge, and the far one, hidden behind it.
            self.assertEqual(sum(abs(radius - row["bolt_d"] / 2) < 1e-3 for radius in radii), 2 * row["bolts"])
            self.assertEqual(groups[-1], ("0", "EOF"))

    def test_thumbnail_covers_the_area_of_the_part(self):
        """From above, the share of opaque pixels is the disc's area without its holes."""
        with Place() as place:
            row = FLANGES[1]
            step = os.path.join(place.outputs, "1", "dn50.step")
            first, second, third = place.run([
                ("variants.py", {"rows": [row]}),
                ("thumbnail.py", {"input": step, "output": "top.png", "width": 200, "height": 160, "view": "top"}),
                ("thumbnail.py", {"input": step, "view": "below"})])[0]
            self.succeeded(first)
            picture = self.succeeded(second)
            width, height, alpha = read_png_alpha(picture["png"])
            self.assertEqual((width, height), (200, 160))
            per_mm = 160 * (1 - 2 * 0.06) / row["outer_d"]
            expected = flange_volume(row) / row["thickness"] * per_mm ** 2
            self.assertAlmostEqual(sum(alpha) / 255 / expected, 1, delta=0.03)
            self.assertEqual(third["message"], "view: must be one of front, back, top, bottom, right, left, iso")

    def test_param_recomputes_a_document(self):
        """A box whose sides are bound to a spreadsheet gets the sides that the task gave; the input stays as it was."""
        make = ("import FreeCAD\ndef run(p, c):\n    d = FreeCAD.newDocument('box')\n"
                "    s = d.addObject('Spreadsheet::Sheet', 'Spreadsheet')\n    b = d.addObject('Part::Box', 'Box')\n"
                "    for i, n in enumerate(('Length', 'Width', 'Height')):\n"
                "        s.set('A%d' % (i + 1), '10'); s.setAlias('A%d' % (i + 1), n.lower())\n    d.recompute()\n"
                "    for n in ('Length', 'Width', 'Height'): b.setExpression(n, 'Spreadsheet.' + n.lower())\n"
                "    d.recompute()\n    d.saveAs(c.output_dir + '/box.FCStd')\n    return b.Shape.Volume\n")
        with Place() as place:
            scripts = os.path.join(place.root.name, "scripts")
            shutil.copytree(SCRIPTS, scripts)
            with open(os.path.join(scripts, "make.py"), "w", encoding="utf-8") as file:
                file.write(make)
            source = os.path.join(place.outputs, "1", "box.FCStd")
            given = {"Spreadsheet.length": 20, "Spreadsheet.A2": "1.5 * 10"}
            outcomes = place.run([
                ("make.py", {}), ("param.py", {"input": source, "parameters": given, "output": "long", "density_g_cm3": 1}),
                ("param.py", {"input": source, "parameters": {"Spreadsheet.depth": 1}}),
                ("param.py", {"input": source, "parameters": {"Spreadsheet.length": -1}}),
                ("param.py", {"input": "/etc/passwd", "parameters": given}),
            ], scripts=scripts)[0]
            self.assertAlmostEqual(self.succeeded(outcomes[0]), 1000, delta=1e-6)
            with open(source, "rb") as file:
                before = file.read()
            result = self.succeeded(outcomes[1])
            self.assertAlmostEqual(result["volume_mm3"], 20 * 15 * 10, delta=1e-6)
            self.assertAlmostEqual(result["mass_g"], 3, delta=1e-9)
            self.assertEqual(sorted(os.listdir(os.path.dirname(result["step"]))), ["long.FCStd", "long.step"])
            for outcome, message in zip(outcomes[2:4], ("Spreadsheet has no alias depth", "recomputing failed")):
                self.assertEqual(outcome["outcome"], "invalid_input", outcome)
                self.assertIn(message, outcome["message"])
            self.assertEqual(outcomes[4]["outcome"], "invalid_input", outcomes[4])
            with open(source, "rb") as file:
                self.assertEqual(file.read(), before)

    def test_facts_are_told_by_freecad_itself(self):
        """The version as numbers, OCC's, and the modules that load."""
        with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile() as reply:
            code = "exec(open('%s/probe.py').read())" % SCRIPTS
            # What the worker gives as descriptor 3.
            subprocess.run(["/bin/sh", "-c", "exec \"$@\" 3>&%d" % reply.fileno(), "sh", FREECAD, "-c", code],
                           env=dict(os.environ, FREECAD_USER_HOME=home), pass_fds=[reply.fileno()], timeout=120,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
            reply.seek(0)
            frame = json.loads(reply.read()[4:])
        facts = dict(item.split("=") for item in frame["result"].split())
        self.assertRegex(facts["freecad.version"], r"^\d+\.\d+\.\d+$")
        self.assertRegex(facts["freecad.occ"], r"^\d+\.\d+")
        self.assertEqual(facts["freecad.module.part"], "yes")
        self.assertEqual(facts["freecad.module.meshpart"], "yes")

    def test_bad_input_is_named_and_leaves_no_files(self):
        """What can never succeed is refused with its field and reason, before anything is built."""
        dn50 = FLANGES[1]
        cases = [
            ("variants.py", {"rows": []}, "rows: must be a list of 1 to 200 variants"),
            ("variants.py", {"rows": [dict(dn50, bore_d=200)]}, "rows[0]: bore_d: must be below outer_d"),
            ("variants.py", {"rows": [dn50, dict(dn50, name="x", bolts=60)]},
             "rows[1]: bolts: the bolt holes would cut each other"),
            ("variants.py", {"rows": [dict(dn50, name="../../etc/passwd")]},
             "rows[0]: name: must be a file name of letters, digits, '_', '.', '-', at most 64"),
            ("variants.py", {"rows": [dn50, dn50]}, "rows[1]: name: dn50 stands twice"),
            ("variants.py", {"rows": [dict(dn50, thickness=-1)]}, "rows[0]: thickness: is -1, must be above 0"),
            ("variants.py", {"row": [dn50]}, "row: unknown parameter; known are part, density_g_cm3, linear_mm, "
             "angular_rad, rows"),
            ("massprops.py", {"input": "relative.step"}, "input: must be the absolute path of a file"),
            ("massprops.py", {"input": "/no/such.step"}, "input: no such file: /no/such.step"),
            ("massprops.py", {"input": "/etc/passwd"}, "no solid in /etc/passwd"),
            ("step2stl.py", {"input": "/etc/passwd", "linear_mm": 0}, "linear_mm: is 0, must be above 0"),
        ]
        with Place() as place:
            outcomes, zygote = place.run([case[:2] for case in cases], in_flight=2)
            for (_, _, message), outcome in zip(cases, outcomes):
                if message.startswith("no solid"):
                    self.assertRegex(outcome["message"], "no solid in|not a STEP file that can be read")
                else:
                    self.assertEqual(outcome["message"], message)
                self.assertEqual(outcome["outcome"], "invalid_input")
            self.assertEqual(os.listdir(place.outputs), [])
            self.assertEqual(zygote["restarts"], 0)


BAD = {
    "exception.py": "def run(p, c):\n    raise ValueError('odd')\n",
    "occ.py": "import Part\ndef run(p, c):\n    Part.makeBox(-1, 0, 0)\n",
    "exit3.py": "import sys\ndef run(p, c):\n    sys.exit(3)\n",
    "exit0.py": "import os\ndef run(p, c):\n    os._exit(0)\n",
    "segv.py": "import ctypes\ndef run(p, c):\n    ctypes.string_at(0)\n",
    "abort.py": "import os\ndef run(p, c):\n    os.abort()\n",
    "loop.py": "def run(p, c):\n    while True: pass\n",
    "native.py": "import Part\ndef run(p, c):\n    box = Part.makeBox(1, 1, 1)\n"
                 "    while True: box.fuse(Part.makeSphere(1))\n",
    "deaf.py": "import signal, time\ndef run(p, c):\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    time.sleep(100)\n",
    "memory.py": "import time\ndef run(p, c):\n    x = bytearray(4 << 30)\n    time.sleep(100)\n",
    "global.py": "import FreeCAD\ndef run(p, c):\n    FreeCAD.ConfigSet('mark', 'x'); FreeCAD.newDocument('left')\n    return 1\n",
    "clean.py": "import FreeCAD\ndef run(p, c):\n    return [FreeCAD.ConfigGet('mark'), sorted(FreeCAD.listDocuments())]\n",
    "mesh.py": "import MeshPart, Part\ndef run(p, c):\n    s = Part.makeSphere(10).fuse(Part.makeBox(12, 12, 12))\n"
               "    return MeshPart.meshFromShape(Shape=s, LinearDeflection=0.01, AngularDeflection=0.1).CountFacets > 5000\n",
    "shadow.py": "def run(p, c):\n    return open('/etc/shadow').read()\n",
    "connect.py": "import socket\ndef run(p, c):\n    socket.create_connection(('127.0.0.1', 9)).close()\n",
    "elsewhere.py": "def run(p, c):\n    open('/var/tmp/jqmesh-left-behind', 'w').close()\n",
    "deep.py": "def run(p, c):\n    def down(n): return down(n + 1)\n    return down(0)\n",
    "odd.py": "def run(p, c):\n    return object()\n",
    "huge.py": "def run(p, c):\n    return 'x' * (50 << 20)\n",
    "chatty.py": "def run(p, c):\n    for i in range(100): print('x' * (1 << 20))\n    return 1\n",
    "fills.py": "def run(p, c):\n    with open('big', 'wb') as file:\n"
                "        for i in range(1024): file.write(bytes(1 << 20))\n",
    "leaves.py": "import subprocess\ndef run(p, c):\n"
                 "    subprocess.Popen(['/bin/sleep', '300'], start_new_session=True)\n    return 1\n",
    "bomb.py": "import os, time\ndef run(p, c):\n    while True:\n        try: os.fork()\n"
               "        except OSError: time.sleep(0.01)\n",
    "idle.py": "def run(p, c):\n    return 1\n",
}

LIMITED = {"soft_ms": 1500, "hard_ms": 60000}
ENDS = [
    ("exception.py", {}, "process_failure", False, "ValueError: odd"),
    ("occ.py", {}, "process_failure", False, None),
    ("exit3.py", {}, "process_failure", False, "exit 3"),
    ("exit0.py", {}, "process_failure", False, "exit 0 without a result"),
    ("segv.py", {}, "process_failure", True, "signal 11 (SIGSEGV)"),
    ("abort.py", {}, "process_failure", True, "signal 6 (SIGABRT)"),
    ("loop.py", LIMITED, "timeout", False, "soft time limit"),
    ("native.py", LIMITED, "timeout", False, "soft time limit"),
    ("deaf.py", {"soft_ms": 2500, "hard_ms": 3000}, "timeout", True, "soft time limit ignored, killed"),
    ("memory.py", {"memory": 256 << 20}, "process_failure", True, "over its memory reservation"),
    ("global.py", {}, "success", False, ""),
    ("clean.py", {}, "success", False, ""),
    ("mesh.py", {}, "success", False, ""),
    ("shadow.py", {}, "process_failure", False, "PermissionError: [Errno 13] Permission denied: '/etc/shadow'"),
    ("connect.py", {}, "process_failure", False, "PermissionError: [Errno 13] Permission denied"),
    ("elsewhere.py", {}, "process_failure", False,
     "PermissionError: [Errno 13] Permission denied: '/var/tmp/jqmesh-left-behind'"),
    ("deep.py", {}, "process_failure", False, None),
    ("odd.py", {}, "process_failure", False, None),
    ("huge.py", {}, "process_failure", False, None),
    ("chatty.py", {}, "process_failure", None, None),
    ("fills.py", {}, "process_failure", None, None),
    ("leaves.py", {}, "success", False, ""),
    ("bomb.py", {"soft_ms": 500, "hard_ms": 700}, "timeout", None, None),
]


@unittest.skipUnless(FREECAD, "freecadcmd not found: apt-get install --no-install-recommends freecad-python3")
class Pathological(unittest.TestCase):
    """Whatever a task does, its outcome is clear, the next task is not touched by it, and the zygote is the same."""

    def with_scripts(self, place):
        folder = os.path.join(place.root.name, "scripts")
        shutil.copytree(SCRIPTS, folder)
        for name, text in BAD.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        return folder

    def test_every_end_is_clear_and_the_zygote_lives(self):
        with Place() as place:
            tasks = [(script, {}, limits) for script, limits, *_ in ENDS]
            outcomes, zygote = place.run(tasks, in_flight=2, scripts=self.with_scripts(place))
            for (script, _, name, crash, message), outcome in zip(ENDS, outcomes):
                with self.subTest(script):
                    self.assertEqual(outcome["outcome"], name, outcome)
                    if crash is not None:
                        self.assertEqual(outcome["crash"], crash, outcome)
                    if message is not None:
                        self.assertEqual(outcome["message"], message)
            self.assertEqual(json.loads(outcomes[11]["result"]), ["", []])
            self.assertEqual(outcomes[12]["result"], "true")
            self.assertEqual(zygote["restarts"], 0)
            self.assertIn("Fatal Python error: Segmentation fault", outcomes[4]["stderr"])

    @unittest.skipUnless(os.geteuid() == 0, "only a worker that is root can give its tasks another user")
    def test_tasks_of_a_root_worker_are_not_root(self):
        """As nobody a task still builds its parts, and cannot read what only root may."""
        with Place() as place:
            first, second = place.run([("variants.py", {"rows": FLANGES[:1]}), ("shadow.py", {})],
                                      scripts=self.with_scripts(place), uid=65534)[0]
            self.assertEqual(first["outcome"], "success", first)
            self.assertEqual(os.stat(os.path.join(place.outputs, "1", "dn15.step")).st_uid, 65534)
            self.assertRegex(second["message"], "PermissionError: .*shadow")

    def test_two_hundred_tasks_leave_nothing(self):
        """Forked tasks end without growth: no restart, no child, no file, and an empty one costs some milliseconds."""
        with Place() as place:
            outcomes, zygote = place.run([("idle.py", {})] * 200, in_flight=2, scripts=self.with_scripts(place))
            self.assertEqual({outcome["outcome"] for outcome in outcomes}, {"success"})
            self.assertEqual(zygote["restarts"], 0)
            self.assertEqual(zygote["children"], 1)
            self.assertEqual(os.listdir(place.outputs), [])
            state = os.path.join(place.root.name, "state")
            self.assertEqual(sorted(os.listdir(state)), ["children", "lock"])
            self.assertEqual(os.listdir(os.path.join(state, "children")), [])


if __name__ == "__main__":
    unittest.main()
