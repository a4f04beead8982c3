"""variants: the variants of a parametric part from a table: STEP, STL and a mass report (JSON) of each, with progress.

    {"part": "flange", "density_g_cm3": 7.85, "linear_mm": 0.1,
     "rows": [{"name": "dn50", "outer_d": 165, "bore_d": 60, "thickness": 20, "bolt_circle": 125, "bolts": 4, "bolt_d": 18}, ...]}

Files go to the task's folder of output_dir, as NAME.step, NAME.stl and NAME.json. All rows are checked before the first is built.
"""

import json
import os

import Part

import flange
import jqcad
from jqmesh import Failure, InvalidInput

PARTS = {"flange": flange}
ROWS_MAX = 200


def check_rows(params, part):
    rows = params.get("rows")
    if not isinstance(rows, list) or not 1 <= len(rows) <= ROWS_MAX:
        raise InvalidInput("rows: must be a list of 1 to %d variants" % ROWS_MAX)
    checked = {}
    for index, row in enumerate(rows):
        try:
            if not isinstance(row, dict):
                raise InvalidInput("must be a map")
            jqcad.refuse_unknown(row, ("name",) + part.PARAMETERS)
            name = jqcad.file_name(row.get("name"), "name")
            if name in checked:
                raise InvalidInput("name: %s stands twice" % name)
            checked[name] = part.check(row)
        except InvalidInput as error:
            raise InvalidInput("rows[%d]: %s" % (index, error)) from None
    return checked


def write_variant(folder, name, shape, report, mesh):
    shape.exportStep(os.path.join(folder, name + ".step"))
    mesh.write(os.path.join(folder, name + ".stl"), "STL")
    with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
    for ending in (".step", ".stl"):
        if os.path.getsize(os.path.join(folder, name + ending)) == 0:
            raise Failure("%s%s was written empty" % (name, ending))


def run(params, ctx):
    jqcad.refuse_unknown(params, ("part", "density_g_cm3", "linear_mm", "angular_rad", "rows"))
    part = PARTS.get(params.get("part", "flange"))
    if part is None:
        raise InvalidInput("part: must be one of %s" % ", ".join(sorted(PARTS)))
    density = jqcad.number(params, "density_g_cm3", 7.85, above=0.0)
    linear = jqcad.number(params, "linear_mm", 0.1, above=0.0)
    angular = jqcad.number(params, "angular_rad", 0.5, above=0.0, at_most=3.0)
    rows = check_rows(params, part)
    folder = ctx.require_output_dir()
    built = []
    for index, (name, sizes) in enumerate(rows.items()):
        ctx.progress(index / len(rows), "%d of %d: %s" % (index + 1, len(rows), name))
        shape = part.build(sizes)
        report = dict(jqcad.mass_report(shape, density), name=name, parameters=sizes)
        mesh = jqcad.mesh_of(shape, linear, angular)
        report["facets"] = mesh.CountFacets
        write_variant(folder, name, shape, report, mesh)
        built.append({"name": name, "volume_mm3": report["volume_mm3"], "mass_g": report["mass_g"],
                      "facets": report["facets"]})
    return {"dir": ctx.final_dir, "count": len(built), "parts": built}
