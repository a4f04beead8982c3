#!/usr/bin/env python3
"""Finds calls and headers that this project does not use, and says what to use instead."""

import re

import tree

# (names, where it holds: prefixes, what to do instead). `not` prefixes are exempt.
RULES = [
    ("sprintf vsprintf", [""], [], "use snprintf"),
    ("strcpy strcat strncpy strncat stpcpy", [""], [], "use memcpy with a checked size, or struct jq_buf"),
    ("strtok strtok_r gets", [""], [], "parse with bounds"),
    ("system popen", [""], [], "use posix_spawn with an argv: no shell"),
    ("alloca", [""], [], "use a bounded buffer"),
    ("atoi atol atoll atof", [""], [], "use strtol and its kin, and check the end"),
    ("tmpnam tempnam mktemp", [""], [], "use mkstemp or mkdtemp"),
    ("rand srand random srandom drand48", ["common/", "broker/", "worker/", "tests/sim/", "tests/lib/"], [],
     "use common/rng.h"),
    ("assert", [""], [], "use JQ_CHECK, which stays on in every build"),
    ("sleep usleep nanosleep clock_nanosleep", ["tests/unit/", "tests/scenario/", "tests/lib/", "tests/sim/"], [],
     "a test waits for the event, it does not sleep"),
    ("exit _exit quick_exit abort", ["common/", "broker/", "worker/"],
     ["common/err.c", "common/libjq/examples/", "broker/main.c", "broker/shell/",
      "worker/main.c", "worker/shell/", "worker/exec/"], "libraries return an error"),
    ("printf fprintf puts fputs putchar perror vprintf vfprintf dprintf", ["common/", "broker/", "worker/"],
     ["common/err.c", "common/log", "common/conf", "common/libjq/examples/", "broker/main.c", "broker/shell/",
      "worker/main.c", "worker/shell/"], "libraries do not print"),
    ("time clock_gettime gettimeofday", ["common/", "broker/", "worker/"],
     ["common/clock", "common/libjq/examples/", "broker/shell/timed", "broker/shell/threads"], "time comes from common/clock.h, read by shells only"),
]
BANNED_HEADERS = {"assert.h": "use JQ_CHECK (common/err.h)", "alloca.h": "use a bounded buffer"}


def patterns():
    for names, where, exempt, instead in RULES:
        # A call, not a declaration's or a field's name: neither `->time(`, nor `.exit(`, nor part of a longer word.
        call = re.compile(r"(?<![\w.>])(" + "|".join(names.split()) + r")[ \t]*\(")
        yield call, tuple(where), tuple(exempt), instead


def check(path, code, rules):
    for call, where, exempt, instead in rules:
        if not path.startswith(where) or (exempt and path.startswith(exempt)):
            continue
        for match in call.finditer(code):
            yield path, tree.line_of(code, match.start()), f"{match.group(1)} is banned: {instead}"
    for match in re.finditer(r"#[ \t]*include[ \t]*<([\w./]+)>", code):
        if match.group(1) in BANNED_HEADERS:
            yield path, tree.line_of(code, match.start()), f"<{match.group(1)}>: {BANNED_HEADERS[match.group(1)]}"


def main():
    rules = list(patterns())
    findings = []
    for path in tree.files(".c", ".h"):
        findings += check(path, tree.code_only(tree.read(path)), rules)
    tree.finish("banned", findings)


main()
