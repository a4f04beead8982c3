#!/usr/bin/env python3
"""Checks the lengths of functions (C and Python) and files: no function over 70 lines, 90th percentile at most 40.

A function's length is the number of lines from the first of its signature to its closing brace, all included. The
tables of tests in the main() of a cmocka program are exempt.
"""

import ast
import re

import tree

FUNCTION_LINES_MAX = 70
FUNCTION_LINES_P90 = 40
FILE_LINES_MAX = 700


def c_functions(code):
    """Yields (name, first line, length) of each function defined in `code` (see tree.without_preprocessor)."""
    depth = 0
    start = 0  # Where the present top-level declaration begins.
    opened = None
    for match in re.finditer(r"[{};]", code):
        char, at = match.group(), match.start()
        if char == "{":
            depth += 1
            if depth == 1:
                opened = signature(code, start, at)
        elif char == "}":
            depth -= 1
            if depth == 0 and opened:
                name, first = opened
                yield name, first, tree.line_of(code, at) - first + 1
        if depth == 0:
            start = at + 1


def signature(code, start, brace):
    """(name, line) if what stands before the brace at top level is the head of a function, else None."""
    head = code[start:brace]
    match = re.search(r"(\w+)\s*\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)\s*(?:__attribute__\s*\(\(.*\)\)\s*)?$", head, re.DOTALL)
    if not match or "=" in head[: match.start()]:
        return None
    begin = start + len(head) - len(head.lstrip())
    return match.group(1), tree.line_of(code, begin)


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def measure():
    """Yields (path, name, line, length) of every function of the tree."""
    for path in tree.files(".c", ".h", ".py"):
        text = tree.read(path)
        if path.endswith(".py"):
            found = python_functions(text)
        else:
            found = c_functions(tree.without_preprocessor(tree.code_only(text)))
        for name, line, length in found:
            if not (name == "main" and path.startswith(("tests/unit/", "tests/scenario/"))):
                yield path, name, line, length


def share(lengths, part):
    ordered = sorted(lengths)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else 0


def main():
    functions = list(measure())
    findings = [
        (path, line, f"{name} has {length} lines, at most {FUNCTION_LINES_MAX} are allowed")
        for path, name, line, length in functions
        if length > FUNCTION_LINES_MAX
    ]
    for path in tree.files(".c", ".h", ".py"):
        lines = tree.read(path).count("\n")
        if lines > FILE_LINES_MAX:
            findings.append((path, lines, f"the file has {lines} lines, at most {FILE_LINES_MAX} are allowed"))
    summaries = []
    for what, own in (("product", True), ("tests", False)):
        lengths = [length for path, _, _, length in functions if path.startswith("tests/") != own]
        p90 = share(lengths, 0.9)
        summaries.append(f"{what}: {len(lengths)} functions, median {share(lengths, 0.5)}, p90 {p90}, longest {max(lengths, default=0)}")
        if p90 > FUNCTION_LINES_P90:
            findings.append((what, 0, f"the 90th percentile of lengths is {p90}, at most {FUNCTION_LINES_P90} is allowed"))
    tree.finish("functions", findings, "; ".join(summaries))


main()
