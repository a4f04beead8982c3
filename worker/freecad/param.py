"""param: a parametric FreeCAD document with other values in its spreadsheets: recomputed, saved, and as STEP.

    {"input": "/path/bracket.FCStd", "parameters": {"Spreadsheet.length": 120, "Spreadsheet.B3": "5 mm"},
     "output": "bracket", "object": "Body", "density_g_cm3": 7.85}

A parameter is SPREADSHEET.ALIAS or SPREADSHEET.CELL; values are numbers or FreeCAD's own expressions without '=' (a text stands
in << >>). `object` is what becomes the STEP file, by its name or label; without it, every solid that no other object is made of.
Writes OUTPUT.FCStd and OUTPUT.step, never over the input. FreeCAD without its window keeps no colours: they are not in what is
saved.
"""

import os
import re

import FreeCAD
import Part

import jqcad
from jqmesh import Failure, InvalidInput

PARAMETERS_MAX = 500
CELL = re.compile(r"[A-Z]{1,2}[1-9][0-9]{0,4}")
WORDS_MAX = 200


def check_value(value, field):
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise InvalidInput("%s: must be a number or a text" % field)
    if isinstance(value, str) and (not value or len(value) > WORDS_MAX or value.startswith("=") or "\n" in value):
        raise InvalidInput("%s: must be 1 to %d characters on one line, without a '='" % (field, WORDS_MAX))
    return "=" + value if isinstance(value, str) else repr(value)


def check_parameters(params):
    given = params.get("parameters")
    if not isinstance(given, dict) or not 1 <= len(given) <= PARAMETERS_MAX:
        raise InvalidInput("parameters: must be a map of 1 to %d values" % PARAMETERS_MAX)
    checked = []
    for name, value in given.items():
        sheet, dot, cell = str(name).partition(".")
        if not dot or not sheet or not cell:
            raise InvalidInput("parameters: %s: is not written SPREADSHEET.ALIAS" % str(name)[:60])
        checked.append((sheet, cell, check_value(value, "parameters: %s" % str(name)[:60])))
    return checked


def open_document(path):
    try:
        return FreeCAD.openDocument(path, True)
    except Exception as error:  # a damaged archive may raise anything
        raise InvalidInput("not a FreeCAD document that can be read: %s: %s" % (path, error)) from None


def sheets_of(document):
    return {name: item for item in document.findObjects("Spreadsheet::Sheet") for name in (item.Label, item.Name)}


def set_parameters(document, parameters):
    sheets = sheets_of(document)
    for sheet, cell, value in parameters:
        if sheet not in sheets:
            raise InvalidInput("parameters: no spreadsheet %s; there are %s" % (sheet, ", ".join(sorted(sheets)) or "none"))
        place = sheets[sheet].getCellFromAlias(cell) or (cell if CELL.fullmatch(cell) else None)
        if place is None:
            raise InvalidInput("parameters: %s has no alias %s" % (sheet, cell[:60]))
        sheets[sheet].set(place, value)


def recompute(document):
    """Every object is new and valid; FreeCAD itself only prints what failed."""
    document.recompute(None, True)
    bad = [item.Label for item in document.Objects if "Invalid" in item.State or not item.isValid()]
    if bad:
        raise InvalidInput("recomputing failed with these parameters: %s" % ", ".join(bad[:10]))


def solids_of(item):
    shape = getattr(item, "Shape", None)
    return shape.Solids if shape is not None and not shape.isNull() else []


def result_of(document, name):
    """The shape of what was asked for."""
    items = [item for item in document.Objects if name in (item.Name, item.Label)] if name is not None else [
        item for item in document.Objects if solids_of(item) and not any(solids_of(user) for user in item.InList)]
    solids = [solid for item in items for solid in solids_of(item)]
    if name is not None and not items:
        raise InvalidInput("object: there is no %s" % str(name)[:60])
    if not solids:
        raise InvalidInput("object: no solid in %s" % (name or "the document"))
    return solids[0] if len(solids) == 1 else Part.makeCompound(solids)


def run(params, ctx):
    jqcad.refuse_unknown(params, ("input", "parameters", "output", "object", "density_g_cm3"))
    parameters = check_parameters(params)
    density = jqcad.number(params, "density_g_cm3", above=0.0) if "density_g_cm3" in params else None
    path = jqcad.input_path(params, ctx=ctx)
    name = jqcad.file_name(params.get("output", os.path.splitext(os.path.basename(path))[0][:60]), "output")
    folder = ctx.require_output_dir()
    document = open_document(jqcad.with_extension(path, (".fcstd",)))
    ctx.progress(0.2, "read")
    set_parameters(document, parameters)
    recompute(document)
    ctx.progress(0.7, "recomputed")
    shape = result_of(document, params.get("object"))
    shape.exportStep(os.path.join(folder, name + ".step"))
    document.saveAs(os.path.join(folder, name + ".FCStd"))
    for ending in (".step", ".FCStd"):
        if os.path.getsize(os.path.join(folder, name + ending)) == 0:
            raise Failure("%s%s was written empty" % (name, ending))
    return dict(jqcad.mass_report(shape, density), step=os.path.join(ctx.final_dir, name + ".step"),
                document=os.path.join(ctx.final_dir, name + ".FCStd"))
