#!/usr/bin/env python3
"""Builds unit tests, scenario tests and the simulator with gcc's sanitizers and runs them: sanitize.py OUT -lLIBRARY... [NAME...]

Twice: all of them with address and undefined together; then with thread those that have threads, which their symbols tell,
for a program of one thread has nothing to show there. Objects are kept in OUT and built anew when their source, a header that
it includes (gcc writes .d files) or this file changed. gcc also sees all sources with the project's warnings, which the build
by Zig shows to clang only. NAMEs pick the test programs whose path holds one of them.
"""

import concurrent.futures
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
JOBS = 2
TIMEOUT_S = 400

MODES = {"address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"], "thread": ["-fsanitize=thread"]}
FLAGS = (
    "-std=gnu11 -O1 -g -fno-omit-frame-pointer -I. -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"
    # At -O1 with sanitizers gcc 12 warns of variables that are set on every path.
    " -Wno-maybe-uninitialized"
).split()
PRODUCT = ("common", "broker", "worker", "tools/jqctl", "tests/lib")
MAKES_THREADS = re.compile(r"\b(pthread_create|thrd_create|nng_\w+|MHD_\w+)\b")
NOT_SHARED = ("common/libjq/examples/",)
OPTIONS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "LSAN_OPTIONS": f"suppressions={HERE}/lsan.supp:print_suppressions=0",
    # A suppression needs the stack of the earlier access, which may lie a while back.
    "TSAN_OPTIONS": f"halt_on_error=1:second_deadlock_stack=1:history_size=7:suppressions={HERE}/tsan.supp",
}


def c_files(folder, prefix=""):
    found = []
    for place, _, names in os.walk(os.path.join(ROOT, folder)):
        found += [os.path.join(place, name) for name in names if name.endswith(".c") and name.startswith(prefix)]
    return sorted(os.path.relpath(path, ROOT) for path in found)


def shared_files():
    """What every test is linked with: all but main()."""
    files = [path for folder in PRODUCT for path in c_files(folder)]
    return [path for path in files if not path.startswith(NOT_SHARED) and os.path.basename(path) != "main.c"]


def programs(names):
    """{name: its own sources}."""
    tests = [path for folder in ("tests/unit", "tests/scenario") for path in c_files(folder, "test_")]
    found = {path: [path] for path in tests}
    if sim := c_files("tests/sim"):
        found["tests/sim/jqsim"] = sim
    return {path: files for path, files in found.items() if not names or any(name in path for name in names)}


class Builder:
    """Builds what it can: a source that does not compile costs the programs that need it, not the others."""

    def __init__(self, out, mode, libraries):
        self.out = os.path.join(out, mode)
        self.libraries = libraries
        self.flags = MODES[mode]
        self.pool = concurrent.futures.ThreadPoolExecutor(JOBS)
        self.failures = 0

    def object_of(self, source):
        return os.path.join(self.out, source[:-2] + ".o")

    def flags_of(self, source):
        """Those of the mode; a mode may have others for some sources."""
        return self.flags

    def run(self, command):
        """What the command says on stdout, if all went well; None if not, which is printed and counted."""
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        text = done.stdout.decode("utf-8", "replace")
        if done.returncode == 0:
            return text
        self.failures += 1
        print(f"{' '.join(command)}\n{text}", flush=True)
        return None

    def compile(self, source):
        """Returns the object, None if there is none."""
        target = self.object_of(source)
        if fresh(target):
            return target
        os.makedirs(os.path.dirname(target), exist_ok=True)
        remove(target)
        ok = self.run(["gcc", *FLAGS, *self.flags_of(source), "-MMD", "-MF", target + ".d", "-c", source, "-o", target])
        return target if ok is not None else None

    def target_of(self, program):
        return os.path.join(self.out, os.path.basename(program).removesuffix(".c"))

    def link(self, program, sources, archive):
        """Returns the program, None if there is none."""
        target = self.target_of(program)
        objects = [self.object_of(source) for source in sources]
        if min(mtime(path) for path in objects) < 0:
            return None
        if newest([*objects, archive]) <= mtime(target):
            return target
        # Told twice to trace, the linker names the members that it takes out of the archive.
        said = self.run(["gcc", *self.flags, *objects, archive, *self.libraries, "-Wl,-t", "-Wl,-t", "-o", target])
        if said is None:
            return None
        with open(target + ".members", "w", encoding="utf-8") as file:
            file.write("\n".join(re.findall(r"everything\.a[()]+(.*?)\)?$", said, re.MULTILINE)))
        return target

    def threaded(self, wanted):
        """Of the programs built, those that can have more than one thread; and the shared sources that these are linked of."""
        found, members = {}, set()
        for program, sources in wanted.items():
            target = self.target_of(program)
            if mtime(target) < 0 or not MAKES_THREADS.search(self.run(["nm", "-u", target]) or ""):
                continue
            found[program] = sources
            with open(target + ".members", encoding="utf-8") as file:
                members.update(os.path.relpath(path, self.out)[:-2] + ".c" for path in file.read().split())
        return found, sorted(members)

    def build(self, wanted, common=None):
        own = {source for sources in wanted.values() for source in sources}
        shared = list(self.pool.map(self.compile, shared_files() if common is None else common))
        list(self.pool.map(self.compile, sorted(own)))
        archive = os.path.join(self.out, "everything.a")
        remove(archive)
        self.run(["ar", "rcsP", archive, *filter(None, shared)])
        return list(filter(None, self.pool.map(lambda item: self.link(*item, archive), wanted.items())))


def remove(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def mtime(path):
    try:
        return os.stat(os.path.join(ROOT, path)).st_mtime
    except FileNotFoundError:
        return -1.0


def newest(paths):
    return max(mtime(path) for path in paths)


def fresh(target):
    """True if the object is younger than all that its .d file names, and than this file."""
    try:
        with open(target + ".d", encoding="utf-8") as file:
            needed = file.read().replace("\\\n", " ").split(":", 1)[1].split()
    except (FileNotFoundError, IndexError):
        return False
    made = mtime(target)
    return made >= 0 and all(0 <= mtime(path) <= made for path in [*needed, os.path.abspath(__file__)])


def run_all(mode, built):
    """Whether all of them passed."""
    env = {**os.environ, **OPTIONS}
    env.pop("JQ_TEST_SUM", None)  # The same tests again: they are counted once.
    runner = [sys.executable, os.path.join(HERE, "run_tests.py"), f"--timeout={TIMEOUT_S}", *built]
    print(f"sanitize: {mode}: {len(built)} programs", flush=True)
    return subprocess.run(runner, cwd=ROOT, env=env).returncode == 0


def main():
    out = sys.argv[1]
    libraries = [arg for arg in sys.argv[2:] if arg.startswith("-l")]
    names = [arg for arg in sys.argv[2:] if not arg.startswith("-l")]
    wanted, shared = programs(names), None
    if not wanted:
        print("sanitize: no test is called so")
        return 1
    good = True
    for mode in MODES:
        builder = Builder(out, mode, libraries)
        built = builder.build(wanted, shared)
        good &= run_all(mode, built) if built else not wanted
        if builder.failures:
            print(f"sanitize: {mode}: {builder.failures} sources or programs could not be built", flush=True)
            good = False
        wanted, shared = builder.threaded(wanted)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
