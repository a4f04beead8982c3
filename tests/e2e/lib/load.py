"""Clients that submit without end and keep a record of their own of what was acknowledged, and the check of that record.

The record decides: nothing acknowledged is lost, no id is given twice, no request sent twice makes two batches, no outcome is
accepted twice, whatever was done to broker, workers and links meanwhile. The journal has its say beside the broker.
"""

import contextlib
import random
import threading
from collections import Counter

from . import sp
from .bed import START_S, wait_until

BATCH = 5
BUSY = 1
HANDLER = {"noop": "command = /bin/true\nstdin = none"}
DRAIN_S = 180
# Workers are killed, stopped and cut off on purpose, so no task may be taken for a poison one.
LENIENT = {"retry.crash_limit": "255", "retry.lost_limit": "255", "liveness.liveness": "2s"}
PAYLOADS_LOOKED_AT = 20


class Submitter(threading.Thread):
    """Submits batches until told to stop. `place`: the context in which it lives, such as a network namespace."""

    def __init__(self, bed, number, place=None):
        super().__init__(daemon=True)
        self.client, self.number = bed.client(), number
        self.place = place or contextlib.nullcontext
        self.acknowledged = {}  # id -> payload
        self.sent, self.fault = 0, None
        self.stopping = threading.Event()

    def run(self):
        try:
            with self.place():
                while not self.stopping.is_set():
                    self.submit()
                    self.stopping.wait(0.02)
        except (sp.Gone, AssertionError, KeyError) as error:
            self.fault = error
        self.client.close()

    def submit(self):
        payloads = [f"{self.number}-{self.sent + i}".encode() for i in range(BATCH)]
        self.sent += BATCH
        status, body = self.client.ask("submit", {"tasks": [{"handler": "noop", "payload": p} for p in payloads]}, DRAIN_S)
        refused = body.get("exceptions") or []
        if status == sp.OK and len(refused) == BATCH and {exception[1] for exception in refused} == {BUSY}:
            self.stopping.wait(0.1)  # Nothing was taken and nothing is owed.
            return
        assert status == sp.OK and not refused, (status, body)
        for i, payload in enumerate(payloads):
            task_id = body["first"] + i
            assert task_id not in self.acknowledged, f"id {task_id} was given twice"
            self.acknowledged[task_id] = payload


class Load:
    def __init__(self, bed, clients, place=None):
        self.bed = bed
        self.submitters = [Submitter(bed, i, place) for i in range(clients)]
        self.earlier = {}  # Acknowledged to clients that have left: id -> payload

    def adopt(self, load):
        """Takes over the record of a load that has stopped."""
        self.earlier.update(load.acknowledged())

    def start(self):
        for submitter in self.submitters:
            submitter.start()

    def acknowledged(self):
        found = dict(self.earlier)
        for submitter in self.submitters:
            found.update(submitter.acknowledged.copy())
        return found

    def count(self):
        return len(self.earlier) + sum(len(each.acknowledged) for each in self.submitters)

    def fault(self):
        return next((each.fault for each in self.submitters if each.fault), None)

    def more(self, count, within_s=2 * START_S):
        """Waits until the load goes on: so many more tasks were acknowledged."""
        goal = self.count() + count
        wait_until("submits are acknowledged", lambda: self.fault() or self.count() >= goal, within_s)
        assert self.fault() is None, f"a client saw: {self.fault()!r}"

    def ask_to_stop(self):
        for submitter in self.submitters:
            submitter.stopping.set()

    def stop(self):
        self.ask_to_stop()
        for submitter in self.submitters:
            if submitter.ident is not None:
                submitter.join(DRAIN_S)
            assert not submitter.is_alive(), "a client hangs"
        assert self.fault() is None, f"a client saw: {self.fault()!r}"

    def check(self):
        """When nothing is left to do: the clients' record against the broker's word and against its journal."""
        acknowledged = self.acknowledged()
        wait_until("nothing is left to do", lambda: self.bed.status()["tasks_live"] == 0, DRAIN_S)
        tasks = {int(task["id"]): task for task in self.bed.ask("task", "ls", "--limit", "0")["items"]}
        lost, extra = set(acknowledged) - set(tasks), set(tasks) - set(acknowledged)
        assert not lost, f"{len(lost)} acknowledged and gone: {sorted(lost)[:5]}"
        # Each batch was acknowledged in the end, so a request sent twice must not have made a second batch.
        assert not extra, f"{len(extra)} made twice: {sorted(extra)[:5]}"
        states = Counter(task["state"] for task in tasks.values())
        assert set(states) <= {"succeeded"}, dict(states)
        ended = Counter(int(record["task"]) for record in self.bed.journal() if record["type"] == "task_ended")
        assert ended == Counter(acknowledged.keys()), "every outcome is accepted exactly once"
        code, out, err = self.bed.run_jqctl("journal", "verify", self.bed.data)
        assert code == 0, f"the journal does not verify: {out}{err}"
        self.check_payloads(acknowledged)
        return len(acknowledged)

    def check_payloads(self, acknowledged):
        """A task under an id is the task that was acknowledged under it."""
        client, chosen = self.bed.client(), sorted(acknowledged)
        for task_id in random.Random(1).sample(chosen, min(PAYLOADS_LOOKED_AT, len(chosen))):
            status, body = client.ask("task.show", {"id": task_id})
            assert status == sp.OK, body
            assert acknowledged[task_id] in body["tasks"][0].values(), body
        client.close()
