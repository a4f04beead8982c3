#!/usr/bin/env python3
"""Real processes tortured for as long as you like: killed, stopped, short of disk, without power, cut off, crowded.

    run.py [--seconds N | --minutes N] [--jobs N] [--seed N] [NAME..]

--seconds is the time of each torture (20 by default), --minutes that of all together; each takes as long as one of its rounds at
least. The clients keep a record of their own of what was acknowledged; at the end of each round it decides, beside the journal:
nothing acknowledged lost, no outcome accepted twice, no id given twice. Then broker and workers must hold no more descriptors,
children and memory than when they began, leave no file in a work dir, end when they are told to, and leave no process and no
control group. What this machine cannot do is skipped and said. At the end: how long each recovery took.
"""

import argparse
import multiprocessing
import os
import random
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]
sys.dont_write_bytecode = True

from crowds import idle, slow  # noqa: E402
from disks import full, sync, write  # noqa: E402
from kills import kill, stop  # noqa: E402
from links import links, lossy  # noqa: E402
from power import power  # noqa: E402
from rounds import Recoveries, Skip  # noqa: E402

TORTURES = {each.__name__: each for each in (kill, stop, power, sync, write, full, links, lossy, idle, slow)}


def one(work):
    """Runs one torture in this process, which is there for nothing else."""
    name, seconds, seed = work
    recoveries, begun = Recoveries(), time.monotonic()
    try:
        word, told = "ok", TORTURES[name](seconds, random.Random(seed), recoveries)
    except Skip as reason:
        word, told = "skipped", str(reason)
    except Exception as failure:  # Whatever it is, it is a failure of this torture, and the others go on.
        word, told = "FAILED", "%s\n%s" % (failure, traceback.format_exc())
    return name, word, told, recoveries, time.monotonic() - begun


def arguments():
    parser = argparse.ArgumentParser(description="Tortures real brokers, workers and clients.")
    parser.add_argument("--seconds", type=float, default=20, help="of each torture")
    parser.add_argument("--minutes", type=float, help="of all tortures together")
    parser.add_argument("--jobs", type=int, default=1, help="tortures at the same time")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TORTURES))
    args = parser.parse_args()
    for name in args.names:
        if name not in TORTURES:
            parser.error("no torture '%s'; there are %s" % (name, ", ".join(TORTURES)))
    args.names = args.names or list(TORTURES)
    if args.minutes:
        args.seconds = args.minutes * 60 * args.jobs / len(args.names)
    return args


def main():
    args = arguments()
    print("torture: seed %d, %.0f s each" % (args.seed, args.seconds), flush=True)
    failed, passed, skipped, table = 0, 0, 0, []
    # Each in a process of its own: limits, namespaces and what it holds end with it.
    with multiprocessing.get_context("fork").Pool(args.jobs, maxtasksperchild=1) as pool:
        for name, word, told, recoveries, seconds in pool.imap(one, [(name, args.seconds, args.seed) for name in args.names]):
            print("%-6s %-7s %s  (%.0f s)" % (name, word, told, seconds), flush=True)
            failed, passed, skipped = failed + (word == "FAILED"), passed + (word == "ok"), skipped + (word == "skipped")
            table.append((name, recoveries))
    print("recoveries:")
    for name, recoveries in table:
        print("  %-6s %s" % (name, recoveries))
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
