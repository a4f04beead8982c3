"""Serves the tasks of a handler of kind pool in one warm Python process. Needs nothing but Python 3.

    command = /usr/bin/python3 /usr/share/jqmesh/pool/runner.py /srv/handlers/thumbnail.py

The file given to it is loaded once; what it decorates with @jqmesh.handler is called for each task:

    import jqmesh

    @jqmesh.handler
    def thumbnail(params, ctx):
        if "path" not in params:
            raise jqmesh.InvalidInput("no path")     # dead at once; any other exception is tried again
        ctx.progress(0.5, "half of it")
        return {"width": 64}                          # JSON; the task's result

One file may hold several handlers: @jqmesh.handler("name") serves the handler of that name, the plain decorator any. Descriptor 3 is
the channel to the worker; its frames are described in worker/pool/order.h and worker/exec/reply.h.
"""

import base64
import gc
import json
import math
import os
import re
import signal
import struct
import sys
import tempfile
import time
import traceback
import types

CHANNEL_FD = 3
RESULT_SIZE_MAX = 48 * 1024
PROGRESS_PAUSE_S = 0.1
EXIT_FAILURE = 1


# --- what handlers import: `import jqmesh` ------------------------------------------------------------------------------


class Failure(Exception):
    """A handler's word about why it failed; the class decides what the broker does next. This one: tried again."""

    outcome = "process_failure"
    service = None


class InvalidInput(Failure):
    """The task can never succeed: no retry."""

    outcome = "invalid_input"


class ResourceExhausted(Failure):
    """This host lacks something (disk, memory, a seat): tried again later, and the attempt does not count."""

    outcome = "resource_exhausted"


class NetworkError(Failure):
    """A named service did not answer: tried again, and the service's breaker counts it."""

    outcome = "network"

    def __init__(self, service, message):
        super().__init__(message)
        self.service = service


handlers = {}  # name, or None for any -> function


def handler(function_or_name):
    """@handler, or @handler("name")."""
    if callable(function_or_name):
        handlers[None] = function_or_name
        return function_or_name

    def keep(function):
        handlers[function_or_name] = function
        return function

    return keep


def publish_module():
    module = types.ModuleType("jqmesh", "What jqmesh offers to handlers of kind pool.")
    for item in (Failure, InvalidInput, ResourceExhausted, NetworkError, handler):
        setattr(module, item.__name__, item)
    module.Retry, module.Fatal = Failure, InvalidInput
    sys.modules["jqmesh"] = module


# --- the channel --------------------------------------------------------------------------------------------------------


def read_exactly(size):
    """None at the end of the channel: the worker has gone."""
    parts = []
    while size > 0:
        part = os.read(CHANNEL_FD, min(size, 1 << 16))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def read_frame():
    head = read_exactly(4)
    body = read_exactly(struct.unpack("<I", head)[0]) if head else None
    return json.loads(body) if body else None


def send_frame(frame):
    body = json.dumps(frame).encode()
    data = struct.pack("<I", len(body)) + body
    while data:
        data = data[os.write(CHANNEL_FD, data):]


class Context:
    """What a handler is told besides its parameters, and how it tells its progress."""

    def __init__(self, order):
        self.task = order["task"]
        self.attempt = order["attempt"]
        self.handler = order["handler"]
        self.queue = order["queue"]
        self.work_dir = order["work_dir"]  # fresh, the current folder, gone afterwards
        self.output_dir = order["output_dir"]  # write here what is to be kept; None: none is configured
        self.final_dir = order["final_dir"]  # where that will be found after success
        self.units = order["units"]  # {"gpu": [0]}: of offers like gpu=[0,1] what is this task's own
        self.soft_limit_s = order["soft_limit_ms"] / 1000  # 0: none
        self.payload = base64.b64decode(order["payload"])
        self._told_at = 0.0

    def progress(self, fraction, text=""):
        """`fraction` of the work is done, 0 to 1. Cheap to call often: told at most ten times a second."""
        now = time.monotonic()
        if now - self._told_at >= PROGRESS_PAUSE_S and math.isfinite(fraction):
            self._told_at = now
            permille = min(1000, max(0, int(fraction * 1000)))
            send_frame({"type": "progress", "task": self.task, "permille": permille, "text": str(text)[:120]})

    def input(self, name):
        """The path of an input file that came with the task (--input NAME=FILE)."""
        return os.path.join(self.work_dir, "inputs", name)

    def parents(self):
        """What the task waited for: a list of {id, state, outcome, result}."""
        try:
            with open(os.path.join(self.work_dir, "parents.json"), encoding="utf-8") as file:
                return json.load(file)["parents"]
        except FileNotFoundError:
            return []


# --- tasks --------------------------------------------------------------------------------------------------------------


def enter(order):
    """The task's folder is its place for everything that asks the environment."""
    os.chdir(order["work_dir"])
    for name in ("HOME", "TMPDIR", "JQ_WORK_DIR"):
        os.environ[name] = order["work_dir"]
    os.environ["JQ_TASK"], os.environ["JQ_ATTEMPT"] = order["task"], str(order["attempt"])
    os.environ["JQ_QUEUE"], os.environ["JQ_OUTPUT_DIR"] = order["queue"], order["output_dir"] or ""
    tempfile.tempdir = None


def call_handler(order):
    function = handlers.get(order["handler"], handlers.get(None))
    if function is None:
        raise Failure("the file defines no handler %s" % order["handler"])
    if "params" not in order:
        raise InvalidInput("payload is neither a JSON object nor a msgpack map")
    return function(order["params"], Context(order))


def error_frame(outcome, message, service=None):
    frame = {"type": "error", "class": outcome, "message": " ".join(str(message).split())[:250]}
    if service and re.fullmatch(r"[a-z0-9_.-]{1,64}", service):
        frame["service"] = service
    return frame


def result_frame(result):
    try:
        text = json.dumps(result, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise Failure("result cannot be encoded as JSON: %s" % error) from None
    if len(text.encode()) > RESULT_SIZE_MAX:
        raise Failure("result has %d bytes, at most %d are kept" % (len(text.encode()), RESULT_SIZE_MAX))
    return {"type": "result", "result": text}


def run(order):
    """The frame that ends the task. A handler that exits ends its process, which the worker sees."""
    try:
        enter(order)
        return result_frame(call_handler(order))
    except Failure as failure:
        return error_frame(failure.outcome, failure, failure.service)
    except MemoryError:
        traceback.print_exc()
        flush()
        os._exit(EXIT_FAILURE)  # what is left of this process would serve nobody well
    except Exception as error:
        traceback.print_exc()
        return error_frame("process_failure", "%s: %s" % (type(error).__name__, error))


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass


def load(path):
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    module = types.ModuleType("jq_handler")
    module.__file__ = path
    sys.modules["jq_handler"] = module
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec"), module.__dict__)
    if not handlers:
        raise SystemExit("%s: nothing in it is decorated with @jqmesh.handler" % path)


def leave(home):
    """Between tasks it stands in a folder that stays, and so does all that asks the environment."""
    os.chdir(home)
    for name in ("HOME", "TMPDIR", "JQ_WORK_DIR"):
        os.environ[name] = home
    tempfile.tempdir = None


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: runner.py FILE")
    os.set_inheritable(CHANNEL_FD, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's ^C is the worker's to handle
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
    home = os.getcwd()
    publish_module()
    load(sys.argv[1])
    gc.collect()
    gc.freeze()
    send_frame({"type": "ready"})
    while (order := read_frame()) is not None:
        frame = run(order)
        leave(home)
        flush()
        send_frame({**frame, "task": order["task"]})


if __name__ == "__main__":
    main()
