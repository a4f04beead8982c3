#!/usr/bin/env python3
"""Checks who includes whom, as the map of the house in README.md draws it."""

import re

import tree

PURE_COMMON = {
    f"common/{name}.h"
    for name in "types err list heap map hash rng need limit buf vocab civil cron zone where sha256".split()
}
PURE_SYSTEM = set("inttypes.h limits.h stdalign.h stdarg.h stdbool.h stddef.h stdint.h stdlib.h string.h".split())

# Folder or file prefix -> prefixes of this project's headers that it may include. The first prefix that fits decides.
MAY_INCLUDE = [
    ("common/", ["common/"]),
    ("broker/core/", ["broker/core/", *PURE_COMMON]),
    ("broker/record", ["broker/record", "broker/core/", "common/"]),
    ("broker/journal/", ["broker/journal/", "common/"]),
    ("broker/blob/", ["broker/blob/", "common/"]),
    ("broker/", ["broker/", "common/"]),
    ("worker/agent/", ["worker/agent/", *PURE_COMMON]),
    ("worker/exec/", ["worker/exec/", "common/"]),
    ("worker/pool/", ["worker/pool/", "worker/exec/", "common/"]),
    ("worker/freecad/", ["worker/freecad/", "worker/exec/", "common/"]),
    ("worker/", ["worker/", "common/"]),
    ("tools/", ["tools/", "common/", "broker/core/", "broker/record", "broker/journal/", "broker/blob/"]),
    ("tests/", ["tests/", "common/", "broker/", "worker/", "tools/"]),
]

# System headers that not everyone may include: pattern -> prefixes of those who may.
SHELLS = ["broker/shell/", "broker/main.c", "worker/shell/", "worker/main.c", "tests/"]
RESERVED = [
    (r"nng/", ["common/transport", "common/libjq/", *SHELLS]),
    (r"pthread\.h|threads\.h", ["common/transport", "common/libjq/", "common/log", "common/crc32c", "common/codec", "common/hasher",
                               "broker/journal/", "worker/exec/", "tools/", *SHELLS]),
    (r"systemd/", ["common/log", *SHELLS]),
    (r"microhttpd\.h", SHELLS),
    (r"seccomp\.h", ["worker/exec/", "tests/"]),
    (r"msgpack", ["common/", "broker/record", "tests/", "tools/"]),
    (r"ini\.h", ["common/conf", "tests/"]),
    (r"cmocka\.h", ["tests/"]),
]
PURE_FOLDERS = ("broker/core/", "worker/agent/")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def check_own(path, header, headers):
    if header not in headers:
        return f'"{header}" is no file of this tree (paths are relative to the root)'
    for prefix, allowed in MAY_INCLUDE:
        if path.startswith(prefix):
            return None if header.startswith(tuple(allowed)) else f'{prefix} must not include "{header}"'
    return None


def check_system(path, header):
    if path.startswith(PURE_FOLDERS) and header not in PURE_SYSTEM:
        return f"pure code must not include <{header}>"
    for pattern, allowed in RESERVED:
        if re.match(pattern, header) and not path.startswith(tuple(allowed)):
            return f"<{header}> is only for {', '.join(allowed)}"
    return None


def main():
    headers = set(tree.files(".h", ".inc"))
    findings = []
    for path in tree.files(".c", ".h"):
        text = tree.read(path)
        for match in INCLUDE.finditer(text):
            own, system = match.groups()
            rule = check_own(path, own, headers) if own else check_system(path, system)
            if rule:
                findings.append((path, tree.line_of(text, match.start()), rule))
    tree.finish("layers", findings)


main()
