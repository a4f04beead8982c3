"""What the stock handlers share: reading parameters that came from outside, reading models, writing outputs."""

import math
import os
import re

import FreeCAD
import MeshPart
import Part

from jqmesh import Failure, InvalidInput

MODEL_SIZE_MAX = 2 << 30
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def number(params, name, default=None, above=None, at_least=None, at_most=None):
    """A finite number within its bounds."""
    value = params.get(name, default)
    if value is None:
        raise InvalidInput("%s: missing" % name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InvalidInput("%s: must be a number" % name)
    if above is not None and not value > above:
        raise InvalidInput("%s: is %g, must be above %g" % (name, value, above))
    if at_least is not None and value < at_least:
        raise InvalidInput("%s: is %g, must be at least %g" % (name, value, at_least))
    if at_most is not None and value > at_most:
        raise InvalidInput("%s: is %g, must be at most %g" % (name, value, at_most))
    return value


def file_name(value, field):
    """A name that stays in its directory."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise InvalidInput("%s: must be a file name of letters, digits, '_', '.', '-', at most 64" % field)
    return value


def refuse_unknown(params, known):
    for name in params:
        if name not in known:
            raise InvalidInput("%s: unknown parameter; known are %s" % (str(name)[:40], ", ".join(known)))


def input_path(params, name="input", ctx=None):
    """The file that a parameter names: a path, or an input that came with the task; without one, the input of its name, or the only one."""
    path = params.get(name)
    if ctx is not None and ctx.inputs:
        only = next(iter(ctx.inputs.values())) if len(ctx.inputs) == 1 else None
        path = ctx.inputs.get(name, only) if path is None else ctx.inputs.get(path, path) if isinstance(path, str) else path
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
        raise InvalidInput("%s: must be the absolute path of a file" % name)
    if not os.path.isfile(path):
        raise InvalidInput("%s: no such file: %s" % (name, path))
    if os.path.getsize(path) > MODEL_SIZE_MAX:
        raise InvalidInput("%s: larger than %d bytes: %s" % (name, MODEL_SIZE_MAX, path))
    return path


def with_extension(path, extensions):
    """A name by which FreeCAD knows what it reads: files that came with a task are named by the task."""
    if path.lower().endswith(extensions) or os.path.basename(os.path.dirname(path)) != "inputs":
        return path
    if not os.path.lexists(path + extensions[0]):
        os.symlink(path, path + extensions[0])
    return path + extensions[0]


def read_step(path):
    """The shape in a STEP file; it has at least one solid."""
    shape = Part.Shape()
    try:
        shape.read(with_extension(path, (".step", ".stp")))
    except Exception as error:  # Part's own exceptions differ between versions
        raise InvalidInput("not a STEP file that can be read: %s: %s" % (path, error)) from None
    if not shape.Solids:
        raise InvalidInput("no solid in %s" % path)
    return shape


def mesh_of(shape, linear_mm, angular_rad):
    """Triangles of all faces. OCC may fail by making none, without a word."""
    mesh = MeshPart.meshFromShape(Shape=shape, LinearDeflection=linear_mm, AngularDeflection=angular_rad, Relative=False)
    if mesh.CountFacets == 0:
        raise Failure("the mesh has no triangles")
    return mesh


def vector(value):
    return [value.x, value.y, value.z]


def mass_report(shape, density_g_cm3=None):
    """Volume, area, bounding box, centre of mass and inertia of the solids, in mm; with a density also the mass in g."""
    solids = Part.makeCompound(shape.Solids)
    # Of one solid its own figures; of several, the sum of theirs, moved to the common centre.
    volume = sum(solid.Volume for solid in shape.Solids)
    centre = FreeCAD.Vector()
    for solid in shape.Solids:
        centre += solid.CenterOfMass * (solid.Volume / volume)
    box = solids.optimalBoundingBox()
    report = {
        "solids": len(shape.Solids),
        "faces": len(solids.Faces),
        "volume_mm3": volume,
        "area_mm2": sum(solid.Area for solid in shape.Solids),
        "centre_of_mass_mm": vector(centre),
        "bounding_box_mm": [box.XMin, box.YMin, box.ZMin, box.XMax, box.YMax, box.ZMax],
        "inertia_mm5": inertia(shape.Solids, centre),
    }
    if density_g_cm3 is not None:
        report["mass_g"] = volume / 1000.0 * density_g_cm3
    return report


def inertia(solids, centre):
    """The 3 x 3 tensor about `centre` for density 1 (mm^5): each solid's own, and Steiner's share."""
    total = [[0.0] * 3 for _ in range(3)]
    for solid in solids:
        own = solid.MatrixOfInertia
        rows = ((own.A11, own.A12, own.A13), (own.A21, own.A22, own.A23), (own.A31, own.A32, own.A33))
        offset = vector(solid.CenterOfMass - centre)
        square = sum(x * x for x in offset)
        for i in range(3):
            for j in range(3):
                steiner = (square if i == j else 0.0) - offset[i] * offset[j]
                total[i][j] += rows[i][j] + solid.Volume * steiner
    return total
