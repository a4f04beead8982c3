#!/usr/bin/env python3
"""Runs test programs, prints the output of those that fail, and ends with one line `N passed, N failed`.

Usage: run_tests.py [--jobs N] [--timeout SECONDS] [--loud] PROGRAM...

A PROGRAM is an executable that uses cmocka, a Python file that uses unittest, or anything that prints a line
`N passed, N failed[, N skipped]` of its own. A program that dies, hangs or says nothing of its tests counts as a failure.

The closing line is also written to the file that JQ_TEST_LAST names, and added up in the one that JQ_TEST_SUM names.
"""

import argparse
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

# These take longest and are started first, so that all cores have work to the end.
LONGEST = (
    "test_journal_crash", "test_transport_regression", "test_freecad_zygote", "test_log_size", "test_http", "jqsim",
    "test_exec_child", "test_journal_sweep", "test_journal_files", "test_transport_recovery", "test_flows", "test_schedules",
    "test_jqctl", "test_freecad", "test_nspawn", "test_lifecycle", "test_bad_input",
)


@dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other):
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    @property
    def total(self):
        return self.passed + self.failed + self.skipped

    def __str__(self):
        line = f"{self.passed} passed, {self.failed} failed"
        return line + (f", {self.skipped} skipped" if self.skipped else "")


CLOSING_LINE = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.MULTILINE)


def count_own_line(output):
    """The last `N passed, N failed` that the program printed itself, or None."""
    found = CLOSING_LINE.findall(output)
    return Counts(*(int(number or 0) for number in found[-1])) if found else None


def count_cmocka(output):
    """cmocka announces each test with RUN; one that is neither OK nor SKIPPED has failed, if only by a crash."""
    started = len(re.findall(r"^\[ RUN      \]", output, re.MULTILINE))
    passed = len(re.findall(r"\[       OK \]", output))
    skipped = sum(int(number) for number in re.findall(r"^\[  SKIPPED \] (\d+) test", output, re.MULTILINE))
    if started == 0:
        return None
    return Counts(passed, max(started - passed - skipped, 0), skipped)


def count_unittest(output):
    found = re.findall(r"^Ran (\d+) tests? in", output, re.MULTILINE)
    if not found:
        return None

    def detail(name):
        return sum(int(number) for number in re.findall(rf"^(?:OK|FAILED) \(.*?{name}=(\d+)", output, re.MULTILINE))

    failed = detail("failures") + detail("errors")
    ran, skipped = sum(int(number) for number in found), detail("skipped")
    return Counts(max(ran - failed - skipped, 0), failed, skipped)


def count(output, exit_code):
    counts = count_own_line(output) or count_cmocka(output) or count_unittest(output)
    if counts is None or counts.total == 0:
        return Counts(failed=1)
    if exit_code != 0 and counts.failed == 0:
        counts.failed = 1  # It died after its last test, or in its tear-down.
    return counts


def command_of(program):
    return [sys.executable, program] if program.endswith(".py") else [program]


def environment():
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="stdout", PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1")
    env.pop("CMOCKA_XML_FILE", None)
    return env


def run(program, timeout_s, loud=False):
    """Returns (counts, report); the report is empty if all went well."""
    started = time.monotonic()
    process = subprocess.Popen(
        command_of(program), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True, env=environment(),
    )
    try:
        output, hung = process.communicate(timeout=timeout_s)[0], False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, hung = process.communicate()[0], True
    text = output.decode("utf-8", "replace")
    counts = count(text, process.returncode)
    if loud:
        print(text, end="")
    end = f"hung, killed after {timeout_s} s" if hung else ending(process.returncode)
    seconds = time.monotonic() - started
    return counts, f"{name_of(program):<40} {counts}  ({seconds:.1f} s)", report(program, counts, end, text)


def ending(exit_code):
    return f"died of {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"


def report(program, counts, end, text):
    if counts.failed == 0:
        return ""
    return f"--- {program}: {end}\n{text.rstrip()}\n--- end of {name_of(program)}\n"


def name_of(program):
    return os.path.splitext(os.path.basename(program))[0]


def longest_first(programs):
    places = {name: place for place, name in enumerate(LONGEST)}
    return sorted(programs, key=lambda program: places.get(name_of(program), len(LONGEST)))


def run_all(programs, jobs, timeout_s, loud):
    total = Counts()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for counts, line, failure in pool.map(lambda program: run(program, timeout_s, loud), longest_first(programs)):
            total += counts
            print(line, flush=True)
            if failure:
                print(failure, flush=True)
    return total


def leave_behind(total):
    if last := os.environ.get("JQ_TEST_LAST"):
        write(last, total)
    if path := os.environ.get("JQ_TEST_SUM"):
        write(path, read_counts(path) + total)


def read_counts(path):
    try:
        with open(path, encoding="utf-8") as file:
            return count_own_line(file.read()) or Counts()
    except FileNotFoundError:
        return Counts()


def write(path, counts):
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{counts}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=120.0)
    parser.add_argument("--loud", action="store_true", help="print what passes says, too")
    parser.add_argument("programs", nargs="*")
    args = parser.parse_args()

    total = run_all(args.programs, args.jobs, args.timeout, args.loud)
    leave_behind(total)
    print(total, flush=True)
    return 0 if total.failed == 0 and total.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
