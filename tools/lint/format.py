#!/usr/bin/env python3
"""Formats all C sources in place, or with --check says which lines clang-format would change."""

import re
import subprocess
import sys

import tree


def check(files):
    done = subprocess.run(
        ["clang-format", "--dry-run", *files], cwd=tree.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = sorted(set(re.findall(r"^(.+?):(\d+):\d+: warning: ", done.stdout, re.MULTILINE)))
    first = {}
    for path, line in lines:
        first.setdefault(path, []).append(int(line))
    findings = [(path, min(where), f"{len(where)} lines are not as clang-format has them") for path, where in first.items()]
    if done.returncode != 0:
        findings.append(("clang-format", 0, done.stdout.strip()))
    tree.finish("clang-format", findings, "`tools/dev fmt` formats" if findings else "")


def main():
    files = tree.files(".c", ".h")
    if "--check" in sys.argv[1:]:
        check(files)
    subprocess.run(["clang-format", "-i", *files], cwd=tree.ROOT, check=True)


if __name__ == "__main__":
    main()
