#!/usr/bin/env python3
"""The demo of jqmesh: real work through a durable broker that is killed in the middle.

Usage: tools/dev demo [-- --keep]

Starts a broker and three workers in a temporary folder, submits work for all of them, kills the broker and a worker
with SIGKILL while they work, starts them again, and checks every result against a value known without them.
Exit: 0 all is right, 1 something is not, 69 a program is missing.
"""

import argparse
import json
import os
import shutil
import sys
import time

sys.dont_write_bytecode = True

from processes import Broker, DemoError, Jqctl, Place, Worker, end_on_sigterm, wait_until  # noqa: E402
from screen import Screen  # noqa: E402
from verdict import count_runs, judge  # noqa: E402
from work import MIB, Checksums, Flanges, Packs, Sort, large_files, sha256_of  # noqa: E402

EX_UNAVAILABLE = 69
KILL_AT = 0.4  # Of the tasks: when the broker is killed.
WITHIN_S = 480  # Everything, on a slow machine.
FINAL_STATES = ("succeeded", "dead", "cancelled", "expired")

PROGRAMS = {
    "freecadcmd": "freecad-python3",
    "zstd": "zstd",
    "sha256sum": "coreutils",
    "sort": "coreutils",
}


def missing_packages():
    return sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})


def say_what_to_install(packages):
    install = f"apt-get install --no-install-recommends {' '.join(packages)}"
    who = "run" if os.geteuid() == 0 else "ask for"
    sudo = "" if os.geteuid() == 0 else "sudo "
    print(f"demo: not installed: {', '.join(packages)}; {who}: {sudo}{install}", file=sys.stderr)
    if "freecad-python3" in packages:
        print("demo: FreeCAD is about 140 packages, 250 MB to fetch, 1 GB on disk", file=sys.stderr)


class Demo:
    """The story, in the order in which it is told."""

    def __init__(self, screen):
        self.screen = screen
        self.place = Place()
        self.jqctl = Jqctl(self.place)
        self.broker = Broker(self.place)
        self.workers = [
            Worker(self.place, "freecad", "cpu=2 mem=2G freecad=2", ["cad.variants"]),
            Worker(self.place, "cpu", "cpu=2 mem=1G", ["sha256", "zstd"]),
            Worker(self.place, "memory", "cpu=1 mem=256M", ["extsort"]),
        ]
        self.kinds = []
        self.ids = {}  # Of a task: its kind and its line of tasks.jsonl.
        self.started = time.monotonic()

    def prepare(self):
        begin = time.monotonic()
        shutil.copytree(os.path.join(self.place.source, "worker", "freecad"), self.place.path("freecad"))
        sort = Sort(self.place.path("unsorted.txt"))
        if fault := sort.room_fault():
            raise DemoError(fault)
        sort.prepare()
        digests = {path: sha256_of(path) for path in large_files()}
        self.kinds = [Flanges(self.workers[0].output), Checksums(digests), Packs(digests), sort]
        files_mib = sum(map(os.path.getsize, digests)) // MIB
        self.screen.step(
            "prepare",
            f"{sort.size_bytes // MIB} MiB of text to sort, {len(digests)} files of this machine ({files_mib} MiB); "
            "what must come out is known before",
            time.monotonic() - begin,
        )

    def start(self):
        begin = time.monotonic()
        self.broker.start()
        self.jqctl.wait_for_server()
        journal = f"journal in {self.broker.data}"
        self.screen.step("broker", f"pid {self.broker.pid}, {journal}: what it acknowledges is on disk")
        for worker in self.workers:
            worker.start()
        self.wait_for_workers()
        names = ", ".join(f"{worker.name} (pid {worker.pid})" for worker in self.workers)
        self.screen.step("workers", names, time.monotonic() - begin)

    def wait_for_workers(self):
        names = {worker.name for worker in self.workers}
        wait_until("workers alive", lambda: names <= self.jqctl.alive_workers(), [self.broker, *self.workers])

    def submit(self):
        tasks = [(kind, task) for kind in self.kinds for task in kind.tasks()]
        path = self.place.path("tasks.jsonl")
        write_lines(path, [task for _, task in tasks])
        answer = self.jqctl.ask("task", "submit", "--from-jsonl", path)
        self.ids = {item["id"]: of for item, of in zip(answer["items"], tasks)}
        if len(self.ids) != len(tasks):
            raise DemoError(f"{len(tasks)} tasks submitted, {len(self.ids)} ids given")
        self.screen.step("submit", f"{len(tasks)} tasks by `jqctl task submit --from-jsonl`, all acknowledged")

    def done_share(self, tasks):
        return sum(task["state"] in FINAL_STATES for task in tasks) / len(self.ids)

    def watch(self, until):
        """Shows the progress until `until(tasks)`; the tasks then."""
        while True:
            for process in (self.broker, *self.workers):
                process.check_alive()
            tasks = self.jqctl.tasks()
            self.show(tasks)
            if until(tasks):
                return tasks
            if time.monotonic() - self.started > WITHIN_S:
                raise DemoError(self.why_not_done(tasks))
            time.sleep(0.1)

    def show(self, tasks):
        done = [task for task in tasks if task["state"] in FINAL_STATES]
        parts = []
        for kind in self.kinds:
            total = sum(of is kind for of, _ in self.ids.values())
            ended = sum(task["handler"] == kind.handler for task in done)
            parts.append(f"{kind.short} {ended}/{total}")
        self.screen.progress(len(done), len(self.ids), "  ".join(parts))

    def why_not_done(self, tasks):
        late = next(task["id"] for task in tasks if task["state"] not in FINAL_STATES)
        _, out, err = self.jqctl.run("task", "explain", late)
        return f"not done within {WITHIN_S} s; task {late}:\n{out}{err}"

    def kill_broker(self):
        tasks = self.watch(lambda tasks: self.done_share(tasks) >= KILL_AT)
        done = sum(task["state"] in FINAL_STATES for task in tasks)
        running = sum(task["state"] == "running" for task in tasks)
        self.broker.kill()
        text = f"the broker, at {done} of {len(self.ids)} tasks, {running} running; the workers go on working"
        self.screen.event("SIGKILL", text)
        begin = time.monotonic()
        self.broker.start()
        self.jqctl.wait_for_server()
        took = time.monotonic() - begin
        self.check_nothing_lost(tasks)
        text = f"back in {took:.2f} s: all {len(self.ids)} tasks are there, what had ended is ended: nothing lost"
        self.screen.step("", text)
        self.submit_again()

    def check_nothing_lost(self, before):
        now = {task["id"]: task for task in self.jqctl.tasks()}
        for task in before:
            if task["id"] not in now:
                raise DemoError(f"task {task['id']} was acknowledged and is gone")
            if task["state"] in FINAL_STATES and now[task["id"]]["state"] != task["state"]:
                raise DemoError(f"task {task['id']} had ended and has not any more")

    def submit_again(self):
        """A client that does not know whether it was heard simply asks again: each task has a key."""
        answer = self.jqctl.ask("task", "submit", "--from-jsonl", self.place.path("tasks.jsonl"))
        if answer["duplicates"] != len(self.ids):
            raise DemoError(f"of {len(self.ids)} tasks submitted again only {answer['duplicates']} were known")
        self.screen.step("", f"the same file submitted again: {len(self.ids)} known by their keys, 0 new")

    def kill_worker(self):
        """The memory worker, in the middle of the sort; whichever has work, should the sort be done already."""
        by_name = {worker.name: worker for worker in reversed(self.workers)}

        def running(tasks):
            return {task["worker"]: task for task in tasks if task["state"] == "running" and task["worker"] in by_name}

        tasks = self.watch(lambda tasks: running(tasks) or self.done_share(tasks) == 1)
        held = running(tasks)
        worker = next((worker for name, worker in by_name.items() if name in held), None)
        if worker is None:
            raise DemoError("all was done before a worker could be killed: this machine is too fast for this demo")
        task = held[worker.name]
        worker.kill()
        self.screen.event("SIGKILL", f"{worker.name}, in the middle of task {task['id']} ({task['handler']})")
        begin = time.monotonic()
        worker.start()
        self.watch(lambda tasks: self.was_lost(tasks, task["id"]))
        took = time.monotonic() - begin
        self.screen.step("", f"back in {took:.2f} s: what it left is killed, task {task['id']} gets another attempt")

    @staticmethod
    def was_lost(tasks, task_id):
        return any(task["id"] == task_id and task["losses"] + task["crashes"] > 0 for task in tasks)

    def finish(self):
        self.watch(lambda tasks: self.done_share(tasks) == 1)
        code, _, _ = self.jqctl.run("journal", "verify", self.broker.data)
        outcomes = self.jqctl.ask("task", "wait", *self.ids, codes=(0, 1))["items"]
        runs = count_runs(self.jqctl, self.broker.data)
        self.screen.step("done", f"{len(self.ids)} tasks", time.monotonic() - self.started)
        is_right = judge(self.screen, self.kinds, self.ids, outcomes, runs)
        if code != 0:
            self.screen.line("  " + self.screen.bad("the journal is damaged: jqctl journal verify " + self.broker.data))
        return is_right and code == 0

    def run(self):
        self.screen.line(self.screen.bold("jqmesh: real work through a broker that is killed in the middle"))
        self.prepare()
        self.start()
        self.submit()
        self.kill_broker()
        self.kill_worker()
        return self.finish()

    def keep(self):
        """Leaves all running for the user, who ends it with Ctrl-C."""
        say = self.screen.line
        say()
        say(self.screen.bold("Still running. In another shell:"))
        say(f"  export PATH={self.place.bin}:$PATH JQ_SERVER={self.place.socket}")
        say("  jqctl task ls --limit 0")
        say("  jqctl task show 1")
        say("  jqctl worker show demo-freecad")
        say("""  jqctl task submit sha256 --payload '{"input": "/usr/bin/env"}' --wait""")
        say("  jqctl task explain $(jqctl task submit sha256 --need gpu=1 --payload '{}')")
        say(f"  jqctl journal dump {self.broker.data} | less")
        say(f"  curl -s http://127.0.0.1:{self.place.http_port}/metrics")
        say(f"  ls {self.workers[0].output}/*        # the flanges")
        say(f"  kill -9 {self.broker.pid}              # the broker; it is started again")
        say(f"To stop, and remove {self.place.folder}: Ctrl-C here, or kill {os.getpid()}")
        while True:
            self.revive()
            time.sleep(0.2)

    def revive(self):
        for process in (self.broker, *self.workers):
            if process.child.poll() is not None:
                process.start()
                self.screen.line(f"  {process.name} had ended; started again, pid {process.pid}")

    def stop(self):
        self.screen.clear_live_line()
        for worker in self.workers:
            worker.ask_to_stop()
        for worker in self.workers:
            worker.stop()
        self.broker.stop()
        self.place.remove()


def write_lines(path, documents):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(document) + "\n" for document in documents)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave it all running, with commands to play with")
    args = parser.parse_args()
    if packages := missing_packages():
        say_what_to_install(packages)
        return EX_UNAVAILABLE

    end_on_sigterm()
    screen, demo, is_right = Screen(), None, False
    try:
        demo = Demo(screen)
        is_right = demo.run()
        if args.keep:
            demo.keep()
    except DemoError as error:
        screen.line("  " + screen.bad(f"demo: {error}"))
    except KeyboardInterrupt:
        screen.line()
    finally:
        if demo is not None:
            demo.stop()
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
