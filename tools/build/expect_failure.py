#!/usr/bin/env python3
"""Runs programs that must fail: `expect_failure.py PROGRAM...` exits 0 only if each ran and did not exit 0.

A simulator that is never wrong proves nothing: each of its canary builds has a planted bug, which it has to catch.
"""

import os
import subprocess
import sys

TIMEOUT_S = 300


def catches(program):
    done = subprocess.run(
        [program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT_S
    )
    words = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.strip()]
    caught = done.returncode != 0
    print(f"{os.path.basename(program)}: {'caught' if caught else 'NOT CAUGHT'}: {words[0] if words else '(silent)'}", flush=True)
    return caught


def main():
    missed = [program for program in sys.argv[1:] if not catches(program)]
    if len(sys.argv) == 1:
        print("there is no canary yet")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
