#!/usr/bin/env python3
"""Measures jqmesh as its users run it: whole processes, durable on a real disk, everything on this machine.

    run.py [--runs N] [--quick] [--only NAME[,NAME]]     (zig build bench -- ...)

Every figure is the median of N runs (5), with the spread, beside references taken in the same run of this program: F, the rate of
write+fdatasync of 200 bytes into a zero-filled file, and echoes per second through common/transport: E1 and E16, 1 and 16 under way
over one connection, and E16C, 1 over each of 16; taken anew before each run that is held against them. Machines differ, and so do
minutes: only ratios to the references carry over. A figure below its goal is printed as such and fails nothing.

JQ_BIN is the folder of jqbroker, JQ_TEST_BIN that of bench_queue and bench_echo (default: the same).
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

BIN = os.environ.get("JQ_BIN", "zig-out/bin")
LOADS = os.environ.get("JQ_TEST_BIN", BIN)
SLOTS = 4000
WAIT_S = 300
ECHO_MS = 60  # of each of 5 runs of each load, where echoes are taken again


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def load(name, *args, env=None, wait=True):
    """Runs one load. Its line as a dict of numbers, or the process when it is not waited for."""
    command = [os.path.join(LOADS, name), *map(str, args)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    return numbers(finish(process)) if wait else process


def finish(process):
    out, _ = process.communicate(timeout=WAIT_S)
    if process.returncode != 0:
        raise RuntimeError("%s ended with %d" % (" ".join(process.args), process.returncode))
    return out


def numbers(text):
    return {key: float(value) for key, value in re.findall(r"(\w+)=([-+0-9.eE]+)", text)}


class Broker:
    """A jqbroker on free ports with a journal of its own in `folder`."""

    def __init__(self, folder, durability="fsync"):
        self.folder = os.path.join(folder, "journal")
        self.ports = [free_port() for _ in range(4)]
        self.durability = durability
        self.env = dict(os.environ, JQ_SERVER="tcp://127.0.0.1:%d" % self.ports[0],
                        JQ_SURVEY="tcp://127.0.0.1:%d" % self.ports[2])
        self.process = None

    def start(self):
        keys = {"data_dir": self.folder, "auth": "off", "durability": self.durability, "log_level": "warn",
                "listen_request": "tcp://127.0.0.1:%d" % self.ports[0],
                "listen_notice": "tcp://127.0.0.1:%d" % self.ports[1],
                "listen_survey": "tcp://127.0.0.1:%d" % self.ports[2],
                "listen_http": "127.0.0.1:%d" % self.ports[3]}
        command = [os.path.join(BIN, "jqbroker")]
        for key, value in keys.items():
            command += ["--set", "broker.%s=%s" % (key, value)]
        self.process = subprocess.Popen(command)
        return self

    def wait_ready(self):
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.ports[3]), timeout=1) as http:
                    http.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
                    if b" 200 " in http.recv(64):
                        return self
            except OSError:
                pass
            time.sleep(0.01)
        raise RuntimeError("the broker does not become ready")

    def rss_bytes(self):
        with open("/proc/%d/status" % self.process.pid) as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) * 1024

    def peak_bytes(self):
        with open("/proc/%d/status" % self.process.pid) as status:
            return int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1)) * 1024

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        if self.process.wait(timeout=60) != 0:
            raise RuntimeError("the broker ended with %d" % self.process.returncode)


class Bench:
    def __init__(self, folder, runs, scale):
        self.folder, self.runs, self.scale = folder, runs, scale
        self.sync = []
        self.rows = []

    def fresh(self, durability="fsync"):
        folder = tempfile.mkdtemp(dir=self.folder)
        self.last_folder = folder
        return Broker(folder, durability).start().wait_ready()

    def clear(self, broker):
        broker.stop()
        shutil.rmtree(self.last_folder)

    def reference(self):
        """F, before every run: the disk is what changes most from minute to minute."""
        sample = load("bench_queue", "disk", self.folder)
        self.sync.append(sample)
        return sample

    def repeat(self, name, one_run, unit, goal, better=max):
        values = []
        for _ in range(self.runs):
            reference = self.reference()
            values.append(one_run(reference))
        self.add(name, values, unit, goal, better)

    def add(self, name, values, unit, goal, better=max):
        median = statistics.median(values)
        reached = goal is None or (median >= goal if better is max else median <= goal)
        self.rows.append((name, median, min(values), max(values), unit, goal, reached))
        print("  %-44s %14s %-8s [%s .. %s]%s" % (
            name, shown(median), unit, shown(min(values)), shown(max(values)),
            "" if goal is None else "   goal %s: %s" % (shown(goal), "reached" if reached else "NOT REACHED")), flush=True)

    # ---- the figures ----

    def take_echoes(self, *run_ms):
        lines = [numbers(line) for line in finish(load("bench_echo", *run_ms, wait=False)).splitlines()]
        rates = {(kind, line[kind]): line["rate"] for line in lines for kind in ("outstanding", "clients")
                 if kind in line and line["size"] == 100}
        self.e1, self.e16, self.e16c = rates["outstanding", 1], rates["outstanding", 16], rates["clients", 16]

    def echoes(self):
        self.take_echoes()
        for name, rate in (("E1, echo, 1 under way", self.e1), ("E16, echo, 16 under way", self.e16),
                           ("E16C, echo, 16 clients", self.e16c)):
            print("  %-44s %14s %-8s" % (name, shown(rate), "/s"), flush=True)

    def submit(self):
        count = int(1000000 * self.scale)

        def run(_):
            broker = self.fresh()
            rate = load("bench_queue", "submit", count, 100, env=broker.env)["rate"]
            self.clear(broker)
            return rate
        self.repeat("submit, batched", run, "tasks/s", 600000)

    def single(self, load_name, count, title, goal, **goals_of):
        """One task a call: `count` clients, or `count` threads of one client, that wait for each answer. Each run has echoes of its own."""
        ratios = {name: [] for name in goals_of}

        def run(reference):
            self.take_echoes(ECHO_MS)
            broker = self.fresh()
            rate = load("bench_queue", load_name, 2000, count, env=broker.env)["rate"]
            self.clear(broker)
            for name, goal_of in goals_of.items():
                ratios[name].append(rate / goal_of(reference["rate"]))
            return rate
        self.repeat("submit, one at a time, " + title, run, "tasks/s", None)
        for name in goals_of:
            self.add("    as a share of what disk and %s allow" % name, ratios[name], "", goal)

    def singles(self):
        self.single("single", 1, "1 client", 0.8, E1=lambda rate: 1 / (1 / rate + 1 / self.e1))
        e16, e16c = lambda rate: min(8 * rate, self.e16), lambda rate: min(8 * rate, self.e16c)
        self.single("single", 16, "16 clients", 0.6, E16=e16, E16C=e16c)
        self.single("shared", 16, "16 threads of a client", 0.6, E16=e16)

    def end_to_end(self, durability, goal):
        count = int(1000000 * self.scale)

        def run(_):
            broker = self.fresh(durability)
            worker = load("bench_queue", "worker", SLOTS, env=broker.env, wait=False)
            ended = load("bench_queue", "ended", count, env=broker.env, wait=False)
            ended.stdout.readline()  # "begun"
            start_ns = time.monotonic_ns()
            load("bench_queue", "submit", count, 100, env=broker.env)
            seconds = (numbers(finish(ended))["at_ns"] - start_ns) / 1e9
            worker.send_signal(signal.SIGTERM)
            finish(worker)
            self.clear(broker)
            return count / seconds
        self.repeat("end to end, durability = %s" % durability, run, "tasks/s", goal)

    def latency(self):
        p50, p99, over = [], [], []

        def run(reference):
            broker = self.fresh()
            result = load("bench_queue", "latency", int(2000 * self.scale) or 200, 200, env=broker.env)
            self.clear(broker)
            p50.append(result["p50_us"] / 1000)
            p99.append(result["p99_us"] / 1000)
            over.append((result["p50_us"] - reference["p50_us"]) / 1000)
            return p50[-1]
        self.repeat("dispatch latency at 200/s, p50", run, "ms", None)
        self.add("    beyond the p50 of one fdatasync", over, "ms", 0.35, min)
        self.add("    p99", p99, "ms", 2.0, min)

    def cached(self):
        """From the submit of a task whose answer is kept to its result, a request each, one client."""
        p50, p99, over = [], [], []

        def run(reference):
            broker = self.fresh()
            worker = self.worker(broker, "command = /bin/true\nstdin = none\npure = yes\n")
            result = load("bench_queue", "cached", int(2000 * self.scale) or 200, env=broker.env)
            worker.terminate()
            worker.wait(timeout=60)
            self.clear(broker)
            p50.append(result["p50_us"] / 1000)
            p99.append(result["p99_us"] / 1000)
            over.append((result["p50_us"] - reference["p50_us"]) / 1000)
            return p50[-1]
        self.repeat("cached answer, submit to result, p50", run, "ms", None)
        self.add("    beyond the p50 of one fdatasync", over, "ms", 5, min)
        self.add("    p99", p99, "ms", None, min)

    def memory(self):
        count = int(1000000 * self.scale)

        def run(_):
            broker = self.fresh()
            before = broker.rss_bytes()
            load("bench_queue", "submit", count, 100, env=broker.env)
            size = (broker.rss_bytes() - before) / count
            self.clear(broker)
            return size
        self.repeat("broker memory per queued task", run, "bytes", 110, min)

    def restart(self):
        count = int(1000000 * self.scale)

        def run(_):
            broker = self.fresh()
            load("bench_queue", "submit", count, 100, env=broker.env)
            broker.kill()
            worker = load("bench_queue", "first", env=broker.env, wait=False)
            time.sleep(0.5)  # the worker is there, and knocks
            start_ns = time.monotonic_ns()
            broker.start()
            seconds = (numbers(finish(worker))["at_ns"] - start_ns) / 1e9
            self.clear(broker)
            return seconds
        self.repeat("restart with %s queued, to the first lease" % shown(count), run, "s", 0.4, min)

    def freecad(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "freecad_bench.py")
        if not os.path.exists(script) or not shutil.which("freecadcmd"):
            print("  FreeCAD is not installed: its figure is left out")
            return
        out = finish(subprocess.Popen([sys.executable, script, "--runs", str(self.runs)], stdout=subprocess.PIPE, text=True))
        ratios = [numbers(line)["ratio"] for line in out.splitlines() if "ratio=" in line]
        self.add("FreeCAD tasks, zygote over a process per task", ratios, "times", 10)

    def spawn(self):
        """A program as an isolated task, beside a bare loop of posix_spawn: bench_exec.c. Then through broker and worker."""
        count = int(4000 * self.scale)
        lines = finish(load("bench_exec", "spawn", count, self.runs, wait=False)).splitlines()
        rounds = [numbers(line) for line in lines if "task_rate" in line]
        self.add("/bin/true, bare posix_spawn, 2 in flight", [one["spawn_rate"] for one in rounds], "/s", None)
        self.add("/bin/true as an isolated task, without a broker", [one["task_rate"] for one in rounds], "/s", None)
        self.add("    what isolation adds to each", [one["overhead_us"] for one in rounds], "us", None)

        def run(_):
            broker = self.fresh()
            worker = self.worker(broker, "command = /bin/true\nstdin = none\noutput_files_max = 0\nneed = mem=64M\n")
            ended = load("bench_queue", "ended", count, env=broker.env, wait=False)
            ended.stdout.readline()  # "begun"
            start_ns = time.monotonic_ns()
            load("bench_queue", "submit", count, 100, env=broker.env)
            seconds = (numbers(finish(ended))["at_ns"] - start_ns) / 1e9
            worker.terminate()
            worker.wait(timeout=60)
            self.clear(broker)
            return count / seconds
        self.repeat("exec handler `true`, end to end, one worker", run, "tasks/s", 1000)

    def worker(self, broker, handler, *more):
        """A jqworker with one handler, `noop`; what it needs lies in the broker's folder and goes with it."""
        folder = os.path.join(self.last_folder, "worker")
        handlers = os.path.join(folder, "handlers.d")
        os.makedirs(handlers)
        for path in (self.folder, self.last_folder, folder):
            os.chmod(path, 0o755)  # where the worker is root its tasks are not
        with open(os.path.join(handlers, "noop.conf"), "w") as file:
            file.write("[handler noop]\n" + handler)
        keys = {"name": "bench", "request": broker.env["JQ_SERVER"], "survey": broker.env["JQ_SURVEY"], "slots": "8",
                "offers": "auto", "handlers_dir": handlers, "state_dir": os.path.join(folder, "state"),
                "work_dir": os.path.join(folder, "work"), "output_dir": os.path.join(folder, "output"),
                "log_level": "warn", "memory_pressure": "100", "psi_pressure": "100"}
        command = [os.path.join(BIN, "jqworker")]
        for key, value in keys.items():
            command += ["--set", "worker.%s=%s" % (key, value)]
        return subprocess.Popen(command + list(more))

    def cancel(self):
        """From the order to end a tree that ignores SIGTERM, beyond its grace, until its cgroup is proven empty."""
        lines = finish(load("bench_exec", "cancel", self.runs, wait=False)).splitlines()
        self.add("cancel to empty cgroup, beyond the grace", [numbers(line)["beyond_ms"] for line in lines], "ms", 100, min)

    def tcp_copy(self, source, target, synced):
        """Seconds that a plain copy over loopback TCP takes, from the file to the file; with what the disk takes to have it, or not."""
        listener = socket.create_server(("127.0.0.1", 0))

        def receive():
            stream, _ = listener.accept()
            buffer = bytearray(1 << 20)
            with stream, open(target, "wb", buffering=0) as file:
                while (size := stream.recv_into(buffer)) > 0:
                    file.write(memoryview(buffer)[:size])
                if synced:
                    os.fsync(file.fileno())

        begin = time.monotonic()
        receiver = threading.Thread(target=receive)
        receiver.start()
        with open(source, "rb", buffering=0) as file, socket.create_connection(listener.getsockname()) as stream:
            while piece := file.read(1 << 20):
                stream.sendall(piece)
        receiver.join()
        listener.close()
        return time.monotonic() - begin

    def blobs(self):
        """A file to the store and back by jqctl, SHA-256 at both ends and all, beside a plain TCP copy of it in the same run."""
        size = int((256 << 20) * self.scale)
        source, target = os.path.join(self.folder, "source"), os.path.join(self.folder, "target")
        puts, gets, put_ratios, get_ratios = [], [], [], []
        for _ in range(self.runs):
            with open(source, "wb") as file:
                file.write(os.urandom(size))
            broker = self.fresh()
            with open(source, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()

            def timed(*words):
                begin = time.monotonic()
                subprocess.run([os.path.join(BIN, "jqctl"), "blob", *words], env=broker.env, check=True,
                               stdout=subprocess.DEVNULL, timeout=WAIT_S)
                return time.monotonic() - begin
            synced, put = self.tcp_copy(source, target, True), timed("put", source)
            os.remove(target)
            plain = self.tcp_copy(source, target, False)
            os.remove(target)
            get = timed("get", digest, target)
            os.remove(target)
            puts.append(size / put / 1e6)
            gets.append(size / get / 1e6)
            put_ratios.append(synced / put)
            get_ratios.append(plain / get)
            self.clear(broker)
        self.add("blob put, %s MB" % shown(size / 1e6), puts, "MB/s", None)
        self.add("    over a TCP copy that is synced", put_ratios, "", 0.5)
        self.add("blob get", gets, "MB/s", None)
        self.add("    over a TCP copy", get_ratios, "", 0.5)

    def first_task(self, broker, begin):
        """Milliseconds from `begin` to the end of the first task."""
        ended = load("bench_queue", "ended", 1, env=broker.env, wait=False)
        ended.stdout.readline()  # "begun"
        start_ns = time.monotonic_ns()
        started = begin()
        return (numbers(finish(ended))["at_ns"] - start_ns) / 1e6, started

    def wake(self):
        """From the submit that only a sleeping worker can run to its end, beyond what a worker takes that is started by hand."""
        activate = shutil.which("systemd-socket-activate")
        if not activate:
            print("  systemd-socket-activate is not installed: the doorbell's figure is left out")
            return
        handler = "command = /bin/true\nstdin = none\n"
        own, beyond = [], []
        for _ in range(self.runs):
            broker = self.fresh()
            bell = os.path.join(self.last_folder, "bell.sock")
            more = ["--set", "worker.idle_exit=300ms", "--set", "worker.doorbell=ipc://" + bell]
            load("bench_queue", "submit", 1, 100, env=broker.env)
            by_hand, worker = self.first_task(broker, lambda: self.worker(broker, handler, *more))
            worker.wait(timeout=60)  # it sleeps
            sleeper = subprocess.Popen([activate, "-l", bell, *worker.args], stderr=subprocess.DEVNULL)
            while not os.path.exists(bell):
                time.sleep(0.01)
            time.sleep(5)  # a broker that has just started rings nobody: those who are awake may not have come back yet
            rung, _ = self.first_task(broker, lambda: load("bench_queue", "submit", 1, 100, env=broker.env))
            sleeper.wait(timeout=60)
            own.append(by_hand)
            beyond.append(rung - by_hand)
            self.clear(broker)
        self.add("worker started by hand, to its first task's end", own, "ms", None)
        self.add("woken by its doorbell: beyond that", beyond, "ms", 100, min)

    def core(self):
        """What the core alone costs, beside a backlog and over many kinds of tasks: bench_core.c."""
        large = int(10000000 * self.scale)
        small, loaded, explains, leases = [], [], [], []
        for _ in range(min(self.runs, 2)):
            small.append(load("bench_core", "backlog", 1000))
            loaded.append(load("bench_core", "backlog", large))
            explains.append(loaded[-1]["explain_worst_ms"])
            leases.append(max(load("bench_core", "classes", queues)["lease_us"] for queues in (1, 1000)))
        for part in ("submit", "lease", "report"):
            for runs, count in ((small, 1000), (loaded, large)):
                self.add("core: %s with %s queued" % (part, shown(count)), [run[part + "_ns"] for run in runs], "ns/task", None)
        ratios = [many["all_ns"] / few["all_ns"] for few, many in zip(small, loaded)]
        self.add("    all three: how many times as much", ratios, "", 2, min)
        self.add("    task explain there, the slowest", explains, "ms", 10, min)
        self.add("core: lease, 1,000 classes, 1,000 workers", leases, "us", 50, min)

    def verify(self):
        """jqctl journal verify: every block's checksums and chain, and every record with the checksum of its body."""
        count = int(1000000 * self.scale)
        jqctl = os.path.join(BIN, "jqctl")
        for size in (100, 4000):
            broker = self.fresh()
            load("bench_queue", "submit", count if size == 100 else count // 10, size, env=broker.env)
            broker.stop()

            alone = []

            def run(_):
                start, before = time.monotonic(), os.times()
                out = subprocess.run([jqctl, "journal", "verify", broker.folder, "--json"], check=True, capture_output=True)
                seconds, after = time.monotonic() - start, os.times()
                megabytes = json.loads(out.stdout)["item"]["block_bytes"] / 1e6
                alone.append(megabytes / max(0.01, after[2] + after[3] - before[2] - before[3]))
                return megabytes / seconds
            self.repeat("journal verify, payloads of %d bytes" % size, run, "MB/s", 500)
            self.add("    by its processor time, whatever else runs", alone, "MB/s", None)
            shutil.rmtree(self.last_folder)

    def relocation(self):
        """How long the core is at one slice of the log that is being moved: processor time, bench_relocate.c."""
        count = int(10000000 * self.scale)
        runs = [load("bench_relocate", count, 20000) for _ in range(min(self.runs, 2))]
        self.add("core: a slice moved, %s queued, the slowest" % shown(count), [run["slice_max_ms"] for run in runs], "ms", 5, min)
        self.add("    the usual one", [run["slice_p50_ms"] for run in runs], "ms", None)
        self.add("    the prologue of a segment", [run["prologue_ms"] for run in runs], "ms", 5, min)

    def restart10m(self):
        """Takes a minute a run, and so is no part of a run that names no figures."""
        count = int(10000000 * self.scale)
        memory = []

        def run(_):
            broker = self.fresh()
            load("bench_queue", "submit", count, 100, env=broker.env)
            broker.kill()
            start = time.monotonic()
            broker.start().wait_ready()
            seconds = time.monotonic() - start
            memory.append(broker.peak_bytes() / 1e9)
            self.clear(broker)
            return seconds
        self.repeat("restart with %s queued, until ready" % shown(count), run, "s", 10, min)
        self.add("    most memory that it took", memory, "GB", 1.6, min)

    def references(self):
        if not self.sync:  # nothing was measured that touches the disk
            return
        rates = [sample["rate"] for sample in self.sync]
        self.add("F, write+fdatasync of 200 bytes", rates, "/s", None)
        self.add("    p50", [sample["p50_us"] for sample in self.sync], "us", None)


def shown(value):
    if abs(value) >= 1000:
        return "{:,.0f}".format(value)
    return "%.3g" % value


def machine():
    with open("/proc/cpuinfo") as info:
        model = re.search(r"model name\s*:\s*(.*)", info.read())
    return "%d x %s, Linux %s" % (os.cpu_count(), model.group(1) if model else "?", os.uname().release)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of the tasks, 2 runs: to see that it works")
    parser.add_argument("--only", default="", help="figures by name: submit,single,fsync,write,latency,cached,memory,restart,verify,core,relocation,freecad,exec,cancel,wake,blobs; restart10m only by its name")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="jqbench-", dir=os.environ.get("JQ_BENCH_DIR", "/var/tmp"))
    bench = Bench(folder, 2 if args.quick else args.runs, 0.1 if args.quick else 1)
    figures = {"submit": bench.submit, "single": bench.singles, "fsync": lambda: bench.end_to_end("fsync", 180000),
               "write": lambda: bench.end_to_end("write", 300000), "latency": bench.latency, "cached": bench.cached, "memory": bench.memory,
               "restart": bench.restart, "verify": bench.verify, "core": bench.core, "relocation": bench.relocation,
               "freecad": bench.freecad,
               "exec": bench.spawn, "cancel": bench.cancel, "wake": bench.wake, "blobs": bench.blobs}
    named_only = {"restart10m": bench.restart10m}
    only = [name for name in args.only.split(",") if name] or list(figures)
    figures.update(named_only)
    for name in only:
        if name not in figures:
            parser.error("no figure '%s'; there are %s" % (name, ", ".join(figures)))
    print("jqmesh on %s; journal on %s; load now %.1f\nmedian [least .. most] of %d runs" % (
        machine(), folder, os.getloadavg()[0], bench.runs), flush=True)
    try:
        bench.echoes()
        for name in only:
            figures[name]()
        bench.references()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    missed = [row[0].strip() for row in bench.rows if not row[6]]
    print("%d figures, %d below their goal%s" % (len(bench.rows), len(missed), ": " + "; ".join(missed) if missed else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
