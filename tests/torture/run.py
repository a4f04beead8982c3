#!/usr/bin/env python3
"""Real processes tortured for as long as you like: killed, stopped, short of disk, lied to by the kernel, crowded.

    run.py [--seconds N] [--seed N] [NAME..]        names: kill, stop, sync, write, full, idle, slow   (all; 20 s each)

The clients keep a record of their own of what was acknowledged; at the end of each round it decides, beside the journal: nothing
acknowledged lost, no outcome accepted twice, no id given twice, no process, descriptor or work dir left. What this machine cannot do
(no strace, no mount) is skipped and said. `jqctl journal verify` has the last word.
"""

import argparse
import os
import random
import resource
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import time
import unittest
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from lib import sp  # noqa: E402
from lib.bed import Bed, options, program, wait_until  # noqa: E402
from test_kill9 import HANDLER, Submitter  # noqa: E402

CLIENTS, WORKERS, IDLE_COUNT, FULL_MIB, DRAIN_S = 3, 3, 5000, 40, 180
LENIENT = {"retry.crash_limit": "255", "retry.lost_limit": "255", "liveness.liveness": "2s"}


class Failed(Exception):
    """A promise that did not hold."""


def expect(holds, what):
    if not holds:
        raise Failed(what)


class Round:
    """One broker, its workers and its clients, and the bookkeeping over them."""

    def __init__(self, settings=None, wrapper=()):
        self.bed = Bed()
        self.settings = {**LENIENT, **(settings or {})}
        self.wrapper = list(wrapper)
        self.submitters, self.workers, self.recoveries = [], [], []

    def __enter__(self):
        chosen = {**self.bed.broker_settings(), **self.settings}
        self.bed.broker = self.bed.process("broker", [*self.wrapper, program("jqbroker"), *options(chosen)])
        self.bed.broker.start()
        self.bed.wait_for_broker()
        self.workers = [self.bed.start_worker("w%d" % i, HANDLER) for i in range(WORKERS)]
        self.submitters = [Submitter(self.bed, i) for i in range(CLIENTS)]
        return self

    def __exit__(self, kind, *_):
        for submitter in self.submitters:
            submitter.stopping.set()
        if kind is None:
            self.bed.end()
        else:
            print("  kept for inspection: %s" % self.bed.folder)
            for process in self.bed.processes:
                process.end()

    def start_load(self):
        for submitter in self.submitters:
            submitter.start()

    def acknowledged(self):
        return {task_id for each in self.submitters for task_id in list(each.acknowledged)}

    def more(self, count):
        goal = len(self.acknowledged()) + count
        wait_until("submits are acknowledged", lambda: self.fault() or len(self.acknowledged()) >= goal, 60)
        expect(self.fault() is None, "a client saw: %r" % self.fault())

    def fault(self):
        return next((each.fault for each in self.submitters if each.fault), None)

    def stop_load(self):
        for submitter in self.submitters:
            submitter.stopping.set()
        for submitter in self.submitters:
            submitter.join(60)
            expect(not submitter.is_alive(), "a client hangs")
        expect(self.fault() is None, "a client saw: %r" % self.fault())

    def restart_broker(self, kill=True):
        if kill:
            self.bed.broker.kill()
        begun = time.monotonic()
        self.bed.broker.start()
        self.bed.wait_for_broker()
        self.recoveries.append(time.monotonic() - begun)

    def check(self):
        """The clients' bookkeeping against the broker's word and its journal."""
        acknowledged = self.acknowledged()
        wait_until("nothing is left to do", lambda: self.bed.ask("server", "status")["item"]["tasks_live"] == 0, DRAIN_S)
        tasks = {int(task["id"]): task for task in self.bed.ask("task", "ls", "--limit", "0")["items"]}
        expect(not acknowledged - set(tasks), "acknowledged and gone: %s" % sorted(acknowledged - set(tasks))[:5])
        expect(not set(tasks) - acknowledged, "made twice: %s" % sorted(set(tasks) - acknowledged)[:5])
        states = Counter(task["state"] for task in tasks.values())
        expect(set(states) == {"succeeded"}, "states %s" % dict(states))
        ended = Counter(int(record["task"]) for record in self.bed.journal() if record["type"] == "task_ended")
        expect(ended == Counter(acknowledged), "outcomes accepted more than once, or never")
        expect(self.bed.run_jqctl("journal", "verify", self.bed.data)[0] == 0, "the journal does not verify")
        for worker in self.workers:
            left = [path for path, _, files in os.walk(self.bed.path(worker.name, "work")) if files]
            expect(not left, "left in work dirs: %s" % left[:3])
        return len(acknowledged)

    def told(self):
        if not self.recoveries:
            return ""
        return ", back in %.2f s (median), %.2f s (longest)" % (statistics.median(self.recoveries), max(self.recoveries))


# ---- what is done to them ----


def kill(seconds, chance):
    """The broker is killed with SIGKILL about every second under load, now and then a worker with it."""
    with Round() as place:
        place.start_load()
        kills, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            place.more(chance.randint(5, 60))
            if chance.random() < 0.3:
                worker = chance.choice(place.workers)
                worker.kill()
                worker.start()
            place.restart_broker()
            kills += 1
        place.more(5)
        place.stop_load()
        return "%d kills, %d tasks acknowledged and ended once%s" % (kills, place.check(), place.told())


def stop(seconds, chance):
    """Workers are stopped (SIGSTOP) past their liveness and wake up with leases that are no longer theirs."""
    with Round() as place:
        place.start_load()
        stops, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            worker = chance.choice(place.workers)
            place.more(20)
            os.kill(worker.pid, 19)
            wait_until("it is taken for dead", lambda: not place.bed.worker(worker.name).get("alive"), 30)
            os.kill(worker.pid, 18)
            place.bed.wait_for_worker(worker.name)
            stops += 1
        place.stop_load()
        return "%d stops, %d tasks ended once" % (stops, place.check())


def injected(seconds, chance, call, error):
    """The kernel fails one `call` of the broker: it must stop, and lose nothing that it acknowledged."""
    if not shutil.which("strace"):
        return "skipped: no strace"
    faults, total, end = 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e",
                   "inject=%s:error=%s:when=%d" % (call, error, chance.randint(30, 120))]
        with Round(wrapper=wrapper) as place:
            place.start_load()
            wait_until("the broker has stopped by itself", lambda: place.bed.broker.child.poll() is not None, 90)
            expect(place.bed.broker.child.returncode != 0, "a broker that cannot write says that all is well")
            place.bed.broker.command = place.bed.broker.command[len(wrapper):]
            place.restart_broker(kill=False)
            place.more(5)
            place.stop_load()
            total += place.check()
            faults += 1
    return "%d failed calls, %d tasks acknowledged and ended once" % (faults, total)


def sync(seconds, chance):
    """fdatasync fails with EIO: it is never tried again."""
    return injected(seconds, chance, "fdatasync", "EIO")


def write(seconds, chance):
    """A write to the log fails for want of space."""
    return injected(seconds, chance, "pwrite64", "ENOSPC")


def full(_seconds, _chance):
    """A disk that fills: submits are refused as busy, what was taken ends, and with room again all goes on."""
    with Round() as place:
        place.bed.broker.stop()
        shutil.rmtree(place.bed.data)
        os.mkdir(place.bed.data)
        mount = ["mount", "-t", "tmpfs", "-o", "size=%dm" % FULL_MIB, "none", place.bed.data]
        if subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode != 0:
            return "skipped: no mount"
        ballast = os.path.join(place.bed.data, "ballast")
        try:
            place.bed.broker.command += ["--set", "limits.disk_free_min=8M", "--set", "journal.segment_size=4M"]
            place.restart_broker(kill=False)
            place.start_load()
            place.more(50)
            for submitter in place.submitters:
                submitter.stopping.set()
            wait_until("they have stopped", lambda: not any(each.is_alive() for each in place.submitters), 60)
            with open(ballast, "wb") as file:
                left = os.statvfs(place.bed.data)
                file.write(bytes(max(0, left.f_bavail * left.f_frsize - (6 << 20))))
            wait_until("the disk mark", lambda: place.bed.ask("server", "status")["item"]["disk_busy"], 30)
            code, _, err = place.bed.run_jqctl("task", "submit", "noop", "--timeout", "1s")
            expect(code != 0 and "busy" in err, "a full disk took a task: %d %s" % (code, err))
            wait_until("what was taken has ended",
                       lambda: place.bed.ask("server", "status")["item"]["tasks_live"] == 0, DRAIN_S)
            os.unlink(ballast)
            wait_until("room again", lambda: not place.bed.ask("server", "status")["item"]["disk_busy"], 30)
            place.submitters[0].acknowledged[int(place.bed.submit("noop"))] = b""
            count = place.check()
            return "%d tasks, refused while full, all outcomes accepted" % count
        finally:
            place.bed.broker.end(5)
            subprocess.run(["umount", "-l", place.bed.data], check=False)


def open_fds(process):
    return len(os.listdir("/proc/%d/fd" % process.pid))


def idle(_seconds, _chance):
    """Thousands of connections that say nothing: the others are served, and when they leave nothing stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(IDLE_COUNT, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 400), hard))
    try:
        with Round() as place:
            place.start_load()
            place.more(20)
            before, crowd = open_fds(place.bed.broker), []
            for _ in range(count):
                crowd.append(socket.create_connection(("127.0.0.1", place.bed.request_port), 10))
            begun = time.monotonic()
            place.more(50)
            took = time.monotonic() - begun
            for connection in crowd:
                connection.close()
            wait_until("their descriptors are gone", lambda: open_fds(place.bed.broker) <= before + 20, 60)
            place.stop_load()
            return "%d idle connections, 50 submits beside them in %.2f s, %d tasks ended once" % (count, took,
                                                                                                  place.check())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Deaf:
    """Asks without end and reads nothing; dials again when it is shut out."""

    def __init__(self, url):
        self.url, self.words, self.pipe, self.number = url, sp.Client(url), None, 0

    def ask(self, count):
        """How many of `count` requests went out."""
        for sent in range(count):
            self.number += 1
            try:
                if self.pipe is None:
                    self.pipe = sp.Pipe(self.url, timeout_s=1)
                self.pipe.send(struct.pack(">I", 0x80000000 + self.number) + self.words.frame("queue.ls", {}))
            except sp.Gone:
                self.pipe = None
                return sent
        return count


def slow(seconds, _chance):
    """Clients that ask and never read: they cost only themselves."""
    with Round() as place:
        place.start_load()
        place.more(20)
        deaf, end, sent = [Deaf(place.bed.request) for _ in range(8)], time.monotonic() + seconds, 0
        while time.monotonic() < end:
            sent += sum(client.ask(50) for client in deaf)
            place.more(1)
        place.stop_load()
        return "%d requests whose answers nobody read, %d tasks ended once" % (sent, place.check())


TORTURES = {each.__name__: each for each in (kill, stop, sync, write, full, idle, slow)}


def main():
    parser = argparse.ArgumentParser(description="Tortures real brokers, workers and clients.")
    parser.add_argument("--seconds", type=int, default=20, help="of each torture")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TORTURES))
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in TORTURES]
    if unknown:
        raise SystemExit("no torture '%s'; there are %s" % (unknown[0], ", ".join(TORTURES)))
    failed = 0
    print("torture: seed %d, %d s each" % (args.seed, args.seconds))
    for name in args.names or TORTURES:
        begun = time.monotonic()
        try:
            word, told = "ok", TORTURES[name](args.seconds, random.Random(args.seed))
        except (Failed, AssertionError, unittest.TestCase.failureException) as failure:
            word, told, failed = "FAILED", str(failure), failed + 1
        print("%-6s %-6s %s  (%.0f s)" % (name, word, told, time.monotonic() - begun), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
