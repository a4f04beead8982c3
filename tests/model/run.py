#!/usr/bin/env python3
"""Checks tests/model/lease.pml exhaustively with spin, and that spin finds each planted mistake.

    run.py [--full]

Without --full two of the three budgets are open at a time (some 15 s each); with it all three together (minutes, some GiB).
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = os.path.join(HERE, "lease.pml")
TIMEOUT_S = 3600

SOUND = [{"LOSSES": 1, "REPEATS": 0, "DEATHS": 1}, {"LOSSES": 1, "REPEATS": 1, "DEATHS": 0}]
ALL = [{"LOSSES": 1, "REPEATS": 1, "DEATHS": 1}]
MISTAKES = {
    "NO_EPOCH": {"LOSSES": 0, "REPEATS": 0, "DEATHS": 0},
    "EARLY_VERDICT": {"LOSSES": 0, "REPEATS": 0, "DEATHS": 0},
    "NO_FENCE": {"LOSSES": 0, "REPEATS": 0, "DEATHS": 1},
    "NO_WINDOW": {"LOSSES": 1, "REPEATS": 0, "DEATHS": 0},
}


def check(budgets, mistake=None):
    """(number of errors, states stored, depth, what spin says of the first error)"""
    defines = ["-D%s=%d" % item for item in budgets.items()] + (["-D" + mistake] if mistake else [])
    with tempfile.TemporaryDirectory(prefix="jqmesh-model-") as folder:
        subprocess.run(["spin", *defines, "-a", MODEL], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        compiler = ["gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=16000", "-o", "pan", "pan.c"]
        subprocess.run(compiler, cwd=folder, check=True)
        done = subprocess.run(["./pan", "-m200000", "-w26", "-c1"], cwd=folder, capture_output=True, text=True,
                              timeout=TIMEOUT_S, check=False)
    text = done.stdout
    found = re.search(r"depth reached (\d+), errors: (\d+)", text)
    states = re.search(r"(\d+) states, stored", text)
    if not found or not states or "Search not completed" in text and int(found[2]) == 0:
        raise SystemExit("spin did not finish:\n" + text + done.stderr)
    what = re.search(r"pan:1: (.*)", text)
    return int(found[2]), int(states[1]), int(found[1]), what[1] if what else ""


def say_budgets(budgets):
    return ", ".join("%d %s" % (count, name.lower()) for name, count in budgets.items())


def main():
    parser = argparse.ArgumentParser(description="Checks the model of leases with spin.")
    parser.add_argument("--full", action="store_true", help="all budgets together: minutes, some GiB")
    args = parser.parse_args()
    if not shutil.which("spin"):
        raise SystemExit("spin is missing: tools/dev model installs it")
    wrong = 0
    for budgets in SOUND + (ALL if args.full else []):
        errors, states, depth, what = check(budgets)
        print("sound     %-36s %9d states, depth %d: %s" % (say_budgets(budgets), states, depth, what or "holds"), flush=True)
        wrong += errors > 0
    for mistake, budgets in MISTAKES.items():
        errors, states, depth, what = check(budgets, mistake)
        print("mistake   %-36s %9d states, depth %d: %s" % (mistake, states, depth, what or "NOT FOUND"), flush=True)
        wrong += errors == 0
    print("model: %d of %d as they should be" % (len(SOUND) + len(MISTAKES) + args.full - wrong,
                                                 len(SOUND) + len(MISTAKES) + args.full))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
