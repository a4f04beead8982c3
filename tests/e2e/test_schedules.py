#!/usr/bin/env python3
"""Schedules: a broker that is killed fires each due time once; jqctl steers them; cron against another implementation of zones."""

import json
import os
import random
import signal
import struct
import subprocess
import sys
import unittest
import zoneinfo
from datetime import datetime, timedelta, timezone

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import TestCase, program, wait_until

MINUTE = timedelta(minutes=1)
UTC = timezone.utc


class Schedules(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker()

    def show(self, name):
        return self.bed.ask("schedule", "show", name)["item"]

    def test_kill_9_fires_nothing_twice_and_leaves_nothing_out(self):
        """Each second makes one task, though the broker is killed; each task knows its schedule and its due time."""
        self.bed.do("schedule", "set", "tick", "@every 1s", "work", "--catch-up", "all", "--payload", '{"a": 1}')
        for count in (1, 2):
            wait_until("a task", lambda: self.show("tick")["fired"] >= count)
            self.bed.broker.kill()
            self.bed.start_broker()
        self.bed.do("schedule", "pause", "tick")
        ids = [task["id"] for task in self.bed.ask("task", "ls", "--limit", "0")["items"]]
        tasks = [self.bed.task(task_id) for task_id in ids]
        due = [datetime.fromisoformat(task["headers"]["jq-due"].replace("Z", "+00:00")) for task in tasks]
        self.assertEqual(len(due), self.show("tick")["fired"])
        self.assertEqual(due, [due[0] + timedelta(seconds=i) for i in range(len(due))])
        self.assertEqual({task["headers"]["jq-schedule"] for task in tasks}, {"tick"})
        self.assertEqual([task["payload"] for task in tasks], [{"a": 1}] * len(tasks))

    def test_people_set_show_run_pause_and_remove(self):
        """What was set is shown as it was set, with its next times in its zone; by name it is run, paused, removed."""
        self.bed.do("schedule", "set", "report", "30 2 * * mon-fri", "work", "--zone", "Europe/Berlin",
                    "--overlap", "skip", "--jitter", "10m", "--queue", "night", "--retry", "1", "--group", "acme")
        self.assertNotIn("headers", self.bed.run_jqctl("schedule", "show", "report")[1])
        item = self.show("report")
        self.assertEqual((item["when"], item["zone"], item["queue"]), ("30 2 * * mon-fri", "Europe/Berlin", "night"))
        self.assertEqual((item["overlap"], item["catch_up"], item["jitter_ms"]), ("skip", "last", 600000))
        self.assertEqual((item["task"]["retry"]["max"], item["task"]["group"]), (1, "acme"))
        self.assertEqual(len(item["due"]), 5)
        self.assertTrue(all("T02:30:00+0" in time["local"] for time in item["due"]))
        code, out, _ = self.bed.run_jqctl("schedule", "run", "report")
        self.assertEqual((code, self.bed.task(out.strip())["queue"]), (0, "night"))
        self.bed.do("schedule", "pause", "report")
        self.assertEqual([(row["name"], row["paused"]) for row in self.bed.ask("schedule", "ls")["items"]],
                         [("report", True)])
        self.bed.do("schedule", "rm", "report")
        self.assertEqual(self.bed.run_jqctl("schedule", "show", "report")[0], 1)
        types = [record["type"] for record in self.bed.journal()]
        self.assertIn("schedule_set", types)
        self.assertIn("schedule_forgotten", types)

    def test_a_bad_schedule_is_refused_with_the_field_and_the_reason(self):
        for words, message in ((("0 25 * * *", "work"), "when: hour: 25 is above 23"),
                               (("0 0 30 2 *", "work"), "when: it is never due"),
                               (("@daily", "work", "--zone", "Europe/../Berlin"), "zone: there is no such time zone"),
                               (("@daily", "work", "--catch-up", "some"), "catch_up: 'some' is none of none, last, all"),
                               (("@daily", "work", "--header", "jq-due=1"), "headers: 'jq-due' is set by the broker")):
            code, _, err = self.bed.run_jqctl("schedule", "set", "bad", *words)
            self.assertEqual(code, 65, err)
            self.assertIn(message, err)
        self.assertEqual(self.bed.ask("schedule", "ls")["items"], [])


class ZonesOfTheBroker(TestCase):
    def test_a_zone_that_comes_is_found_at_sighup(self):
        """A zone that is gone when the broker starts is told, and nothing fires; SIGHUP makes the broker look again."""
        folder = self.bed.open_folder("zones")
        with open(os.path.join(folder, "Here"), "wb") as file:
            zoneinfo_file(file)
        self.bed.start_broker(environment={"TZDIR": folder})
        self.bed.do("schedule", "set", "report", "30 2 * * *", "work", "--zone", "Here")
        self.bed.broker.stop()
        os.rename(os.path.join(folder, "Here"), os.path.join(folder, "There"))
        self.bed.start_broker(environment={"TZDIR": folder})
        item = self.bed.ask("schedule", "show", "report")["item"]
        self.assertEqual((item["trouble"], item["next_ms"]), ("there is no such time zone here", None))
        os.rename(os.path.join(folder, "There"), os.path.join(folder, "Here"))
        self.bed.broker.signal(signal.SIGHUP)
        item = wait_until("the zone", lambda: (row := self.bed.ask("schedule", "show", "report")["item"])["next_ms"] and row)
        self.assertIsNone(item["trouble"])
        self.assertEqual(datetime.fromtimestamp(item["next_ms"] / 1000, UTC).strftime("%H:%M"), "01:30")


def zoneinfo_file(file):
    """A zone an hour ahead of UTC, all year: TZif of version 2, with an empty table and a rule (RFC 8536)."""
    for version in (b"2", b"2"):
        file.write(b"TZif" + version + bytes(15) + struct.pack(">6I", 0, 0, 0, 0, 1, 4))
        file.write(struct.pack(">iBB", 3600, 0, 0) + b"ABC\0")
    file.write(b"\nABC-1\n")


class Unique(TestCase):
    def test_a_key_is_debounced_by_jqctl(self):
        """A later submit takes the place of the one that waits, over a SIGKILL of the broker too; the last payload runs."""
        self.bed.start_broker()
        words = ("--key", "k", "--unique", "debounce", "--unique-for", "1s")
        first = self.bed.submit("echo", *words, payload={"n": 1})
        self.assertEqual(self.bed.submit("echo", *words, payload={"n": 2}), first)
        self.bed.broker.kill()
        self.bed.start_broker()
        self.assertEqual(self.bed.submit("echo", *words, payload={"n": 3}), first)
        self.bed.start_worker("w", {"echo": "command = /bin/cat"})
        task = self.bed.wait_for_state(first, "succeeded")
        self.assertEqual(task["payload"], {"n": 3})
        self.assertEqual(task["detail"]["result"], {"n": 3})
        self.assertNotEqual(self.bed.submit("echo", *words, payload={"n": 4}), first)
        self.assertIn("task_renewed", [record["type"] for record in self.bed.journal()])


# ---- cron against a model: every minute, by zoneinfo ----

FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Antarctica/Troll",
         "Pacific/Apia", "America/Nuuk", "Europe/Dublin", "Asia/Tehran", "America/St_Johns", "UTC")


def random_field(rng, low, high):
    """(text, values)"""
    kind = rng.randrange(4)
    if kind == 0:
        return "*", set(range(low, high + 1))
    if kind == 1:
        step = rng.randint(1, high)
        return f"*/{step}", set(range(low, high + 1, step))
    first = rng.randint(low, high)
    last = rng.randint(first, high)
    if kind == 2:
        return f"{first}-{last}", set(range(first, last + 1))
    return f"{first},{last}", {first, last}


def takes(values, local):
    minutes, hours, days, months, weekdays = values
    by_day, by_weekday = local.day in days, local.isoweekday() % 7 in weekdays
    both_leave_out = len(days) < 31 and len(weekdays) < 7
    return (local.minute in minutes and local.hour in hours and local.month in months
            and ((by_day or by_weekday) if both_leave_out else (by_day and by_weekday)))


def model(values, zone, start, minutes):
    """All due times behind `start`: the first moment at which the clock has reached a time that is taken; with every hour
    taken each moment at which it shows one."""
    due, reached = [], None
    for i in range(minutes):
        now = start + i * MINUTE
        local = now.astimezone(zone).replace(tzinfo=None)
        if len(values[1]) == 24:
            is_due = takes(values, local)
        else:
            passed = [] if reached is None or local <= reached else \
                [reached + (k + 1) * MINUTE for k in range((local - reached) // MINUTE)]
            is_due = any(takes(values, time) for time in passed)
            reached = local if reached is None else max(local, reached)
        if is_due and i > 0:
            due.append(now)
    return due


def start_near_a_change(rng, zone):
    """A day or two before one of the changes of a year, if there is one."""
    year = rng.choice((1996, 2011, 2024, 2026, 2045))
    days = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(364)]
    changes = [day for day in days[2:]
               if day.astimezone(zone).utcoffset() != (day + timedelta(days=1)).astimezone(zone).utcoffset()]
    return (rng.choice(changes) if changes else rng.choice(days)) - timedelta(days=1)


class Cron(unittest.TestCase):
    def test_random_expressions_near_changes_of_the_clock(self):
        """jqctl's next times are those of a model that looks at every minute, with Python's time zones."""
        rng = random.Random(7)
        for _ in range(60):
            name = rng.choice(ZONES)
            zone = zoneinfo.ZoneInfo(name)
            texts, values = zip(*(random_field(rng, low, high) for low, high in FIELDS))
            if rng.random() < 0.7:  # most days, so that there is something to see
                texts, values = (*texts[:2], "*", "*", "*"), (*values[:2], *(set(range(32)) - {0},), set(range(1, 13)), set(range(7)))
            start = start_near_a_change(rng, zone)
            expected = [int(due.timestamp() * 1000) for due in model(values, zone, start, 3 * 1440)][:50]
            done = subprocess.run(
                [program("jqctl"), "schedule", "next", " ".join(texts), "--zone", name, "--count", "50", "--json",
                 "--from", start.isoformat().replace("+00:00", "Z")], capture_output=True, text=True, check=False)
            found = [item["due_ms"] for item in json.loads(done.stdout)["items"]] if done.returncode == 0 else []
            found = [due for due in found if due < (start + 3 * 1440 * MINUTE).timestamp() * 1000]
            self.assertEqual(found, expected, f"{texts} in {name} from {start}")


if __name__ == "__main__":
    unittest.main()
