"""A bed for tests: a temporary folder, free ports of loopback, a broker and workers as real processes, jqctl.

Everything that a test starts is ended by its own pid when the test ends. Nothing sleeps blindly: wait_until() asks for
the event, with a deadline.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from . import sp

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BIN = os.environ.get("JQ_BIN") or os.path.join(ROOT, "zig-out", "bin")
START_S = 60
PORT_MIN = 10000

FINAL_STATES = ("succeeded", "dead", "cancelled", "expired")


def program(name):
    return os.path.join(BIN, name)


def wait_until(what, is_true, within_s=START_S):
    """Asks again and again for something true, which is returned."""
    deadline = time.monotonic() + within_s
    while not (found := is_true()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(0.02)
    return found


def port_ceiling():
    """Below what the kernel gives to outgoing connections: one of those could take a port while its broker restarts."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            return int(file.read().split()[0])
    except (OSError, ValueError):
        return 32768


def free_ports(count, host="127.0.0.1"):
    """Ports of `host` that nobody listens on; all are held until all are found, so that they differ."""
    held, ceiling = [], port_ceiling()
    while len(held) < count:
        try:
            held.append(socket.create_server((host, random.randrange(PORT_MIN, ceiling) if ceiling > 2 * PORT_MIN else 0)))
        except OSError:
            pass
    ports = [listener.getsockname()[1] for listener in held]
    for listener in held:
        listener.close()
    return ports


def is_alive(pid):
    """A zombie is dead: it runs nothing."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Process:
    """A program under test; its log goes to NAME.log in the bed's folder."""

    def __init__(self, bed, name, command, environment=None):
        self.name, self.command = name, command
        self.environment = dict(os.environ, **(environment or {}))
        self.log_path = bed.path(name + ".log")
        self.child = None

    @property
    def pid(self):
        return self.child.pid

    def start(self):
        with open(self.log_path, "ab") as log:
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment,
                start_new_session=True,
            )
        return self

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.child.wait(START_S)

    def wait(self, within_s=START_S):
        """The exit code."""
        return self.child.wait(within_s)

    def stop(self, within_s=START_S):
        self.signal(signal.SIGTERM)
        return self.wait(within_s)

    def end(self, within_s=0):
        """SIGTERM, if there is time for it; SIGKILL to what is left."""
        if self.child is None or self.child.poll() is not None:
            return
        if within_s > 0:
            self.signal(signal.SIGTERM)
        try:
            self.child.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()


def options(settings):
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


class Bed:
    def __init__(self, host="127.0.0.1"):
        """`host`: an address of this machine, on which the broker listens."""
        self.folder = tempfile.mkdtemp(prefix="jqmesh-e2e-")
        os.chmod(self.folder, 0o755)  # Where the worker is root its tasks run as `nobody`.
        self.request_port, self.notice_port, self.survey_port, self.http_port = free_ports(4, host)
        self.host = host
        self.request = f"tcp://{host}:{self.request_port}"
        self.notice = f"tcp://{host}:{self.notice_port}"
        self.survey = f"tcp://{host}:{self.survey_port}"
        self.data = self.path("data")
        self.processes = []
        self.clients = []
        self.watch = None
        self.token, self.worker_token_file = None, ""  # Where the broker asks for tokens: see use_tokens().
        self.broker = None

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def open_folder(self, name):
        """A folder into which tasks may write, whoever they run as."""
        os.makedirs(self.path(name), exist_ok=True)
        os.chmod(self.path(name), 0o777)
        return self.path(name)

    def process(self, name, command, environment=None):
        process = Process(self, name, command, environment)
        self.processes.append(process)
        return process

    def broker_settings(self):
        return {
            "broker.data_dir": self.data,
            "broker.auth": "off",
            "broker.listen_request": f"{self.request} ipc://{self.path('broker.sock')}",
            "broker.listen_notice": self.notice,
            "broker.listen_survey": self.survey,
            "broker.listen_http": f"{self.host}:{self.http_port}",
            "liveness.heartbeat": "200ms",
            "liveness.liveness": "3s",
            "retry.base": "50ms",
            "journal.retention_time": "1h",
            "limits.disk_free_min": "1M",
        }

    def new_token(self, name, role, *words):
        """(token, its line for the broker's file)"""
        code, out, err = self.run_jqctl("token", "new", "--name", name, "--role", role, *words)
        assert code == 0, err
        token, line = out.splitlines()
        return token, line

    def write_secret(self, name, text):
        path = self.write(name, text)
        os.chmod(path, 0o600)
        return path

    def use_tokens(self):
        """From now on everything here has a token. Returns what a broker must be told for it."""
        self.token, admin_line = self.new_token("admin", "admin")
        worker_token, worker_line = self.new_token("worker", "worker")
        self.worker_token_file = self.write_secret("worker.token", worker_token + "\n")
        path = self.write_secret("tokens", f"{admin_line}\n{worker_line}\n")
        return {"broker.auth": "tokens", "broker.tokens_file": path}

    def new_broker(self, settings=None, environment=None, name="broker"):
        """Not started yet."""
        chosen = {**self.broker_settings(), **(settings or {})}
        self.broker = self.process(name, [program("jqbroker"), *options(chosen)], environment)
        return self.broker

    def start_broker(self, settings=None, environment=None):
        self.new_broker(settings, environment).start()
        self.wait_for_broker()
        return self.broker

    def wait_for_broker(self):
        code, _, err = self.run_jqctl("server", "wait", "--timeout", f"{START_S}s")
        if code != 0:
            raise AssertionError(f"broker: {err}\n{self.broker.log()}")

    def new_worker(self, name, handlers, settings=None):
        """`handlers`: name -> lines of its section. Not started yet."""
        folder = self.path(name, "handlers.d")
        os.makedirs(folder, exist_ok=True)
        for handler, lines in handlers.items():
            with open(os.path.join(folder, handler + ".conf"), "w", encoding="utf-8") as file:
                notes = "" if "write =" in lines else f"write = {self.folder}\n"  # Tests' handlers leave notes there.
                file.write(f"[handler {handler}]\n{lines}\n{notes}")
        chosen = {
            "worker.name": name,
            "worker.request": self.request,
            "worker.token_file": self.worker_token_file,
            "worker.survey": self.survey,
            "worker.offers": "cpu=4 mem=2G",
            "worker.slots": "4",
            "worker.handlers_dir": folder,
            "worker.state_dir": self.path(name, "state"),
            "worker.work_dir": self.path(name, "work"),
            "worker.output_dir": self.path(name, "output"),
            "worker.grace": "1s",
            "worker.drain": "100ms",
            "worker.memory_pressure": "100",
            "worker.psi_pressure": "100",
            "worker.read": self.folder,
            **(settings or {}),
        }
        return self.process(name, [program("jqworker"), *options(chosen)])

    def start_worker(self, name, handlers, settings=None):
        worker = self.new_worker(name, handlers, settings).start()
        self.wait_for_worker(name)
        return worker

    def wait_for_worker(self, name):
        wait_until(f"worker {name} alive", lambda: self.worker(name).get("alive"))

    def worker(self, name):
        found = [worker for worker in self.ask("worker", "ls")["items"] if worker["name"] == name]
        return found[0] if found else {}

    def run_jqctl(self, *words, token=None, timeout_s=150):
        """(exit code, stdout, stderr)"""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("JQ_")}
        environment["JQ_SERVER"] = self.request
        if token or self.token:
            environment["JQ_TOKEN"] = token or self.token
        done = subprocess.run(
            [program("jqctl"), *words], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=timeout_s, check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def ask(self, *words, codes=(0,)):
        code, out, err = self.run_jqctl(*words, "--json")
        if code not in codes:
            raise AssertionError(f"jqctl {' '.join(words)}: exit {code}: {err}")
        return json.loads(out)

    def do(self, *words):
        """A command that only acts."""
        code, _, err = self.run_jqctl(*words)
        if code != 0:
            raise AssertionError(f"jqctl {' '.join(words)}: exit {code}: {err}")

    def submit(self, handler, *words, payload=None):
        """The task's id."""
        if payload is not None:
            words = (*words, "--payload", json.dumps(payload))
        code, out, err = self.run_jqctl("task", "submit", handler, *words)
        if code != 0:
            raise AssertionError(f"submit: exit {code}: {err}")
        return out.strip()

    def task(self, task_id):
        return self.ask("task", "show", task_id)["item"]

    def wait_for_state(self, task_id, *states, within_s=START_S):
        def reached():
            task = self.task(task_id)
            if task["state"] in states:
                return task
            if task["state"] in FINAL_STATES:
                raise AssertionError(f"task {task_id} ended otherwise: {task}")
            return None

        return wait_until(f"task {task_id} {' or '.join(states)}", reached, within_s)

    def status(self):
        """The broker's numbers, over a connection that is kept: cheap enough to be asked all the time."""
        if self.watch is None:
            self.watch = self.client()
        status, body = self.watch.ask("server.status")
        assert status == sp.OK, body
        return body

    def client(self, token=None):
        client = sp.Client(self.request, token or self.token)
        self.clients.append(client)
        return client

    def journal(self):
        """All records, as documents."""
        code, out, err = self.run_jqctl("journal", "dump", self.data, "--json")
        if code != 0:
            raise AssertionError(f"journal dump: exit {code}: {err}")
        return [json.loads(line) for line in out.splitlines()]

    def end(self):
        for client in self.clients:
            client.close()
        for process in reversed(self.processes):
            process.end(within_s=5)  # A worker that is not killed takes its tasks and cgroups with it.
        shutil.rmtree(self.folder, ignore_errors=True)


def shell(script, *words):
    """The line of a handler that runs a shell script."""
    return f"command = /bin/sh -c '{script}' sh {' '.join(words)}".rstrip()


class TestCase(unittest.TestCase):
    """A test with a bed of its own; the logs are shown when it fails."""

    maxDiff = None

    def setUp(self):
        self.bed = Bed()
        self.addCleanup(self.leave)

    def leave(self):
        outcome = getattr(self._outcome, "result", None)
        failed = outcome is not None and any(test is self for test, _ in outcome.failures + outcome.errors)
        if failed:
            for process in self.bed.processes:
                print(f"--- {process.name}\n{process.log()[-3000:]}", flush=True)
        self.bed.end()
