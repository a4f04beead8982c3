#!/usr/bin/env python3
"""Starting, stopping and steering: graceful ends, drain, pause, and what service manager and monitoring are told."""

import os
import signal
import socket
import sys
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import sp
from lib.bed import START_S, TestCase, wait_until

NOOP = {"noop": "command = /bin/true\nstdin = none"}


def waits_for(path):
    """A handler whose task says that it has begun, and runs until the file is there."""
    return f"command = /bin/sh -c 'touch {path}.begun; until test -e {path}; do sleep 0.05; done'\nstdin = none"


class Lifecycle(TestCase):
    def finish_file(self):
        return os.path.join(self.bed.open_folder("notes"), "finish")

    def touch(self, path):
        with open(path, "w", encoding="ascii"):
            pass

    def start_waiting_task(self, settings=None):
        """(worker, task, file that ends it). The task is running by the worker's word, too, not only by the broker's."""
        file = self.finish_file()
        worker = self.bed.start_worker("w", {**NOOP, "waits": waits_for(file)}, settings)
        task = self.bed.submit("waits")
        wait_until("the task has begun", lambda: os.path.exists(file + ".begun"))
        self.bed.wait_for_state(task, "running")
        return worker, task, file

    def test_broker_stops(self):
        """SIGTERM: the broker answers what is under way, says so, and exits 0; tasks go on where they were."""
        self.bed.start_broker()
        _, task, file = self.start_waiting_task()
        self.assertEqual(self.bed.broker.stop(), 0)
        self.assertIn("stopped", self.bed.broker.log())
        self.touch(file)
        self.bed.broker.start()
        self.bed.wait_for_broker()
        ended = self.bed.wait_for_state(task, "succeeded")
        self.assertEqual((ended["attempts"], ended["losses"]), (0, 0), "one attempt, over the broker's restart")
        leases = [record for record in self.bed.journal() if record["type"] == "task_leased" and record["task"] == task]
        self.assertEqual(len(leases), 1)

    def test_broker_stops_with_parked_polls(self):
        """A long poll does not hold up the end of the broker."""
        self.bed.start_broker()
        self.bed.start_worker("w", NOOP)
        begin = time.monotonic()
        self.assertEqual(self.bed.broker.stop(), 0)
        self.assertLess(time.monotonic() - begin, 15)

    def test_worker_stops(self):
        """SIGTERM: the worker takes nothing more, finishes what runs, exits 0."""
        self.bed.start_broker()
        worker, task, file = self.start_waiting_task({"worker.drain": "20s"})
        worker.signal(signal.SIGTERM)
        wait_until("the worker drains", lambda: "stopping" in worker.log())
        later = self.bed.submit("noop")
        self.touch(file)
        self.assertEqual(worker.wait(), 0)
        self.assertEqual(self.bed.task(task)["state"], "succeeded")
        self.assertEqual(self.bed.task(later)["state"], "ready")

    def test_a_worker_says_what_it_misses(self):
        """A worker that has no handler, or whose broker is not there, says so in its log; it goes on when the broker comes."""
        worker = self.bed.new_worker("w", {}).start()
        wait_until("a word of the handlers", lambda: "there is no handler" in worker.log())
        wait_until("a word of the broker", lambda: "the broker cannot be reached" in worker.log())
        self.assertIn("Connection refused", worker.log())
        self.bed.start_broker()
        self.bed.wait_for_worker("w")
        wait_until("a word of its return", lambda: "connected with the broker again" in worker.log())

    def test_worker_hands_back(self):
        """What does not end within `drain` is handed back: another worker runs it at once, no attempt is counted."""
        self.bed.start_broker()
        worker, task, file = self.start_waiting_task()
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.bed.task(task)["attempts"], 0)
        self.touch(file)
        self.bed.start_worker("v", {"waits": waits_for(file)})
        self.bed.wait_for_state(task, "succeeded")

    def test_worker_drain(self):
        """`worker drain` stops new tasks for one worker, and --undo lets them come again."""
        self.bed.start_broker()
        self.bed.start_worker("w", NOOP)
        self.bed.do("worker", "drain", "w")
        self.assertTrue(self.bed.worker("w")["draining"])
        task = self.bed.submit("noop")
        self.bed.start_worker("v", NOOP)
        self.bed.wait_for_state(task, "succeeded")
        leases = [record["worker"] for record in self.bed.journal() if record["type"] == "task_leased"]
        self.assertEqual(leases, ["v"])
        self.bed.do("worker", "drain", "w", "--undo")
        self.assertFalse(self.bed.worker("w")["draining"])

    def test_queue_pause(self):
        """A paused queue takes tasks and hands out none, over a restart of the broker; other queues go on."""
        self.bed.start_broker()
        self.bed.start_worker("w", NOOP)
        first = self.bed.submit("noop", "--queue", "slow")
        self.bed.wait_for_state(first, "succeeded")
        self.bed.do("queue", "pause", "slow")
        held = self.bed.submit("noop", "--queue", "slow")
        self.bed.wait_for_state(self.bed.submit("noop", "--queue", "other"), "succeeded")
        self.bed.broker.kill()
        self.bed.broker.start()
        self.bed.wait_for_broker()
        self.assertTrue(self.bed.ask("queue", "show", "slow")["item"]["paused"])
        self.bed.wait_for_state(self.bed.submit("noop", "--queue", "other"), "succeeded")
        self.assertEqual(self.bed.task(held)["state"], "ready")
        self.bed.do("queue", "resume", "slow")
        self.bed.wait_for_state(held, "succeeded")

    def test_depth_max(self):
        """A full queue says so; what is refused leaves no trace, and it takes tasks again later."""
        self.bed.start_broker({"limits.depth_max": "3"})
        for _ in range(3):
            self.bed.submit("noop")
        client = self.bed.client()
        status, body = client.ask("submit", {"tasks": [{"handler": "noop"}]})
        refused = body["exceptions"][0] if status == sp.OK else body
        text = str(refused)
        self.assertIn("depth_max", text)
        self.assertEqual(self.bed.ask("server", "status")["item"]["tasks_live"], 3)
        self.bed.start_worker("w", NOOP)
        wait_until("the queue is empty", lambda: self.bed.ask("server", "status")["item"]["tasks_live"] == 0)
        self.bed.submit("noop")

    def test_limits_below_the_log(self):
        """A broker that may hold less than its log does not start: exit 78, naming the key and the value that it needs."""
        self.bed.start_broker()
        for i in range(20):
            self.bed.submit("noop", "--queue", f"q{i}")
        self.bed.broker.stop()
        small = self.bed.new_broker({"limits.queues_max": 3}).start()
        self.assertEqual(small.wait(), 78, small.log())
        self.assertIn("[limits] queues_max = 3 is less than the journal holds: set it to 20 at least", small.log())
        self.bed.new_broker({"limits.queues_max": 20}).start()
        self.bed.wait_for_broker()
        self.assertEqual(self.bed.ask("server", "status")["item"]["queues"], 20)

    def test_key(self):
        """The same key gives the same task, over kill -9 of the broker."""
        self.bed.start_broker()
        task = self.bed.submit("noop", "--key", "order 17")
        self.bed.broker.kill()
        self.bed.broker.start()
        self.bed.wait_for_broker()
        self.assertEqual(self.bed.submit("noop", "--key", "order 17"), task)

    def test_request_asked_again(self):
        """A request sent again under its id gets the first answer and makes nothing new, over kill -9 of the broker."""
        self.bed.start_broker()
        client = self.bed.client()
        frame = client.frame("submit", {"tasks": [{"handler": "noop"}, {"handler": "noop"}]})
        first = client.send(frame)
        again = client.send(frame)
        self.assertEqual((again[1], again[3]["first"], again[3]["count"]), (first[1], first[3]["first"], 2))
        self.bed.broker.kill()
        self.bed.broker.start()
        again = client.send(frame)
        self.assertEqual((again[1], again[3]["first"], again[3]["count"]), (first[1], first[3]["first"], 2))
        self.assertEqual(self.bed.ask("server", "status")["item"]["tasks_live"], 2)

    def test_sd_notify(self):
        """The service manager hears READY=1 when, and only when, the broker serves; and STOPPING=1."""
        path = self.bed.path("notify.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(START_S)
            broker = self.bed.new_broker(environment={"NOTIFY_SOCKET": path}).start()
            self.hear(manager, "READY=1")
            self.assertEqual(self.bed.client().ask("server.status")[0], sp.OK)
            broker.signal(signal.SIGTERM)
            self.hear(manager, "STOPPING=1")
            self.assertEqual(broker.wait(), 0)

    def hear(self, manager, word):
        while word not in manager.recv(4096).decode().split("\n"):
            pass

    def http(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.bed.http_port}{path}", timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def test_http(self):
        """/healthz, /readyz and /metrics; other paths and methods are refused."""
        self.bed.start_broker()
        self.bed.start_worker("w", NOOP)
        self.bed.wait_for_state(self.bed.submit("noop"), "succeeded")
        self.assertEqual(self.http("/healthz")[0], 200)
        self.assertEqual(self.http("/readyz")[0], 200)
        self.assertEqual(self.http("/etc/passwd")[0], 404)
        status, text = self.http("/metrics")
        self.assertEqual(status, 200)
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        self.assertEqual(float(values["jqmesh_workers_alive"]), 1)
        for name in values:
            self.assertRegex(name, "^(jqmesh|process)_")


if __name__ == "__main__":
    unittest.main()
