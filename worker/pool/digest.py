"""Checksums of a file, read once: a handler of kind pool, served by runner.py. See conf/handlers.d/digest.conf."""

import hashlib
import os

import jqmesh

BLOCK_SIZE = 1 << 20


@jqmesh.handler
def digest(params, ctx):
    try:
        sums = {name: hashlib.new(name) for name in params.get("algorithms", ["sha256"])}
        file = open(params["input"], "rb")
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise jqmesh.InvalidInput("%s: %s" % (type(error).__name__, error)) from None
    with file:
        size = os.fstat(file.fileno()).st_size
        while block := file.read(BLOCK_SIZE):
            for one in sums.values():
                one.update(block)
            ctx.progress(file.tell() / max(size, 1), "%d of %d bytes" % (file.tell(), size))
    return {name: one.hexdigest() for name, one in sums.items()}
