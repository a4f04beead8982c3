"""What every check shares: the files of the tree, C text without comments and strings, and how a finding is printed."""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ("common", "broker", "worker", "tools", "tests")


def files(*suffixes, folders=FOLDERS):
    """Paths relative to the root, sorted."""
    found = []
    for folder in folders:
        for place, below, names in os.walk(os.path.join(ROOT, folder)):
            below[:] = [name for name in below if not name.startswith((".", "__"))]
            found += [os.path.join(place, name) for name in names if name.endswith(suffixes) and name[0] != "."]
    return sorted(os.path.relpath(path, ROOT) for path in found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//(?:\\\n|[^\n])*)|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""", re.DOTALL
)


def code_only(text):
    """C text in which comments are blanks and strings are empty; every line keeps its number."""

    def blank(match):
        if match.group("string"):
            return match.group("string")[0] * 2
        return re.sub(r"[^\n]", " ", match.group("comment"))

    return TOKEN.sub(blank, text)


def without_preprocessor(code):
    """The same without directives (and their continued lines)."""
    return re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", lambda match: re.sub(r"[^\n]", "", match.group()), code, flags=re.MULTILINE)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def finish(name, findings, summary=""):
    """Prints `file:line: rule` for each finding and exits: 0 if there is none."""
    for path, line, rule in findings:
        print(f"{path}:{line}: {rule}")
    print(f"{name}: {len(findings)} findings{'; ' + summary if summary else ''}")
    sys.exit(1 if findings else 0)
