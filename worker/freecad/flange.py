"""A flange: a disc with a bore and a circle of bolt holes. Its volume is known without any CAD:

    pi * thickness * ((outer_d/2)^2 - (bore_d/2)^2 - bolts * (bolt_d/2)^2)
"""

import math

import FreeCAD
import Part

import jqcad
from jqmesh import InvalidInput

PARAMETERS = ("outer_d", "bore_d", "thickness", "bolt_circle", "bolts", "bolt_d")
BOLTS_MAX = 64
SIZE_MM_MAX = 10000.0


def check(row):
    """The row's numbers, in mm; refused is what would not leave a disc with separate holes."""
    sizes = {name: jqcad.number(row, name, above=0.0, at_most=SIZE_MM_MAX) for name in PARAMETERS if name != "bolts"}
    bolts = jqcad.number(row, "bolts", at_least=0, at_most=BOLTS_MAX)
    if bolts != int(bolts):
        raise InvalidInput("bolts: must be a whole number")
    circle, bolt = sizes["bolt_circle"], sizes["bolt_d"]
    if sizes["bore_d"] >= sizes["outer_d"]:
        raise InvalidInput("bore_d: must be below outer_d")
    if bolts > 0 and circle + bolt >= sizes["outer_d"]:
        raise InvalidInput("bolt_circle: the bolt holes would cut the outer edge")
    if bolts > 0 and circle - bolt <= sizes["bore_d"]:
        raise InvalidInput("bolt_circle: the bolt holes would cut the bore")
    if bolts > 1 and circle * math.sin(math.pi / bolts) <= bolt:
        raise InvalidInput("bolts: the bolt holes would cut each other")
    return dict(sizes, bolts=int(bolts))


def build(sizes):
    """The solid, standing on the plane z = 0 around the z axis."""
    thickness = sizes["thickness"]
    disc = Part.makeCylinder(sizes["outer_d"] / 2, thickness)
    holes = [Part.makeCylinder(sizes["bore_d"] / 2, thickness)]
    for i in range(sizes["bolts"]):
        angle = 2 * math.pi * i / sizes["bolts"]
        at = FreeCAD.Vector(math.cos(angle), math.sin(angle), 0) * (sizes["bolt_circle"] / 2)
        holes.append(Part.makeCylinder(sizes["bolt_d"] / 2, thickness, at))
    return disc.cut(Part.makeCompound(holes))
