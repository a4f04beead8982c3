"""The processes of the demo: a folder and free ports of its own, the broker, workers, and jqctl to speak to them.

Everything lies under one temporary folder; everything started is ended by its own pid.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

START_S = 60  # How long a process may take to come up on a busy machine.


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


def free_ports(count):
    """Ports of 127.0.0.1 that nobody listens on; all are held until all are found, so that they differ.

    From below those that the kernel gives to outgoing connections: one of these could take the port of a broker that restarts.
    """
    held = []
    while len(held) < count:
        try:
            held.append(socket.create_server(("127.0.0.1", random.randrange(10000, 32768))))
        except OSError:
            pass
    ports = [listener.getsockname()[1] for listener in held]
    for listener in held:
        listener.close()
    return ports


def folder_of_binaries():
    """Where jqbroker, jqworker and jqctl are: JQ_BIN, else where `zig build` puts them."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    folder = os.environ.get("JQ_BIN") or os.path.join(root, "zig-out", "bin")
    for name in ("jqbroker", "jqworker", "jqctl"):
        if not os.access(os.path.join(folder, name), os.X_OK):
            raise DemoError(f"{name} is not in {folder}: run the demo by `tools/dev demo`, which builds it")
    return folder


class Place:
    """The folder, addresses and programs that all parts of one run share."""

    def __init__(self):
        self.bin = folder_of_binaries()
        self.source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        self.folder = tempfile.mkdtemp(prefix="jqmesh-demo-")
        os.chmod(self.folder, 0o755)  # Tasks run as `nobody` where the worker is root, and read their inputs here.
        request, notice, survey, self.http_port = free_ports(4)
        self.request = f"tcp://127.0.0.1:{request}"
        self.notice = f"tcp://127.0.0.1:{notice}"
        self.survey = f"tcp://127.0.0.1:{survey}"
        self.socket = "ipc://" + self.path("broker.sock")

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def make_folder(self, *names):
        path = self.path(*names)
        os.makedirs(path, exist_ok=True)
        return path

    def program(self, name):
        return os.path.join(self.bin, name)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Process:
    """A program that is started, killed and started again; its log goes to NAME.log."""

    def __init__(self, place, name, command):
        self.place, self.name, self.command = place, name, command
        self.child = None

    @property
    def pid(self):
        return self.child.pid

    def start(self):
        with open(self.place.path(self.name + ".log"), "ab") as log:
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def ask_to_stop(self):
        if self.child is not None and self.child.poll() is None:
            self.child.terminate()

    def stop(self, within_s=30):
        """SIGTERM, so that it finishes what it does; SIGKILL if it does not."""
        if self.child is None:
            return
        self.ask_to_stop()
        try:
            self.child.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def check_alive(self):
        if self.child.poll() is not None:
            raise DemoError(f"{self.name} ended by itself (status {self.child.returncode}):\n{self.log_tail()}")

    def log_tail(self):
        with open(self.place.path(self.name + ".log"), encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-8:])


def options(settings):
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


class Broker(Process):
    def __init__(self, place):
        self.data = place.path("broker")
        settings = {
            "broker.auth": "off",  # Loopback and a socket in our own folder: nobody else can reach it.
            "broker.listen_request": f"{place.request} {place.socket}",
            "broker.listen_notice": place.notice,
            "broker.listen_survey": place.survey,
            "broker.listen_http": f"127.0.0.1:{place.http_port}",
            "journal.retention_time": "1h",  # Keeps the whole history, for the count of outcomes at the end.
        }
        super().__init__(place, "broker", [place.program("jqbroker"), "--data-dir", self.data, *options(settings)])


class Worker(Process):
    def __init__(self, place, kind, offers, handlers):
        self.kind, self.output = kind, place.path(f"worker-{kind}", "output")
        folder = place.make_folder(f"worker-{kind}", "handlers.d")
        for handler in handlers:
            shutil.copy(os.path.join(place.source, "conf", "handlers.d", handler + ".conf"), folder)
        settings = {
            "worker.name": "demo-" + kind,
            "worker.request": place.request,
            "worker.survey": place.survey,
            "worker.offers": offers,
            "worker.handlers_dir": folder,
            "worker.state_dir": place.path(f"worker-{kind}", "state"),
            "worker.work_dir": place.path(f"worker-{kind}", "work"),
            "worker.output_dir": self.output,
            "worker.drain": "1s",
            "worker.read": place.path(),
            "freecad.scripts_dir": place.path("freecad"),
        }
        super().__init__(place, "demo-" + kind, [place.program("jqworker"), *options(settings)])


class Jqctl:
    """jqctl, as a person would call it, with the answers as documents."""

    def __init__(self, place):
        self.program = place.program("jqctl")
        self.environment = dict(os.environ, JQ_SERVER=place.socket)
        self.environment.pop("JQ_TOKEN", None)

    def run(self, *words, timeout_s=START_S):
        """Returns (exit code, stdout, stderr)."""
        done = subprocess.run(
            [self.program, *words], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=timeout_s, check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def ask(self, *words, codes=(0,)):
        """The JSON document that jqctl answers."""
        code, out, err = self.run(*words, "--json")
        if code not in codes:
            raise DemoError(f"jqctl {' '.join(words)}: exit {code}: {err.strip()}")
        return json.loads(out)

    def wait_for_server(self):
        code, _, err = self.run("server", "wait", "--timeout", f"{START_S - 5}s")
        if code != 0:
            raise DemoError(f"the broker does not answer: {err.strip()}")

    def tasks(self):
        return self.ask("task", "ls", "--limit", "0")["items"]

    def alive_workers(self):
        return {worker["name"] for worker in self.ask("worker", "ls")["items"] if worker["alive"]}


def wait_until(what, is_true, processes, within_s=START_S):
    """Asks again and again; fails if a process ends meanwhile, or time is up."""
    deadline = time.monotonic() + within_s
    while not is_true():
        for process in processes:
            process.check_alive()
        if time.monotonic() > deadline:
            logs = "".join(process.log_tail() for process in processes)
            raise DemoError(f"{what}: not within {within_s} s\n{logs}")
        time.sleep(0.03)


def end_on_sigterm():
    """SIGTERM and SIGHUP leave by the same door as Ctrl-C, so that everything is cleaned up."""

    def leave(number, _frame):
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)
