"""Views of a shape as a draughtsman names them. In a view, x points right, y up, and z towards the eye."""

import FreeCAD

from jqmesh import InvalidInput

# name: (right, up, towards the eye)
VIEWS = {
    "front": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "back": ((-1, 0, 0), (0, 0, 1), (0, 1, 0)),
    "top": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "bottom": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "right": ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
    "left": ((0, -1, 0), (0, 0, 1), (-1, 0, 0)),
    "iso": ((1, 1, 0), (-1, 1, 2), (1, -1, 1)),
}


def check(name, field):
    if name not in VIEWS:
        raise InvalidInput("%s: must be one of %s" % (field, ", ".join(VIEWS)))
    return name


def matrix(name):
    """Turns coordinates of the model into those of the view."""
    rows = []
    for row in VIEWS[name]:
        length = sum(x * x for x in row) ** 0.5
        rows.append([x / length for x in row])
    (a, b, c), (d, e, f), (g, h, i) = rows
    return FreeCAD.Matrix(a, b, c, 0, d, e, f, 0, g, h, i, 0, 0, 0, 0, 1)


def turned(shape, name):
    """A copy as the eye sees it."""
    copy = shape.copy()
    copy.Placement = FreeCAD.Placement(matrix(name)).multiply(shape.Placement)
    return copy
