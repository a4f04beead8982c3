"""massprops: volume, area, bounding box, centre of mass and inertia of the solids in a STEP file.

    {"input": "/path/part.step", "density_g_cm3": 7.85}        the density may be missing
"""

import jqcad


def run(params, ctx):
    jqcad.refuse_unknown(params, ("input", "density_g_cm3"))
    density = jqcad.number(params, "density_g_cm3", above=0.0) if "density_g_cm3" in params else None
    shape = jqcad.read_step(jqcad.input_path(params, ctx=ctx))
    ctx.progress(0.5, "read")
    return jqcad.mass_report(shape, density)
