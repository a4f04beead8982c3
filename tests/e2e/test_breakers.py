#!/usr/bin/env python3
"""Circuit breakers and dead letters, with real processes, as an operator sees them."""

import os
import sys
import unittest
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import TestCase, shell, wait_until

USAGE = 64
SETTINGS = {"breaker.min_calls": "4", "breaker.cool_down": "10m", "breaker.probes": "2", "retry.max": "1"}


class Breakers(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker(SETTINGS)
        self.notes = self.bed.open_folder("notes")
        self.well = os.path.join(self.notes, "well")
        self.bed.start_worker("w", {"flaky": shell(f"test -e {self.well} || {{ echo no disk >&2; exit 1; }}")})

    def state(self, name):
        return self.bed.ask("breaker", "show", name)["item"]["state"]

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.bed.http_port}/metrics", timeout=60) as answer:
            return answer.read().decode()

    def test_a_failing_handler_is_held_back_and_comes_back_through_probes(self):
        """Four failures open it; what is submitted then waits, unattempted; two probes that succeed close it."""
        failed = [self.bed.submit("flaky") for _ in range(4)]
        for task in failed:
            self.assertEqual(self.bed.wait_for_state(task, "dead")["error"], "exit 1: no disk")
        self.assertEqual(self.state("handler:flaky"), "open")
        self.bed.do("breaker", "trip", "handler:flaky", "--for", "10m")
        waiting = [self.bed.submit("flaky") for _ in range(3)]
        code, out, err = self.bed.run_jqctl("task", "explain", waiting[0])
        self.assertEqual(code, 0, err)
        self.assertIn("handler:flaky was opened by an operator", out)
        self.assertEqual(self.bed.task(waiting[0])["state"], "ready")
        self.assertIn('jqmesh_breaker_state{kind="handler",name="flaky",state="open"} 1', self.metrics())
        with open(self.well, "w", encoding="ascii"):
            pass
        self.bed.do("breaker", "trip", "handler:flaky", "--for", "100ms")  # Open no longer than that from now on.
        for task in waiting:
            self.assertEqual(self.bed.wait_for_state(task, "succeeded")["attempts"], 0)
        self.assertEqual(self.state("handler:flaky"), "closed")
        changes = [record["state"] for record in self.bed.journal() if record["type"] == "breaker_set"]
        self.assertEqual(changes, ["open", "open", "open", "half_open", "closed"])
        self.assertIn('jqmesh_breaker_changes_total{kind="handler",state="closed"} 1', self.metrics())

    def test_operators_trip_and_reset(self):
        """What is tripped stays so over a restart of the broker, until it is reset; what nobody knows exits 1."""
        with open(self.well, "w", encoding="ascii"):
            pass
        self.bed.do("breaker", "trip", "worker:w")
        self.bed.broker.kill()
        self.bed.broker.start()
        self.bed.wait_for_broker()
        self.bed.wait_for_worker("w")
        task = self.bed.submit("flaky")
        document = self.bed.ask("breaker", "ls", "--not-closed")
        self.assertEqual([(item["name"], item["by_operator"]) for item in document["items"]], [("worker:w", True)])
        self.assertEqual(self.bed.task(task)["state"], "ready")
        self.bed.do("breaker", "reset", "worker:w")
        self.bed.wait_for_state(task, "succeeded")
        code, _, err = self.bed.run_jqctl("breaker", "trip", "handler:typo")
        self.assertEqual(code, 1)
        self.assertIn("no such handler", err)
        code, _, err = self.bed.run_jqctl("breaker", "trip", "flaky")
        self.assertNotEqual(code, 0)
        self.assertIn("a breaker is handler:NAME, worker:NAME or service:NAME", err)


NETWORK = 5


class ServiceOfAHandler(TestCase):
    def test_exit_69_counts_against_the_service_that_the_handler_names(self):
        """Neither the handler nor the worker is at fault: only the breaker of the service opens."""
        self.bed.start_broker(SETTINGS)
        self.bed.start_worker("w", {"mail": shell("exit 69") + "\nservice = smtp"})
        for task in [self.bed.submit("mail") for _ in range(4)]:
            item = self.bed.wait_for_state(task, "dead")
            self.assertEqual((item["outcome"], item["error"]), ("network", "exit 69"))
        breakers = {item["name"]: item["state"] for item in self.bed.ask("breaker", "ls")["items"]}
        self.assertEqual(breakers["service:smtp"], "open")
        self.assertEqual({breakers.get("handler:mail", "closed"), breakers.get("worker:w", "closed")}, {"closed"})


class Services(TestCase):
    """A worker that speaks the protocol itself: its reports name a service."""

    def lease(self, want=1):
        status, body = self.worker.ask("lease", {"session": self.session, "want": want, "wait_ms": 0})
        self.assertEqual(status, 0)
        return body.get("tasks", [])

    def test_a_service_that_fails_holds_back_who_named_it(self):
        """Four reports name the same service: tasks of that handler wait, others run."""
        self.bed.start_broker(SETTINGS)
        self.worker = self.bed.client()
        handlers = [{"name": "mail"}, {"name": "print"}]
        body = {"id": bytes(16), "name": "raw", "incarnation": 1, "offers": {"slots": 4000}, "handlers": handlers}
        status, body = self.worker.ask("register", body)
        self.assertEqual(status, 0)
        self.session = body["session"]
        for _ in range(4):
            self.bed.submit("mail")
            (task,) = self.lease()
            detail = {"message": "connection refused", "service": "SMTP.example.org"}
            report = {"session": self.session, "reports": [[task[0], task[1], NETWORK, False, detail]]}
            self.assertEqual(self.worker.ask("report", report)[0], 0)
        breaker = self.bed.ask("breaker", "show", "service:smtp.example.org")["item"]
        self.assertEqual((breaker["state"], breaker["handlers"]), ("open", "mail"))
        self.bed.do("breaker", "trip", "service:smtp.example.org")  # Until it is reset: nothing here need hurry.
        held, other = self.bed.submit("mail"), self.bed.submit("print")
        self.assertEqual([task[0] for task in self.lease(2)], [int(other)])
        self.assertIn("service:smtp.example.org", self.bed.run_jqctl("task", "explain", held)[1])
        self.assertEqual({item["name"] for item in self.bed.ask("breaker", "ls", "--not-closed")["items"]},
                         {"service:smtp.example.org"})
        self.bed.do("breaker", "reset", "service:smtp.example.org")
        self.assertEqual([task[0] for task in self.lease()], [int(held)])


class DeadLetters(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker()
        line = shell('read word; test "$word" = good || { echo "bad word" >&2; exit 65; }; echo "$word"')
        self.bed.start_worker("w", {"check": line + "\nstdin = payload"})

    def test_a_letter_is_edited_and_replayed(self):
        """The payload is mended, the headers stay; replayed at a rate, it succeeds."""
        task = self.bed.submit("check", "--raw", "--payload", "wrong", "--header", "from=here")
        letter = self.bed.wait_for_state(task, "dead")
        self.assertEqual(letter["error"], "exit 65: bad word")
        code, _, err = self.bed.run_jqctl("dead", "edit", task, "--raw", "--payload", "good", "--priority", "high")
        self.assertEqual(code, 0, err)
        edited = self.bed.task(task)
        self.assertEqual((edited["state"], edited["payload"], edited["priority"]), ("dead", {"text": "good"}, 7))
        self.assertEqual(edited["headers"], {"from": "here"})
        self.bed.do("dead", "replay", task, "--rate", "10/s")
        self.assertEqual(self.bed.wait_for_state(task, "succeeded")["error"], None)
        code, _, err = self.bed.run_jqctl("dead", "edit", task, "--priority", "low")
        self.assertEqual(code, 1)
        self.assertIn("it has ended, and not as a dead letter", err)

    def test_a_replay_at_a_rate_is_spread(self):
        """The command returns at once; the broker lets them run one by one."""
        tasks = [self.bed.submit("check", "--raw", "--payload", "wrong") for _ in range(3)]
        for task in tasks:
            self.bed.wait_for_state(task, "dead")
        self.bed.do("dead", "replay", "--where", "error~*bad?word*", "--yes", "--rate", "60/h")
        states = [self.bed.task(task)["state"] for task in tasks]
        self.assertEqual(states[1:], ["scheduled", "scheduled"])
        wait_until("the first has run again", lambda: self.bed.task(tasks[0])["state"] == "dead")
        for rate, reason in (("0/s", "a rate of zero"), ("10", "is no rate"), ("2000000/s", "1000000")):
            code, _, err = self.bed.run_jqctl("dead", "replay", "--all", "--yes", "--rate", rate)
            self.assertEqual(code, USAGE)
            self.assertIn(reason, err)


if __name__ == "__main__":
    unittest.main()
