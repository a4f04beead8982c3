"""drawing: the views of a part on one sheet, as SVG and DXF, in mm, at full size.

    {"input": "/path/part.step", "output": "part", "views": ["front", "top", "right", "iso"], "hidden": true}

The places are those of third-angle projection: the top view stands above the front view, the right one to its right; others follow
below. `hidden` draws hidden edges too (SVG: dashed). Writes OUTPUT.svg and OUTPUT.dxf.
"""

import os

import FreeCAD
import TechDraw

import jqcad
import jqview
from jqmesh import Failure, InvalidInput

GAP_SHARE, MARGIN_MM = 0.15, 5.0
COLUMNS = {"left": 0, "front": 1, "top": 1, "bottom": 1, "right": 2, "back": 3, "iso": 2}
ROWS = {"top": 0, "iso": 0, "front": 1, "left": 1, "right": 1, "back": 1, "bottom": 2}


def check_views(params):
    views = params.get("views", ["front", "top", "right", "iso"])
    if not isinstance(views, list) or not 1 <= len(views) <= len(jqview.VIEWS) or len(set(map(str, views))) != len(views):
        raise InvalidInput("views: must be a list of different views")
    return [jqview.check(view, "views[%d]" % index) for index, view in enumerate(views)]


def offsets(sizes, gap):
    """Where each column (or row) begins, from the largest view in it."""
    places, at = {}, 0.0
    for index in sorted(sizes):
        places[index] = at
        at += sizes[index] + gap
    return places, at - gap


def lay_out(shapes):
    """Moves each view to its place; (shapes, width, height) of a sheet whose lower left corner is 0, 0."""
    boxes = {name: shape.optimalBoundingBox() for name, shape in shapes.items()}
    gap = GAP_SHARE * max(max(box.XLength, box.YLength) for box in boxes.values())
    widths, heights = {}, {}
    for name, box in boxes.items():
        widths[COLUMNS[name]] = max(widths.get(COLUMNS[name], 0.0), box.XLength)
        heights[ROWS[name]] = max(heights.get(ROWS[name], 0.0), box.YLength)
    columns, width = offsets(widths, gap)
    rows, height = offsets(heights, gap)
    for name, shape in shapes.items():
        box = boxes[name]
        x = columns[COLUMNS[name]] + (widths[COLUMNS[name]] - box.XLength) / 2 - box.XMin
        y = height - rows[ROWS[name]] - (heights[ROWS[name]] + box.YLength) / 2 - box.YMin
        shape.Placement = FreeCAD.Placement(FreeCAD.Vector(x, y, 0), FreeCAD.Rotation()).multiply(shape.Placement)
    return width, height


def svg_of(shapes, width, height, hidden):
    towards = FreeCAD.Vector(0, 0, 1)
    thick, thin = {"stroke-width": "0.35"}, {"stroke-width": "0.18", "stroke-dasharray": "1.5,0.75"}
    groups = []
    for name, shape in shapes.items():
        kind = "ShowHiddenLines" if hidden else ""
        lines = TechDraw.projectToSVG(shape, towards, kind, 0.1, thick, thick, thick, thin, thin, thin)
        groups.append('<g id="%s">\n%s</g>\n' % (name, lines))
    return ('<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="%gmm" height="%gmm" '
            'viewBox="%g %g %g %g">\n%s</svg>\n' %
            (width + 2 * MARGIN_MM, height + 2 * MARGIN_MM, -MARGIN_MM, -height - MARGIN_MM, width + 2 * MARGIN_MM,
             height + 2 * MARGIN_MM, "".join(groups)))


def dxf_of(shapes, hidden):
    kind = "ShowHiddenLines" if hidden else ""
    entities = "".join(TechDraw.projectToDXF(shape, FreeCAD.Vector(0, 0, 1), kind) for shape in shapes.values())
    return "0\nSECTION\n2\nENTITIES\n" + entities.rstrip("\n") + "\n0\nENDSEC\n0\nEOF\n"


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return os.path.getsize(path)


def run(params, ctx):
    jqcad.refuse_unknown(params, ("input", "output", "views", "hidden"))
    views = check_views(params)
    hidden = params.get("hidden", False)
    if not isinstance(hidden, bool):
        raise InvalidInput("hidden: must be true or false")
    path = jqcad.input_path(params, ctx=ctx)
    name = jqcad.file_name(params.get("output", os.path.splitext(os.path.basename(path))[0][:60]), "output")
    folder = ctx.require_output_dir()
    shape = jqcad.read_step(path)
    ctx.progress(0.2, "read")
    shapes = {view: jqview.turned(shape, view) for view in views}
    width, height = lay_out(shapes)
    svg = svg_of(shapes, width, height, hidden)
    ctx.progress(0.6, "drawn")
    if "<path" not in svg and "<circle" not in svg:
        raise Failure("the drawing has no lines")
    write(folder, name + ".svg", svg)
    write(folder, name + ".dxf", dxf_of(shapes, hidden))
    return {"svg": os.path.join(ctx.final_dir, name + ".svg"), "dxf": os.path.join(ctx.final_dir, name + ".dxf"),
            "views": views, "width_mm": width, "height_mm": height}
