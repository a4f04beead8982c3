#!/usr/bin/env python3
"""Checks that pure archives are pure: symbols.py COMMON_ARCHIVE ARCHIVE...

Takes each ARCHIVE and, from COMMON_ARCHIVE, the objects that it needs, directly or not, and compares what is then
still undefined with the allow-list in pure_symbols.txt.
"""

import collections
import os
import re
import subprocess
import sys

import tree

ALLOW_LIST = "tools/lint/pure_symbols.txt"


def read_allow_list():
    """Symbol sets by object name; "" holds for all."""
    allowed = collections.defaultdict(set)
    for line in tree.read(ALLOW_LIST).splitlines():
        owner, colon, names = line.split("#")[0].rpartition(":")
        allowed[owner.strip() if colon else ""].update(names.split())
    return allowed


def objects_of(archive):
    """{member: (defined symbols, undefined symbols)}."""
    listing = subprocess.run(["nm", "-A", archive], check=True, stdout=subprocess.PIPE, text=True).stdout
    objects = collections.defaultdict(lambda: (set(), set()))
    for line in listing.splitlines():
        where, rest = line.rsplit(":", 1)
        kind, name = rest.split()[-2:]
        defined, undefined = objects[where.removeprefix(archive + ":")]
        (undefined if kind in "Uw" else defined).add(name)
    return dict(objects)


def plain(symbol):
    """__memcpy_chk -> memcpy: the fortified variants are the same functions; glibc renames some for C23."""
    return re.sub(r"^__isoc\d+_", "", re.sub(r"^__(\w+)_chk$", r"\1", symbol))


def impure(archive, common, allowed):
    """Yields (object, symbol) for each call that is not allowed."""
    owner_of = {symbol: member for member, (defined, _) in common.items() for symbol in defined}
    own = objects_of(archive)
    own_symbols = set().union(*(defined for defined, _ in own.values())) if own else set()
    waiting, seen = dict(own), {}
    while waiting:
        member, (defined, undefined) = waiting.popitem()
        seen[member] = True
        for symbol in sorted(undefined - own_symbols - defined):
            pulled = owner_of.get(symbol)
            if pulled:
                if pulled not in seen:
                    waiting[pulled] = common[pulled]
            elif plain(symbol) not in allowed[""] | allowed[os.path.basename(member)]:
                yield member, symbol


def main():
    common, allowed = objects_of(sys.argv[1]), read_allow_list()
    findings = []
    for archive in sys.argv[2:]:
        for member, symbol in impure(archive, common, allowed):
            rule = f"{symbol} is not in {ALLOW_LIST}, but {os.path.basename(archive)} reaches it"
            findings.append((os.path.basename(member), 0, rule))
    tree.finish("symbols", findings)


main()
