#!/usr/bin/env python3
"""Measures FreeCAD tasks forked from a zygote against a process per task, in one run: see bench_freecad.c, which does it.

    freecad_bench.py [--runs N]

Prints its lines, and the median and spread of the ratio. Exit 77 without FreeCAD.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    parser = argparse.ArgumentParser(description="FreeCAD tasks: zygote against a process per task")
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    program = os.path.join(os.environ.get("JQ_TEST_BIN", HERE), "bench_freecad")
    scripts = os.path.join(os.environ.get("JQ_PREFIX", ""), "share/jqmesh/freecad")
    done = subprocess.run([program, scripts, HERE, str(runs)], stdout=subprocess.PIPE, text=True, check=False)
    sys.stdout.write(done.stdout)
    ratios = [float(ratio) for ratio in re.findall(r"ratio=([0-9.]+)", done.stdout)]
    if ratios:
        print("freecad zygote over process: median %.1f, %.1f to %.1f" % (statistics.median(ratios), min(ratios),
                                                                        max(ratios)))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
