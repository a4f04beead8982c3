#!/usr/bin/env python3
"""Runs a command that must fail: `expect_failure.py PROGRAM [ARG...]` exits 0 only if the program ran and did not exit 0.

A simulator that is never wrong proves nothing: its canary build has a planted bug, which it has to catch.
"""

import subprocess
import sys


def main():
    done = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    tail = done.stdout.decode("utf-8", "replace").splitlines()[-5:]
    print("\n".join(tail))
    if done.returncode == 0:
        print(f"{sys.argv[1]}: the planted bug was NOT caught")
        return 1
    print("the planted bug was caught")
    return 0


if __name__ == "__main__":
    sys.exit(main())
