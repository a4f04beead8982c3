"""One broker, its workers and its clients; what every torture starts from and what must hold when it is over."""

import contextlib
import os
import statistics
import time

from leaks import Holdings, check_ended, check_running, check_work_dirs
from lib.bed import Bed, options, program, wait_until
from lib.load import HANDLER, LENIENT, Load

CLIENTS, WORKERS, END_S = 3, 3, 30


class Skip(Exception):
    """This machine cannot do it; the text says why."""


class Recoveries:
    """How long it took each time until all was as before, in seconds."""

    def __init__(self):
        self.seconds = []

    @contextlib.contextmanager
    def timed(self):
        begun = time.monotonic()
        yield
        self.seconds.append(time.monotonic() - begun)

    def __str__(self):
        if not self.seconds:
            return "none"
        ordered = sorted(self.seconds)
        if len(ordered) <= 6:
            return ", ".join("%.2f s" % each for each in self.seconds)
        return "%d: median %.2f s, nine in ten within %.2f s, longest %.2f s" % (
            len(ordered), statistics.median(ordered), ordered[len(ordered) * 9 // 10], ordered[-1])


class Round:
    """`far`: the context in which workers and clients live, such as another network namespace."""

    def __init__(self, recoveries, settings=None, wrapper=(), bed=None, far=None):
        self.bed = bed or Bed()
        self.settings = {**LENIENT, **(settings or {})}
        self.wrapper, self.far = list(wrapper), far or contextlib.nullcontext
        self.recoveries = recoveries
        self.workers, self.load, self.before = [], None, {}

    def __enter__(self):
        chosen = {**self.bed.broker_settings(), **self.settings}
        self.bed.broker = self.bed.process("broker", [*self.wrapper, program("jqbroker"), *options(chosen)])
        try:
            self.bed.broker.start()
            self.bed.wait_for_broker()
            # The names of control groups begin with that of the worker: one of this process's own.
            self.workers = [self.bed.new_worker("t%dw%d" % (os.getpid(), i), HANDLER) for i in range(WORKERS)]
            self.start_workers()
            self.load = Load(self.bed, CLIENTS, self.far)
            # A broker that is to fail at a certain call is not to do so before the load begins.
            if not self.wrapper:
                self.warm_up()
            for process in (self.bed.broker, *self.workers):
                self.remember(process)
        except BaseException as failure:
            self.__exit__(type(failure), failure, None)
            raise
        return self

    def start_workers(self):
        with self.far():
            for worker in self.workers:
                worker.start()
        for worker in self.workers:
            self.bed.wait_for_worker(worker.name)

    def warm_up(self):
        """What is held by each is only known when it has worked once."""
        warm = Load(self.bed, 1)
        warm.start()
        warm.more(40)
        warm.stop()
        wait_until("the first tasks have ended", lambda: self.bed.status()["tasks_live"] == 0)
        self.load.adopt(warm)

    def remember(self, process):
        self.before[process.name] = Holdings(process)

    def __exit__(self, kind, *_):
        if self.load is not None:
            self.load.ask_to_stop()
        if kind is None or kind is Skip:
            self.bed.end()
            return
        print("  kept for inspection: %s" % self.bed.folder, flush=True)
        for process in self.bed.processes:
            process.end()

    def start_broker_again(self):
        with self.recoveries.timed():
            self.bed.broker.start()
            self.bed.wait_for_broker()

    def restart_broker(self):
        self.bed.broker.kill()
        self.start_broker_again()

    def finish(self):
        """Stops the load, checks the record, looks for leaks, ends all processes and looks again. The number of tasks."""
        self.load.stop()
        count = self.load.check()
        check_running(self.bed.broker, self.workers, self.before, count)
        check_work_dirs(self.bed, self.workers)
        for process in (*self.workers, self.bed.broker):
            code = process.stop(END_S)
            assert code == 0, "%s ended with %d" % (process.name, code)
        check_ended(self.bed, self.workers)
        return count
