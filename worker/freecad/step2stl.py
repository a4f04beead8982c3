"""step2stl: a triangle mesh (binary STL) of the solids in a STEP file.

    {"input": "/path/part.step", "output": "part.stl", "linear_mm": 0.1, "angular_rad": 0.5}

`input` may be left out where a file came with the task; `tolerance` is another word for `linear_mm`.
`output` is a name in the task's folder of output_dir. The mesh deviates from the shape by at most linear_mm, and its facets from each other
by at most angular_rad, on curved faces.
"""

import os

import jqcad


def run(params, ctx):
    jqcad.refuse_unknown(params, ("input", "output", "linear_mm", "tolerance", "angular_rad"))
    linear = jqcad.number(params, "tolerance" if "tolerance" in params else "linear_mm", 0.1, above=0.0)
    angular = jqcad.number(params, "angular_rad", 0.5, above=0.0, at_most=3.0)
    path = jqcad.input_path(params, ctx=ctx)
    stem = os.path.splitext(os.path.basename(path))[0][:60]
    name = jqcad.file_name(params.get("output", stem + ".stl"), "output")
    target = os.path.join(ctx.require_output_dir(), name)
    shape = jqcad.read_step(path)
    ctx.progress(0.3, "read")
    mesh = jqcad.mesh_of(shape, linear, angular)
    ctx.progress(0.8, "meshed")
    mesh.write(target, "STL")
    return {
        "stl": os.path.join(ctx.final_dir, name),
        "bytes": os.path.getsize(target),
        "facets": mesh.CountFacets,
        "points": mesh.CountPoints,
        "closed": mesh.isSolid(),
        "mesh_volume_mm3": mesh.Volume,
        "volume_mm3": sum(solid.Volume for solid in shape.Solids),
    }
