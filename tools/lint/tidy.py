#!/usr/bin/env python3
"""Runs clang-tidy on the C files outside tests/ that changed, or whose headers changed, since it last found nothing."""

import concurrent.futures
import hashlib
import os
import re
import subprocess
import sys

import tree

CACHE = os.path.join(tree.ROOT, ".zig-cache", "lint")
PRELUDE = "tools/lint/analyzer.h"
# The analyzer gives a function up after so many states: a sixth of its default, at a sixth of the time.
FLAGS = ["-std=gnu11", "-I.", *"-Xclang -analyzer-config -Xclang max-nodes=40000".split()]
JOBS = 2


def key_of(path, seen):
    """A hash of the file, of this project's headers that it includes, and of what clang-tidy is told."""
    digest = hashlib.sha256(" ".join(FLAGS).encode())
    for name in [".clang-tidy", PRELUDE, *sorted(closure(path, seen))]:
        digest.update(name.encode() + b"\0" + tree.read(name).encode() + b"\0")
    return digest.hexdigest()


def closure(path, seen):
    """`path` and all headers of this tree that it includes, directly or not."""
    found, waiting = set(), [path]
    while waiting:
        name = waiting.pop()
        if name in found or not os.path.exists(os.path.join(tree.ROOT, name)):
            continue
        found.add(name)
        if name not in seen:
            seen[name] = re.findall(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', tree.read(name), re.MULTILINE)
        waiting += seen[name]
    return found


def tidy(path):
    prelude = [] if path == "common/err.c" else ["-include", PRELUDE]
    done = subprocess.run(
        ["clang-tidy", "--quiet", "--warnings-as-errors=*", path, "--", *FLAGS, *prelude],
        cwd=tree.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    findings = [line for line in done.stdout.splitlines() if re.search(r": (error|warning): ", line)]
    # What it says on stderr ("12 warnings generated") matters only if it could not work at all.
    return done.returncode, findings or (done.stderr.splitlines() if done.returncode else [])


def main():
    os.makedirs(CACHE, exist_ok=True)
    seen = {}
    folders = [folder for folder in tree.FOLDERS if folder != "tests"]
    stamps = {path: os.path.join(CACHE, "tidy-" + key_of(path, seen)) for path in tree.files(".c", folders=folders)}
    todo = [path for path, stamp in stamps.items() if not os.path.exists(stamp)]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for path, (code, findings) in zip(todo, pool.map(tidy, todo)):
            if code == 0:
                open(stamps[path], "w", encoding="utf-8").close()
                continue
            failed += 1
            print("\n".join(findings).replace(tree.ROOT + "/", ""), flush=True)
    print(f"clang-tidy: {failed} files with findings; {len(todo)} of {len(stamps)} files looked at, the rest unchanged")
    sys.exit(1 if failed else 0)


main()
