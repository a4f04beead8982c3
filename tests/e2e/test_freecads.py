#!/usr/bin/env python3
"""Several FreeCAD installations of one machine: a worker each, which says what its installation is; a task chooses by its need.

The installations are stand-ins: Python with modules of FreeCAD's names, run by the worker as it would run FreeCAD.
"""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import BIN, TestCase, wait_until

PYTHON = "/usr/bin/python3"
SCRIPTS = os.path.join(os.environ.get("JQ_PREFIX") or os.path.dirname(BIN), "share/jqmesh/freecad")
INSTALLATION = """
import sys, types
def module(name, **members):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(members)
module("FreeCAD", Version=lambda: {version!r}, ConfigSet=lambda *_: None, ConfigGet=lambda *_: "")
for name in ("Part", "Import", "Mesh", "MeshPart"):
    module(name)
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), {{"__name__": "__main__"}})
"""
HANDLER = """
def run(params, ctx):
    import FreeCAD
    return ".".join(FreeCAD.Version()[:3])
"""


@unittest.skipUnless(os.path.exists(PYTHON), "no Python of the system")
class FreeCads(TestCase):
    def start(self, name, version):
        program = self.bed.write(name + ".py", INSTALLATION.format(version=version))
        worker = self.bed.new_worker(name, {"cad.version": f"kind = freecad\nscript = {self.script}\n"}, {
            "freecad.command": f"{PYTHON} {program} {{runner}}", "freecad.scripts_dir": SCRIPTS})
        worker.start()
        self.bed.wait_for_worker(name)
        return worker

    def facts(self, name):
        return self.bed.ask("worker", "show", name)["item"]["facts"]

    def ran_on(self, need):
        task = self.bed.submit("cad.version", "--need", need)
        result = self.bed.wait_for_state(task, "succeeded")["detail"]["result"]
        return result.get("text", result) if isinstance(result, dict) else result

    def test_a_need_chooses_the_installation(self):
        """`freecad.version>=0.20 freecad.version<1.1` goes to 0.20.2 and not to 1.1; both are told as facts, by versions and not by text."""
        self.bed.start_broker()
        self.script = self.bed.write("version.py", HANDLER)
        self.start("old", ["0", "20", "2", "29177"])
        new = self.start("new", ["1", "1", "0", "40000"])
        wait_until("both are known", lambda: all("freecad.version" in self.facts(name) for name in ("old", "new")))
        self.assertEqual([self.facts(name)["freecad.version"] for name in ("old", "new")], ["0.20.2", "1.1.0"])
        self.assertIn("0.20.2", str(self.ran_on("freecad.version>=0.20 freecad.version<1.1")))
        self.assertIn("1.1.0", str(self.ran_on("freecad.version>=1.1")))
        self.assertEqual(new.stop(), 0)
        task = self.bed.submit("cad.version", "--need", "freecad.version>=1.1")
        code, out, _ = self.bed.run_jqctl("task", "explain", task)
        self.assertEqual(code, 0)
        self.assertIn("old does not meet freecad.version>=1.1", out)


if __name__ == "__main__":
    unittest.main()
