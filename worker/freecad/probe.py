"""Finds out, inside FreeCAD, what this installation is, and says it as facts (worker/freecad/probe.h) on descriptor 3.

The version is told as numbers: 0.20.2, 1.0.0, 1.1.0, 26.3.0. Modules are tried, not assumed: Path became CAM in 1.0, and
a module that is installed may still not load.
"""

import json
import os
import re
import struct
import sys
import traceback

REPLY_FD = 3
MODULES = ("Part", "Import", "Mesh", "MeshPart", "Sketcher", "PartDesign", "TechDraw", "Fem", "Path", "CAM", "Draft", "Arch",
           "BIM", "Spreadsheet", "Assembly", "ImportGui", "FreeCADGui")


def clean(text):
    return re.sub(r"[^A-Za-z0-9_.+-]", "", str(text))[:64]


def loads(name):
    try:
        __import__(name)
        return True
    except BaseException:  # a broken module may raise anything, and sys.exit()
        return False


def facts():
    import FreeCAD
    version = [int(re.match(r"\d*", part).group() or 0) for part in FreeCAD.Version()[:3]]
    found = {"freecad.version": ".".join(map(str, version)), "freecad.python": ".".join(map(str, sys.version_info[:3]))}
    loaded = [name for name in MODULES if loads(name)]
    if "Part" in loaded:
        import Part
        found["freecad.occ"] = clean(getattr(Part, "OCC_VERSION", ""))
    found.update({"freecad.module." + name.lower(): "yes" for name in loaded})
    return " ".join("%s=%s" % item for item in sorted(found.items()) if item[1])


def say(frame):
    body = json.dumps(frame).encode()
    os.write(REPLY_FD, struct.pack("<I", len(body)) + body)


try:
    say({"type": "result", "result": facts()})
    os._exit(0)
except BaseException as failure:
    traceback.print_exc()
    say({"type": "error", "class": "process_failure", "message": "%s: %s" % (type(failure).__name__, failure)})
    sys.stderr.flush()
    os._exit(1)
