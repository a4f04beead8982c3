"""interference: which parts of an assembly cut into each other, and by how much; which come closer than they should.

    {"parts": [{"name": "flange", "input": "/path/flange.step"},
               {"name": "bolt", "input": "/path/bolt.step", "at": [62.5, 0, 0], "axis": [0, 0, 1], "angle_deg": 45}],
     "clearance_mm": 0.5, "volume_min_mm3": 0.001}

`at` moves a part in mm, after it was turned about `axis` through the origin. Common volumes above volume_min_mm3 are interferences;
pairs that are apart by less than clearance_mm (0: not asked) are told with their distance.
"""

import itertools

import FreeCAD

import jqcad
from jqmesh import InvalidInput

PARTS_MAX = 100


def vector_of(value, field):
    if not isinstance(value, list) or len(value) != 3:
        raise InvalidInput("%s: must be a list of three numbers" % field)
    return FreeCAD.Vector(*[jqcad.number({"x": x}, "x") for x in value])


def place(part, shape):
    axis = vector_of(part.get("axis", [0, 0, 1]), "axis")
    if axis.Length == 0:
        raise InvalidInput("axis: must not be zero")
    turn = FreeCAD.Rotation(axis, jqcad.number(part, "angle_deg", 0.0))
    shape.Placement = FreeCAD.Placement(vector_of(part.get("at", [0, 0, 0]), "at"), turn).multiply(shape.Placement)
    return shape


def check_parts(params, ctx):
    """Everything that can be refused is refused before the first model is read."""
    parts = params.get("parts")
    if not isinstance(parts, list) or not 2 <= len(parts) <= PARTS_MAX:
        raise InvalidInput("parts: must be a list of 2 to %d parts" % PARTS_MAX)
    names = set()
    for index, part in enumerate(parts):
        try:
            if not isinstance(part, dict):
                raise InvalidInput("must be a map")
            jqcad.refuse_unknown(part, ("name", "input", "at", "axis", "angle_deg"))
            name = jqcad.file_name(part.get("name"), "name")
            if name in names:
                raise InvalidInput("name: %s stands twice" % name)
            names.add(name)
            jqcad.input_path(part, ctx=ctx)
        except InvalidInput as error:
            raise InvalidInput("parts[%d]: %s" % (index, error)) from None
    return parts


def boxes_near(one, other, distance):
    one, other = one.BoundBox, other.BoundBox
    return all(getattr(one, axis + "Min") - distance <= getattr(other, axis + "Max") and
               getattr(other, axis + "Min") - distance <= getattr(one, axis + "Max") for axis in "XYZ")


def compare(one, other, clearance, volume_min):
    """(common volume, distance or None)"""
    if not boxes_near(one, other, clearance):
        return 0.0, None
    volume = sum(solid.Volume for solid in one.common(other).Solids) if boxes_near(one, other, 0.0) else 0.0
    if volume > volume_min or clearance == 0.0:
        return volume, None
    distance = one.distToShape(other)[0]
    return volume, distance if distance < clearance else None


def run(params, ctx):
    jqcad.refuse_unknown(params, ("parts", "clearance_mm", "volume_min_mm3"))
    clearance = jqcad.number(params, "clearance_mm", 0.0, at_least=0.0)
    volume_min = jqcad.number(params, "volume_min_mm3", 0.001, at_least=0.0)
    parts = check_parts(params, ctx)
    shapes = [(part["name"], place(part, jqcad.read_step(jqcad.input_path(part, ctx=ctx)))) for part in parts]
    pairs = list(itertools.combinations(shapes, 2))
    interferences, close = [], []
    for index, ((name, one), (other_name, other)) in enumerate(pairs):
        ctx.progress(index / len(pairs), "%s and %s" % (name, other_name))
        volume, distance = compare(one, other, clearance, volume_min)
        if volume > volume_min:
            interferences.append({"parts": [name, other_name], "volume_mm3": volume})
        elif distance is not None:
            close.append({"parts": [name, other_name], "distance_mm": distance})
    return {"parts": len(parts), "pairs": len(pairs), "interferences": interferences, "close": close}
