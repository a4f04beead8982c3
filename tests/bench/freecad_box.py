"""The CAD task of the benchmark: a box cut by a cylinder, its volume checked, STEP and STL written into the work dir."""

import math
import os


def work():
    import FreeCAD
    import MeshPart
    import Part
    shape = Part.makeBox(40, 30, 20).cut(Part.makeCylinder(8, 20, FreeCAD.Vector(20, 15, 0)))
    expected = 40 * 30 * 20 - math.pi * 64 * 20
    if abs(shape.Volume - expected) > 1e-6 * expected:
        raise ValueError("volume %r, expected %r" % (shape.Volume, expected))
    shape.exportStep("box.step")
    mesh = MeshPart.meshFromShape(Shape=shape, LinearDeflection=0.1, AngularDeflection=0.5, Relative=False)
    mesh.write("box.stl", "STL")
    if min(os.path.getsize("box.step"), os.path.getsize("box.stl")) < 5000:
        raise ValueError("files too small")
    return {"volume_mm3": shape.Volume, "facets": mesh.CountFacets}


def run(params, ctx):
    return work()
