#!/usr/bin/env python3
"""What unit tests, scenarios and the simulator reach of core, record, journal and agent: coverage.py OUT -lLIBRARY... [--show] [NAME...]

Builds them by gcc with --coverage as sanitize.py builds them, runs them, and adds up what gcov counts over all programs. Prints the
share of statements for each folder and file, then compares what was not reached with tests/coverage.txt, which gives the reason for each
line and branch. A line or branch without a reason fails the run, and so does a reason that is not needed any more, and a
folder below 95 %. --show prints what is not reached in the form of that file. NAMEs pick test programs; then nothing is compared.
Lines that hold a JQ_CHECK count as statements; that the check never fails needs no reason.
"""

import gzip
import json
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import sanitize  # noqa: E402 # Its builder: objects by time stamp, one archive.

ROOT = sanitize.ROOT
FOLDERS = {
    "broker/core": "broker/core/",
    "broker/record": "broker/record",
    "broker/journal": "broker/journal/",
    "worker/agent": "worker/agent/",
}
REASONS = "tests/coverage.txt"
SHARE_MIN = 95.0
TIMEOUT_S = 500
SIMULATION = ["--seed", "1", "--seeds", "300", "--steps", "3000"]


class Builder(sanitize.Builder):
    def __init__(self, out, libraries):
        sanitize.MODES["coverage"] = ["--coverage"]
        super().__init__(out, "coverage", libraries)

    def flags_of(self, source):
        # Counts of several threads must add up: gcov derives some counts from others.
        return ["-O0", "--coverage", "-fprofile-update=atomic"] if is_measured(source) else []


def is_measured(source):
    return source.startswith(tuple(FOLDERS.values()))


# ---- what was reached ----


@dataclass
class Line:
    function: str
    count: int = 0
    branches: list = field(default_factory=list)  # how often each was taken


def forget_counts(out):
    for place, _, names in os.walk(out):
        for name in names:
            if name.endswith(".gcda"):
                os.unlink(os.path.join(place, name))


def counts_of(builder, source):
    """{line number: Line}, of the source itself; of the headers that it includes nothing."""
    target = builder.object_of(source)
    if not os.path.exists(target[:-2] + ".gcda"):
        target = target[:-2] + ".gcno"  # No program holds it: all counts are 0.
    done = subprocess.run(["gcov", "--json-format", "--branch-probabilities", "--stdout", target], cwd=ROOT, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = {}
    for file in json.loads(plain(done.stdout))["files"]:
        if os.path.normpath(file["file"]) != source:
            continue
        for row in file["lines"]:
            line = lines.setdefault(row["line_number"], Line(row.get("function_name", "")))
            line.count += row["count"]
            line.branches += [branch["count"] for branch in row["branches"]]
    return lines


def plain(output):
    return gzip.decompress(output) if output[:2] == b"\x1f\x8b" else output


@dataclass(frozen=True)
class Place:
    """A line by its words: numbers change with every edit above."""

    source: str
    function: str
    text: str


def gaps_of(source, lines):
    """{Place: (lines not reached, branches not taken)}; lines that read alike in one function are one place."""
    with open(os.path.join(ROOT, source), encoding="utf-8") as file:
        texts = file.read().splitlines()
    gaps = defaultdict(lambda: (0, 0))
    for number, line in lines.items():
        text = texts[number - 1].strip()
        missing = 0 if "JQ_CHECK(" in text or line.count == 0 else line.branches.count(0)
        if line.count == 0 or missing:
            place = Place(source, line.function, " ".join(text.split()))
            gaps[place] = (gaps[place][0] + (line.count == 0), gaps[place][1] + missing)
    return dict(gaps)


def report(per_source):
    """Prints the shares; returns the folders that are below the bound."""
    low = []
    for folder, start in FOLDERS.items():
        sources = {source: lines for source, lines in per_source.items() if source.startswith(start)}
        share = row(folder + "/", *[line for lines in sources.values() for line in lines.values()])
        for source, lines in sources.items():
            row("  " + source, *lines.values())
        if share < SHARE_MIN:
            low.append(f"{folder}: {share:.2f} % of the statements, at least {SHARE_MIN:.0f} % are promised")
    return low


def row(name, *lines):
    reached = sum(line.count > 0 for line in lines)
    branches = [count for line in lines for count in line.branches]
    taken = sum(count > 0 for count in branches)
    share = 100 * reached / max(len(lines), 1)
    print(f"{name:<40} lines {reached:>5} of {len(lines):>5} {share:6.2f} %   "
          f"branches {taken:>5} of {len(branches):>5} {100 * taken / max(len(branches), 1):6.2f} %")
    return share


# ---- reasons ----
#
# Blocks, told apart by empty lines: a reason in lines that begin with "# ", then the places that it is the reason of:
#   SOURCE FUNCTION lines N branches M: TEXT OF THE LINE


def format_place(place, gap):
    return f"{place.source} {place.function} lines {gap[0]} branches {gap[1]}: {place.text}"


def parse_place(line):
    head, text = line.split(": ", 1)
    source, function, _, lines, _, branches = head.split(" ")
    return Place(source, function, text), (int(lines), int(branches))


def read_reasons():
    """({Place: (lines, branches)}, complaints)."""
    with open(os.path.join(ROOT, REASONS), encoding="utf-8") as file:
        blocks = file.read().split("\n\n")
    known, complaints = {}, []
    for block in blocks:
        rows = block.strip().splitlines()
        reason = [line for line in rows if line.startswith("#")]
        for line in rows[len(reason):]:
            try:
                place, gap = parse_place(line)
            except ValueError:
                complaints.append(f"cannot be read: {line}")
                continue
            if place in known:
                complaints.append(f"named twice: {line}")
            if not reason:
                complaints.append(f"no reason given: {line}")
            known[place] = gap
    return known, complaints


def compare(gaps, known):
    complaints = []
    for place, gap in gaps.items():
        if place not in known:
            complaints.append(f"without a reason: {format_place(place, gap)}")
        elif known[place] != gap:
            complaints.append(f"reason for {known[place][0]} lines, {known[place][1]} branches: {format_place(place, gap)}")
    return complaints + [f"reason, but reached: {format_place(place, gap)}" for place, gap in known.items() if place not in gaps]


# ---- all of it ----


def run_tests(programs):
    tests = [program for program in programs if not program.endswith("jqsim")]
    env = {**os.environ}
    env.pop("JQ_TEST_SUM", None)  # The same tests again: they are counted once.
    runner = [sys.executable, os.path.join(HERE, "run_tests.py"), f"--timeout={TIMEOUT_S}", *tests]
    done = [subprocess.run(runner, cwd=ROOT, env=env)] if tests else []
    for program in programs:
        if program not in tests:
            done.append(subprocess.run([program, *SIMULATION], cwd=ROOT, timeout=TIMEOUT_S, stdout=subprocess.DEVNULL))
    return all(process.returncode == 0 for process in done)


def main():
    args = sys.argv[2:]
    names = [arg for arg in args if not arg.startswith("-")]
    builder = Builder(os.path.abspath(sys.argv[1]), [arg for arg in args if arg.startswith("-l")])
    programs = builder.build(sanitize.programs(names))
    forget_counts(builder.out)
    good = run_tests(programs) and builder.failures == 0
    sources = [source for source in sanitize.shared_files() if is_measured(source)]
    per_source = dict(zip(sources, builder.pool.map(lambda source: counts_of(builder, source), sources)))
    complaints = report(per_source)
    gaps = {place: gap for source, lines in per_source.items() for place, gap in gaps_of(source, lines).items()}
    if "--show" in args:
        print("\n".join(format_place(place, gap) for place, gap in gaps.items()))
    if names:
        return 0 if good else 1
    known, unreadable = read_reasons()
    complaints += unreadable + compare(gaps, known)
    print("\n".join(complaints))
    print(f"coverage: {len(gaps)} places not reached in full, {len(known)} with a reason; {len(complaints)} complaints"
          + ("" if good else "; some tests failed"))
    return 0 if good and not complaints else 1


if __name__ == "__main__":
    sys.exit(main())
