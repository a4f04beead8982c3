"""The zygote: lives in FreeCAD's Python, loads the modules that tasks need once, and forks one child per task.

Started by worker/freecad/zygote.c, for instance as `freecadcmd -c "exec(open('.../runner.py').read())"`. Descriptor 3 is a
SOCK_SEQPACKET socket to the worker: one JSON object a packet.

    worker to zygote                                          zygote to worker
    {"op": "run", "id": N, ...} with descriptors              {"op": "hello", "pid": P, "freecad": "0.20.2", ...}
    {"op": "ping", "id": N}                                   {"op": "started", "id": N, "pid": P} with a pidfd
    {"op": "exit"}                                            {"op": "exit", "id": N, "status": S, "utime_us": ..., ...}
                                                              {"op": "refused", "id": N, "why": "...", "threads": 2}
                                                              {"op": "pong", "id": N, "threads": 1}

The descriptors of `run`: reply channel, payload, stdout, stderr, then `joins` files of cgroups, into which the child writes "0",
and with `confined` the rules of its sandbox (worker/exec/sandbox.h).
The child's words on the reply channel are described in worker/exec/reply.h.

A child that is forked while a second thread exists inherits locks that nobody will ever open, and OCC's pool without its threads:
it hangs. So nothing here may ever tessellate, compute a boolean or start a thread, and the number of threads is checked
before every fork.
"""

import array
import compileall
import ctypes
import faulthandler
import gc
import json
import math
import os
import re
import resource
import select
import signal
import socket
import struct
import sys
import tempfile
import time
import traceback
import types

CONTROL_FD = 3
PACKET_SIZE_MAX = 64 * 1024
FD_COUNT_MAX = 16
RESULT_SIZE_MAX = 48 * 1024
PAYLOAD_SIZE_MAX = 56 * 1024
PAYLOAD_DEPTH_MAX = 8
PROGRESS_PAUSE_S = 0.1
OOM_SCORE_ADJ = 500
REPLY_FD = 500
FD_MAX = 1 << 20
EXIT_FAILURE, EXIT_INVALID_INPUT, EXIT_RESOURCE_EXHAUSTED = 1, 65, 75
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SYS_LANDLOCK_RESTRICT_SELF = 446  # On every machine: system calls since 5.1 have one number.


# --- what handlers import: `import jqmesh` -----------------------------------------------------------------------------


class Failure(Exception):
    """A handler's word about why it failed; the class decides what the broker does next."""

    outcome = "process_failure"
    exit_code = EXIT_FAILURE
    service = None


class InvalidInput(Failure):
    """The task can never succeed: no retry."""

    outcome = "invalid_input"
    exit_code = EXIT_INVALID_INPUT


class ResourceExhausted(Failure):
    """This host lacks something (disk, memory): tried again later, and the attempt does not count."""

    outcome = "resource_exhausted"
    exit_code = EXIT_RESOURCE_EXHAUSTED


class NetworkError(Failure):
    """A named service did not answer."""

    outcome = "network"

    def __init__(self, service, message):
        super().__init__(message)
        self.service = service


def publish_module():
    module = types.ModuleType("jqmesh", "What jqmesh offers to the handlers that run inside FreeCAD.")
    for item in (Failure, InvalidInput, ResourceExhausted, NetworkError):
        setattr(module, item.__name__, item)
    sys.modules["jqmesh"] = module


# --- the payload: JSON, or msgpack as the protocol encodes maps -----------------------------------------------------------


class Msgpack:
    """Decodes one msgpack value (github.com/msgpack/msgpack, spec.md), with bounds; no extension types."""

    FIXED = {0xC0: None, 0xC2: False, 0xC3: True}
    NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
               0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
    STRINGS = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
    BINARIES = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I"}
    ARRAYS = {0xDC: ">H", 0xDD: ">I"}
    MAPS = {0xDE: ">H", 0xDF: ">I"}

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if size > len(self.data) - self.at:
            raise ValueError("cut short")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, layout):
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def value(self, depth=0):
        if depth > PAYLOAD_DEPTH_MAX:
            raise ValueError("too deep")
        head = self.take(1)[0]
        if head <= 0x7F or head >= 0xE0:
            return head if head <= 0x7F else head - 256
        if head <= 0x8F:
            return self.map(head & 0x0F, depth)
        if head <= 0x9F:
            return self.array(head & 0x0F, depth)
        if head <= 0xBF:
            return self.take(head & 0x1F).decode()
        return self.long_value(head, depth)

    def long_value(self, head, depth):
        if head in self.FIXED:
            return self.FIXED[head]
        if head in self.NUMBERS:
            return self.number(self.NUMBERS[head])
        if head in self.STRINGS:
            return self.take(self.number(self.STRINGS[head])).decode()
        if head in self.BINARIES:
            return self.take(self.number(self.BINARIES[head]))
        if head in self.ARRAYS:
            return self.array(self.number(self.ARRAYS[head]), depth)
        if head in self.MAPS:
            return self.map(self.number(self.MAPS[head]), depth)
        raise ValueError("unknown type 0x%02x" % head)

    def array(self, count, depth):
        if count > len(self.data) - self.at:
            raise ValueError("cut short")
        return [self.value(depth + 1) for _ in range(count)]

    def map(self, count, depth):
        if count > len(self.data) - self.at:
            raise ValueError("cut short")
        items = {}
        for _ in range(count):
            key = self.value(depth + 1)
            if not isinstance(key, str) or key in items:
                raise ValueError("a key that is no string, or twice")
            items[key] = self.value(depth + 1)
        return items


def decode_payload(data):
    """The parameters, a dict. A payload that begins with '{' is JSON: in msgpack that byte is a number, no map."""
    if not data:
        return {}
    try:
        if data[:1] in (b"{", b" ", b"\n"):
            value = json.loads(data.decode())
        else:
            reader = Msgpack(data)
            value = reader.value()
            if reader.at != len(data):
                raise ValueError("bytes left over")
    except (ValueError, RecursionError) as error:
        raise InvalidInput("payload is neither JSON nor msgpack: %s" % error) from None
    if not isinstance(value, dict):
        raise InvalidInput("payload is no map")
    return value


# --- the child --------------------------------------------------------------------------------------------------------


def files_in(folder):
    try:
        return {name: os.path.join(folder, name) for name in sorted(os.listdir(folder))}
    except FileNotFoundError:
        return {}


class Context:
    """What a handler is told besides its parameters, and how it tells its progress."""

    def __init__(self, order, reply_fd):
        self.task = order["task"]
        self.attempt = order["attempt"]
        self.work_dir = order["work_dir"]
        self.output_dir = order.get("output_dir")  # write here; None: none is configured
        self.final_dir = order.get("final_dir")  # where that will be found after success
        self.units = order.get("units") or {}  # {"gpu": [0]}: of offers like gpu=[0,1] what is this task's own
        self.inputs = files_in(os.path.join(self.work_dir, "inputs"))  # {name: path}: files that came with the task
        self._reply_fd = reply_fd
        self._told_at = 0.0

    def progress(self, fraction, text=""):
        """`fraction` of the work is done, 0 to 1. Cheap to call often: told at most ten times a second."""
        now = time.monotonic()
        if now - self._told_at >= PROGRESS_PAUSE_S and math.isfinite(fraction):
            self._told_at = now
            permille = min(1000, max(0, int(fraction * 1000)))
            send_frame(self._reply_fd, {"type": "progress", "permille": permille, "text": str(text)[:200]})

    def require_output_dir(self):
        if self.output_dir is None:
            raise ResourceExhausted("this worker has no output_dir configured")
        return self.output_dir


def send_frame(fd, frame):
    body = json.dumps(frame).encode()
    data = struct.pack("<I", len(body)) + body
    while data:
        data = data[os.write(fd, data):]


def send_error(fd, outcome, message, service=None):
    frame = {"type": "error", "class": outcome, "message": " ".join(str(message).split())[:250]}
    if service and re.fullmatch(r"[a-z0-9_.-]{1,64}", service):
        frame["service"] = service
    send_frame(fd, frame)


def send_result(fd, result):
    try:
        text = json.dumps(result, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise Failure("result cannot be encoded as JSON: %s" % error) from None
    if len(text.encode()) > RESULT_SIZE_MAX:
        raise Failure("result has %d bytes, at most %d are kept" % (len(text.encode()), RESULT_SIZE_MAX))
    send_frame(fd, {"type": "result", "result": text})


def write_file(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def arrange_fds(fds, confined):
    """Reply channel high and closed on exec, stdin empty, stdout and stderr the task's, nothing else of the zygote's but the
    rules of the sandbox. The reply channel, the payload, the rules or None."""
    reply, payload, out, err = fds[:4]
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    with os.fdopen(os.dup(payload), "rb") as file:
        data = file.read(PAYLOAD_SIZE_MAX + 1)
    high = REPLY_FD
    rules = high + 1 if confined else None
    if confined:
        os.dup2(fds[-1], rules, inheritable=False)
    os.dup2(reply, high, inheritable=False)
    os.closerange(3, high)
    os.closerange(high + 2 if confined else high + 1, FD_MAX)
    return high, data, rules


def reset_signals():
    """FreeCAD's own handler of SIGSEGV turns a crash into exit 1: a crash must be seen as one."""
    for number in signal.valid_signals():
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            pass  # SIGKILL, SIGSTOP
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    faulthandler.enable(file=2, all_threads=False)


def set_limits(order):
    """No RLIMIT_AS: under it OCC meshes to zero triangles without any error. Memory is the cgroup's."""
    wanted = ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_CPU, order.get("cpu_seconds_max")),
              (resource.RLIMIT_FSIZE, order.get("file_bytes_max")), (resource.RLIMIT_NOFILE, order.get("fds_max")))
    for limit, value in wanted:
        if value is not None:
            resource.setrlimit(limit, (value, value))


def drop_privileges(order, libc, zygote_pid):
    try:
        write_file("/proc/self/oom_score_adj", str(OOM_SCORE_ADJ))
    except OSError:
        pass
    if order.get("uid") is not None:
        os.setgroups([])
        os.setresgid(order["gid"], order["gid"], order["gid"])
        os.setresuid(order["uid"], order["uid"], order["uid"])
    # After the change of user, which clears it. The zygote may have died before it was set.
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0 or libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError("prctl")
    if os.getppid() != zygote_pid:
        os.kill(os.getpid(), signal.SIGKILL)


def confine(libc, rules):
    """From here on only what the rules name can be reached. The filter of system calls is the zygote's own."""
    if rules is None:
        return
    if libc.syscall(SYS_LANDLOCK_RESTRICT_SELF, rules, 0) != 0:
        raise OSError(ctypes.get_errno(), "sandbox")
    os.close(rules)


def enter_work_dir(order):
    work_dir = order["work_dir"]
    os.chdir(work_dir)
    for name in ("HOME", "TMPDIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "JQ_WORK_DIR"):
        os.environ[name] = work_dir
    name, _, value = order["marker"].partition("=")
    os.environ[name] = value
    os.environ["JQ_TASK"], os.environ["JQ_ATTEMPT"] = order["task"], str(order["attempt"])
    tempfile.tempdir = None
    app = sys.modules.get("FreeCAD")
    if app is not None:
        for name in ("UserCachePath", "AppTempPath"):
            app.ConfigSet(name, work_dir + "/")


def run_handler(order, code, data, reply_fd):
    params = decode_payload(data)
    if isinstance(code, Exception):
        raise Failure("script %s: %s" % (order["script"], code))
    module = types.ModuleType("jq_handler")
    module.__file__ = order["script"]
    sys.modules["jq_handler"] = module
    sys.path.insert(0, os.path.dirname(order["script"]))
    exec(code, module.__dict__)
    return module.run(params, Context(order, reply_fd))


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass


def report(order, code, data, reply_fd):
    """Runs the handler and says how it went. The exit code."""
    try:
        send_result(reply_fd, run_handler(order, code, data, reply_fd))
        return 0
    except Failure as failure:
        send_error(reply_fd, failure.outcome, failure, failure.service)
        return failure.exit_code
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else EXIT_FAILURE
    except BaseException as error:
        traceback.print_exc()
        send_error(reply_fd, "process_failure", "%s: %s" % (type(error).__name__, error))
        return EXIT_FAILURE


def be_child(order, fds, code, libc, zygote_pid):
    """Never returns: what comes after it in this process is the zygote's."""
    exit_code = EXIT_FAILURE
    try:
        for fd in fds[4:4 + order["joins"]]:
            os.write(fd, b"0")
        os.setsid()
        reply_fd, data, rules = arrange_fds(fds, order["confined"])
        reset_signals()
        set_limits(order)
        drop_privileges(order, libc, zygote_pid)
        confine(libc, rules)
        enter_work_dir(order)
        exit_code = report(order, code, data, reply_fd)
    except BaseException:
        traceback.print_exc()
    finally:
        flush()
        os._exit(exit_code & 0xFF)


# --- the zygote -------------------------------------------------------------------------------------------------------


class Zygote:
    def __init__(self, control):
        self.control = control
        self.children = {}  # pidfd -> (id, pid)
        self.codes = {}  # script -> ((inode, mtime, size), code object or the exception)
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.poll = select.poll()
        self.poll.register(control, select.POLLIN)

    def say(self, message, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.control.sendmsg([json.dumps(message).encode()], rights)

    def hear(self):
        """One packet and its descriptors; (None, []) when the worker has gone."""
        size = socket.CMSG_LEN(FD_COUNT_MAX * array.array("i").itemsize)
        data, rights, flags, _ = self.control.recvmsg(PACKET_SIZE_MAX, size, socket.MSG_CMSG_CLOEXEC)
        fds = array.array("i")
        for level, kind, content in rights:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(content[:len(content) - len(content) % fds.itemsize])
        if not data:
            return None, []
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ValueError("packet too large")
        return json.loads(data), list(fds)

    def threads(self):
        return len(os.listdir("/proc/self/task"))

    def code_of(self, script):
        """Compiled here, once, and executed in children only."""
        try:
            status = os.stat(script)
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if script not in self.codes or self.codes[script][0] != stamp:
                # What the script imports from its own folder: children cannot keep what they compile.
                compileall.compile_dir(os.path.dirname(script), maxlevels=0, quiet=2)
                with open(script, "rb") as file:
                    self.codes[script] = (stamp, compile(file.read(), script, "exec"))
            return self.codes[script][1]
        except (OSError, SyntaxError, ValueError) as error:
            return error

    def run(self, order, fds):
        threads = self.threads()
        if threads != 1:
            self.say({"op": "refused", "id": order["id"], "why": "%d threads in the zygote" % threads, "threads": threads})
            return
        code = self.code_of(order["script"])
        zygote_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            be_child(order, fds, code, self.libc, zygote_pid)
        pidfd = os.pidfd_open(pid)
        self.children[pidfd] = (order["id"], pid)
        self.poll.register(pidfd, select.POLLIN)
        self.say({"op": "started", "id": order["id"], "pid": pid}, [pidfd])

    def on_control(self):
        """False when it is time to go."""
        order, fds = self.hear()
        try:
            if order is None or order["op"] == "exit":
                return False
            if order["op"] == "ping":
                self.say({"op": "pong", "id": order["id"], "threads": self.threads()})
            elif order["op"] == "run":
                try:
                    self.run(order, fds)
                except OSError as error:
                    self.say({"op": "refused", "id": order["id"], "why": "fork: %s" % error})
        finally:
            for fd in fds:
                os.close(fd)
        return True

    def on_child(self, pidfd):
        number, pid = self.children.pop(pidfd)
        _, status, usage = os.wait4(pid, 0)
        self.poll.unregister(pidfd)
        os.close(pidfd)
        self.say({"op": "exit", "id": number, "status": status, "utime_us": int(usage.ru_utime * 1e6),
                  "stime_us": int(usage.ru_stime * 1e6), "maxrss_kib": usage.ru_maxrss})

    def serve(self):
        goes_on = True
        while goes_on:
            for fd, _ in self.poll.poll():
                if fd == self.control.fileno():
                    goes_on = self.on_control() and goes_on
                else:
                    self.on_child(fd)


def preload():
    """The version, and what could not be loaded. Without FreeCAD (the tests of the worker's side) there is none."""
    missing = []
    for name in ("FreeCAD", "Part", "Import", "Mesh", "MeshPart"):
        try:
            __import__(name)
        except Exception as error:  # a broken module may raise anything
            missing.append("%s: %s" % (name, error))
    app = sys.modules.get("FreeCAD")
    version = ".".join(app.Version()[:3]) if app is not None else ""
    if not missing:
        warm_up()
    return version, missing


def warm_up():
    """OCC builds its tables of STEP entities at the first use: some milliseconds that every child would spend again. A box
    needs no boolean and no mesh, hence no thread."""
    path = os.path.join(os.environ.get("HOME", "/tmp"), "warm.step")
    try:
        sys.modules["Part"].makeBox(1, 1, 1).exportStep(path)
        os.unlink(path)
    except Exception:  # it is a gain of time only; what is broken shows in the tasks
        traceback.print_exc()


def main():
    control = socket.socket(fileno=CONTROL_FD)
    os.set_inheritable(CONTROL_FD, False)
    # A terminal's ^C is the worker's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    home = os.environ.get("HOME")
    if home and os.path.isdir(home):
        # Tasks, who may run as another user, read compiled modules there.
        os.chmod(home, 0o711)
        sys.pycache_prefix = os.path.join(home, "pycache")
    publish_module()
    version, missing = preload()
    zygote = Zygote(control)
    gc.collect()
    gc.freeze()
    zygote.say({"op": "hello", "pid": os.getpid(), "freecad": version, "missing": missing[:4],
                "threads": zygote.threads()})
    try:
        zygote.serve()
    except (BrokenPipeError, ConnectionResetError):
        pass  # the worker has gone
    flush()
    os._exit(0)


if __name__ == "__main__" or "FreeCAD" in sys.modules:
    try:
        main()
    except BaseException:  # FreeCAD would go on to its interactive console
        traceback.print_exc()
        flush()
        os._exit(1)
