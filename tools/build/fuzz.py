#!/usr/bin/env python3
"""Builds the fuzz targets (tests/fuzz/fuzz_*.c) with clang's libFuzzer and sanitizers and runs them: fuzz.py OUT -lLIBRARY...
[--seconds N] [--merge] [--survey] [NAME...]

Each target runs for N seconds (default 60) on its committed corpus (tests/fuzz/corpus/NAME), two at a time. Inputs that reach something
new are kept in OUT/found/NAME; --merge brings the smallest set of them that reaches as much into the committed corpus. An input
that fails is kept in OUT/crashes and named. At the end: what the corpora reach of the sources that each target is about. Objects are
kept in OUT and built anew as those of sanitize.py are. --survey only says what the committed corpora reach, without fuzzing.
"""

import concurrent.futures
import os
import random
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import sanitize  # noqa: E402 # Its builder: objects by time stamp, one archive.

ROOT = sanitize.ROOT
# On two cores: a target has its time by the clock, and nine of them are done in three rounds.
JOBS = 3
COVERAGE = ["-fprofile-instr-generate", "-fcoverage-mapping"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
INPUT_SIZE_MAX = 8192
CORPUS_FILES_MAX = 150

# What each target is about: prefixes of sources, for the survey.
ABOUT = {
    "fuzz_frame": ["broker/shell/decode", "common/codec", "common/message", "broker/core/"],
    "fuzz_journal": ["broker/journal/scan", "broker/journal/recover", "broker/journal/segment", "broker/journal/block", "broker/record"],
    "fuzz_record": ["broker/record"],
    "fuzz_need": ["common/need"],
    "fuzz_conf": ["common/conf", "broker/settings", "worker/settings", "common/text"],
    "fuzz_reply": ["worker/exec/reply", "worker/freecad/wire", "common/json_read"],
    "fuzz_where": ["common/where"],
    "fuzz_cron": ["common/cron", "common/zone", "common/limit", "common/civil"],
}


class Builder(sanitize.Builder):
    def __init__(self, out, libraries):
        sanitize.MODES["fuzz"] = [*SANITIZERS, "-fsanitize=fuzzer-no-link", *COVERAGE]
        super().__init__(out, "fuzz", libraries)

    def run(self, command):
        if command[0] != "gcc":
            return super().run(command)
        flags = [flag for flag in command[1:] if flag != "-Wno-maybe-uninitialized"]
        if "-c" not in flags:  # a link: libFuzzer brings main()
            flags.append("-fsanitize=fuzzer")
        return super().run(["clang", *flags])


def shared_files():
    """What the targets reach by their includes, and the sources beside those headers; not all of the product."""
    wanted = ("common/", "broker/core/", "broker/record", "broker/journal/", "broker/shell/decode", "broker/settings",
              "worker/settings", "worker/exec/reply", "worker/exec/argv", "worker/freecad/wire", "tests/lib/simdisk")
    return [path for path in sanitize.shared_files() if path == "common/transport/address.c" or path.startswith(wanted)
            and not path.startswith(("common/transport/", "common/libjq/"))]


def targets(names):
    found = sanitize.c_files("tests/fuzz", "fuzz_")
    return {path: [path] for path in found if not names or any(name in path for name in names)}


def stem(program):
    return os.path.basename(program).removesuffix(".c")


def folders(out, program):
    name = stem(program)
    found = os.path.join(out, "found", name)
    crashes = os.path.join(out, "crashes")
    corpus = os.path.join(ROOT, "tests/fuzz/corpus", name)
    for folder in (found, crashes, corpus):
        os.makedirs(folder, exist_ok=True)
    return corpus, found, os.path.join(crashes, name + "-")


def fuzz(out, program, seconds):
    """Returns (good, what it says)."""
    corpus, found, crashes = folders(out, program)
    command = [program, f"-max_total_time={seconds}", f"-max_len={INPUT_SIZE_MAX}", "-timeout=10", "-rss_limit_mb=2048",
               "-print_final_stats=1", "-verbosity=1", f"-seed={random.randrange(1, 2**31)}", f"-artifact_prefix={crashes}", found, corpus]
    env = dict(os.environ, LLVM_PROFILE_FILE=os.devnull)
    done = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = done.stdout.decode("utf-8", "replace")
    runs = re.findall(r"stat::number_of_executed_units: (\d+)", text)
    return done.returncode == 0, f"{stem(program)}: {runs[-1] if runs else '?'} inputs in {seconds} s", text


def merge(out, program):
    """The committed corpus becomes a small set, of its own files and those found, that reaches as much; how often it reaches something does
    not count."""
    corpus, found, _ = folders(out, program)
    fresh = corpus + ".new"
    shutil.rmtree(fresh, ignore_errors=True)
    os.makedirs(fresh)
    subprocess.run([program, "-set_cover_merge=1", "-use_counters=0", f"-max_len={INPUT_SIZE_MAX}", fresh, corpus, found], cwd=ROOT, check=True,
                   env=dict(os.environ, LLVM_PROFILE_FILE=os.devnull), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    by_size = sorted(os.listdir(fresh), key=lambda name: os.path.getsize(os.path.join(fresh, name)))
    for name in by_size[CORPUS_FILES_MAX:]:
        os.unlink(os.path.join(fresh, name))
    shutil.rmtree(corpus)
    os.rename(fresh, corpus)


def survey(out, program, with_found):
    """What the corpus (and the inputs found now) reach, by lines and branches, of what the target is about."""
    corpus, found, _ = folders(out, program)
    raw, data = os.path.join(out, stem(program) + ".profraw"), os.path.join(out, stem(program) + ".profdata")
    replay = [program, "-runs=0", f"-max_len={INPUT_SIZE_MAX}", *([found] if with_found else []), corpus]
    subprocess.run(replay, cwd=ROOT, env=dict(os.environ, LLVM_PROFILE_FILE=raw), stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    about = ABOUT.get(stem(program), [])
    sources = [path for path in shared_files() if any(path.startswith(prefix) for prefix in about)]
    if not sources or subprocess.run(["llvm-profdata", "merge", "-o", data, raw], cwd=ROOT).returncode != 0:
        return
    report = subprocess.run(["llvm-cov", "report", program, f"-instr-profile={data}", *sources], cwd=ROOT,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
    for line in report.splitlines():
        cells = line.split()
        # File, regions, missed, %, functions, missed, %, lines, missed, %, branches, missed, %.
        if len(cells) >= 10 and (cells[0].endswith(".c") or cells[0] == "TOTAL"):
            branches = cells[12] if len(cells) > 12 else "-"
            print(f"    {cells[0]:<44} lines {cells[9]:>8}  branches {branches:>8}")


def arguments(args):
    seconds, merging, only_survey, rest, names = 60, False, False, [], []
    while args:
        arg = args.pop(0)
        if arg == "--seconds":
            seconds = int(args.pop(0))
        elif arg == "--merge":
            merging = True
        elif arg == "--survey":
            only_survey = True
        else:
            (rest if arg.startswith("-") else names).append(arg)
    return seconds, merging, only_survey, rest, names


def fuzz_python(seconds):
    """The same for what is written in Python; it brings its own mutations."""
    script = os.path.join(ROOT, "tests/fuzz/fuzz_runner.py")
    done = subprocess.run([sys.executable, script, "--seconds", str(seconds)], cwd=ROOT, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = done.stdout.decode("utf-8", "replace")
    return done.returncode == 0, text.strip() if done.returncode == 0 else "fuzz_runner.py", text


def main():
    out = os.path.abspath(sys.argv[1])
    seconds, merging, only_survey, libraries, names = arguments(sys.argv[2:])
    builder = Builder(out, libraries)
    programs = builder.build(targets(names), shared_files())
    failed = builder.failures
    if only_survey:
        for program in programs:
            print(f"{stem(program)} reaches", flush=True)
            survey(out, program, False)
        return 1 if failed or not programs else 0
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        jobs = [pool.submit(fuzz, out, program, seconds) for program in programs]
        if not names:
            jobs.append(pool.submit(fuzz_python, seconds))
        for good, line, text in (job.result() for job in jobs):
            print(line if good else f"{line}: FAILED\n{text[-6000:]}", flush=True)
            failed += not good
    for program in programs:
        if merging:
            merge(out, program)
        print(f"{stem(program)} reaches", flush=True)
        survey(out, program, True)
    print(f"{len(programs) + (not names) - failed} passed, {failed} failed")
    return 1 if failed or not programs else 0


if __name__ == "__main__":
    sys.exit(main())
