"""thumbnail: a small shaded picture (PNG) of the solids in a STEP file, without a display.

    {"input": "/path/part.step", "output": "part.png", "width": 256, "height": 256, "view": "iso"}

The background is transparent. Facets are painted from the farthest to the nearest, at twice the size, then scaled down.
"""

import os

import numpy
from PIL import Image, ImageDraw

import jqcad
import jqview

SIZE_MAX = 2048
DETAIL = 300.0  # Facets deviate by the model's diagonal divided by this.
MARGIN, SCALE_UP = 0.06, 2
LIGHT = numpy.array([0.35, 0.45, 0.82])
COLOUR = numpy.array([142, 160, 184])


def facets_of(shape, view):
    """Corners (n, 3, 3) in the view's coordinates, the farthest facet first."""
    diagonal = shape.BoundBox.DiagonalLength
    mesh = jqcad.mesh_of(jqview.turned(shape, view), diagonal / DETAIL, 0.3)
    points = numpy.array([[point.x, point.y, point.z] for point in mesh.Points])
    corners = points[numpy.array([facet.PointIndices for facet in mesh.Facets])]
    return corners[numpy.argsort(corners[:, :, 2].max(axis=1), kind="stable")]


def shades_of(corners):
    normals = numpy.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = numpy.linalg.norm(normals, axis=1)
    normals = normals / numpy.where(lengths > 0, lengths, 1)[:, None]
    seen = normals[:, 2] > 0
    light = 0.35 + 0.65 * numpy.clip(normals @ (LIGHT / numpy.linalg.norm(LIGHT)), 0, 1)
    return seen, (light[:, None] * COLOUR).astype(int)


def paint(corners, width, height):
    low, high = corners.reshape(-1, 3).min(axis=0)[:2], corners.reshape(-1, 3).max(axis=0)[:2]
    scale = min(width * (1 - 2 * MARGIN) / (high[0] - low[0]), height * (1 - 2 * MARGIN) / (high[1] - low[1]))
    middle = (low + high) / 2
    flat = (corners[:, :, :2] - middle) * scale * [1, -1] + [width / 2, height / 2]
    seen, shades = shades_of(corners)
    image = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for triangle, shade in zip(flat[seen], shades[seen]):
        colour = tuple(int(x) for x in shade) + (255,)
        draw.polygon([tuple(point) for point in triangle], fill=colour, outline=colour)
    return image


def run(params, ctx):
    jqcad.refuse_unknown(params, ("input", "output", "width", "height", "view"))
    width = int(jqcad.number(params, "width", 256, at_least=16, at_most=SIZE_MAX))
    height = int(jqcad.number(params, "height", 256, at_least=16, at_most=SIZE_MAX))
    view = jqview.check(params.get("view", "iso"), "view")
    path = jqcad.input_path(params, ctx=ctx)
    stem = os.path.splitext(os.path.basename(path))[0][:60]
    name = jqcad.file_name(params.get("output", stem + ".png"), "output")
    target = os.path.join(ctx.require_output_dir(), name)
    shape = jqcad.read_step(path)
    ctx.progress(0.3, "read")
    corners = facets_of(shape, view)
    ctx.progress(0.6, "meshed")
    image = paint(corners, width * SCALE_UP, height * SCALE_UP).resize((width, height), Image.LANCZOS)
    image.save(target, "PNG")
    return {"png": os.path.join(ctx.final_dir, name), "bytes": os.path.getsize(target), "width": width, "height": height,
            "facets": len(corners)}
