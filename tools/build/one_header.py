#!/usr/bin/env python3
"""Prints a header with the headers of this project that it includes put in their places, each once: what gets installed is one file.

    one_header.py common/libjq/jq.h
"""

import re
import sys


def expand(path, seen):
    with open(path, encoding="utf-8") as file:
        for line in file:
            included = re.match(r'#include "([^"]+)"', line)
            if not included:
                yield line
            elif included.group(1) not in seen:
                seen.add(included.group(1))
                yield from expand(included.group(1), seen)


if __name__ == "__main__":
    sys.stdout.writelines(expand(sys.argv[1], {sys.argv[1]}))
