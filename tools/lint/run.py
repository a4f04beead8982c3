#!/usr/bin/env python3
"""Runs every check: run.py COMMON_ARCHIVE PURE_ARCHIVE... Each prints `file:line: rule`; exit 1 if one found anything."""

import os
import subprocess
import sys
import time

import tree

HERE = os.path.dirname(os.path.abspath(__file__))


def script(name, *args):
    return [sys.executable, os.path.join(HERE, name), *args]


def cppcheck():
    build = os.path.join(tree.ROOT, ".zig-cache", "cppcheck")
    os.makedirs(build, exist_ok=True)
    folders = [folder for folder in ("common", "broker", "worker", "tools/jqctl") if tree.files(".c", folders=[folder])]
    return [
        "cppcheck", "--quiet", "-j2", "--std=c11", "--language=c", "-I.", "--inline-suppr", "--error-exitcode=1",
        "--enable=warning,performance,portability", f"--cppcheck-build-dir={build}",
        # clang's analyzer finds uninitialised variables too, and sees which calls set them.
        "--suppress=missingIncludeSystem", "--suppress=uninitvar",
        "--template={file}:{line}: {severity}: {message} [{id}]", *folders,
    ] if folders else ["true"]


def checks(archives):
    return [
        ("clang-format", script("format.py", "--check")),
        ("layers", script("layers.py")),
        ("banned", script("banned.py")),
        ("functions", script("functions.py")),
        ("symbols", script("symbols.py", *archives) if archives else ["true"]),
        ("cppcheck", cppcheck()),
        ("clang-tidy", script("tidy.py")),
    ]


def main():
    failed = []
    for name, command in checks([os.path.abspath(path) for path in sys.argv[1:]]):
        started = time.monotonic()
        done = subprocess.run(command, cwd=tree.ROOT, stdin=subprocess.DEVNULL)
        print(f"lint: {name}: {'ok' if done.returncode == 0 else 'FAILED'} ({time.monotonic() - started:.1f} s)", flush=True)
        if done.returncode != 0:
            failed.append(name)
    print(f"lint: {'failed: ' + ', '.join(failed) if failed else 'clean'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
