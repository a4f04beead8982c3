#!/usr/bin/env python3
"""What retention keeps, and where segments go that leave the journal."""

import json
import os
import sys
import time
import unittest
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import sp
from lib.bed import TestCase, wait_until

MIB = 1024 * 1024
BATCH = [{"handler": "noop", "payload": b"x" * 40000}]
TASKS = 150  # 6 MB


class Archive(TestCase):
    def setUp(self):
        super().setUp()
        self.archive = self.bed.path("archive")
        self.settings = {"journal.segment_size": "1M", "journal.first_segment_size": "1M", "limits.finished_max": "5"}

    def segments(self):
        return sorted(int(name.split(".")[0]) for name in os.listdir(self.bed.data) if name.endswith(".jql"))

    def archived(self):
        return sorted(name for name in os.listdir(self.archive)) if os.path.isdir(self.archive) else []

    def half(self):
        return [name for name in self.archived() if not name.endswith(".jql.zst")]

    def fill(self):
        """Tasks that have ended and are forgotten."""
        client = self.bed.client()
        for _ in range(TASKS):
            self.assertEqual(client.ask("submit", {"tasks": BATCH})[0], sp.OK)
        client.close()
        self.bed.do("task", "cancel", "--where", "state=ready", "--yes")

    def records(self):
        code, out, err = self.bed.run_jqctl("journal", "dump", self.bed.data, "--archive", self.archive, "--json")
        self.assertEqual(code, 0, err)
        records = [json.loads(line) for line in out.splitlines()]
        return {type_: {record["task"] for record in records if record["type"] == type_}
                for type_ in ("task_submitted", "task_ended")}

    def test_retention_then_archive(self):
        """By time everything is kept; by size so many bytes; without retention nothing but what is needed. What left stands in the archive,
        compressed, and together both are the log from its birth on, kill -9 in between or not."""
        broker = self.bed.start_broker({**self.settings, "journal.archive": self.archive})
        self.fill()
        end = self.bed.ask("server", "status")["item"]["needs_from_lsn"]
        self.assertGreater(end, 5 * MIB)
        self.assertEqual((self.segments()[0], self.archived()), (0, []), "retention_time is an hour")

        broker.kill()
        broker = self.bed.start_broker({**self.settings, "journal.archive": self.archive, "journal.retention_time": "0s",
                                        "journal.retention_bytes": "3M"})
        wait_until("what is beyond 3 MB has left", lambda: self.segments()[0] >= end - 4.5 * MIB)
        self.assertLessEqual(self.segments()[0], end - 3 * MIB + MIB / 4, "less than 3 MB were kept")
        wait_until("no half file is left", lambda: not self.half())

        broker.kill()
        with open(os.path.join(self.archive, "00000000000000000007.jql.zst.tmp"), "wb") as file:
            file.write(b"half")
        self.bed.start_broker({**self.settings, "journal.archive": self.archive, "journal.retention_time": "0s"})
        wait_until("everything old has left", lambda: self.segments()[0] >= end - MIB)
        wait_until("no half file is left", lambda: not self.half())
        verdict = self.bed.ask("journal", "verify", self.bed.data, "--archive", self.archive)["item"]
        self.assertEqual((verdict["sound"], verdict["first_lsn"]), (True, 0))
        found = self.records()
        self.assertEqual((len(found["task_submitted"]), found["task_submitted"] - found["task_ended"]), (TASKS, set()))
        code, out, _ = self.bed.run_jqctl("journal", "verify", self.archive, "--json")
        self.assertEqual((code, json.loads(out)["item"]["damages"]), (0, 0), "the archive alone")

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.bed.http_port}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return next(int(float(line.split()[-1])) for line in lines if line.startswith(f"jqmesh_{name} "))

    def test_a_command_takes_segments_away(self):
        """A segment stays until the command has said that it is safe; that it does not say so is told, and the broker goes on. What is put
        into the folder goes from its old end."""
        away = self.bed.open_folder("away")
        command = f"sh -c 'test -e {away}/open && cp $0 {away}/part && mv {away}/part {away}/$1' %f %n"
        self.bed.start_broker({**self.settings, "journal.archive": self.archive, "journal.retention_time": "0s",
                               "journal.archive_command": command, "journal.archive_bytes_max": "1"})
        self.assertEqual([self.metric(name) for name in ("blobs", "blob_bytes")], [0, 0])
        file = self.bed.path("file")
        with open(file, "wb") as out:
            out.write(b"12345")
        self.bed.do("blob", "put", file)
        self.assertEqual([self.metric(name) for name in ("blobs", "blob_bytes")], [1, 5])
        self.assertGreater(self.metric("blob_bytes_max"), 0)
        self.fill()
        wait_until("it has failed", lambda: self.bed.ask("server", "status")["item"]["log_stuck_tries"] > 0)
        self.assertEqual(self.segments()[0], 0)
        self.assertGreater(self.metric("log_segments_stuck_total"), 0)
        with open(os.path.join(away, "open"), "w"):
            pass
        end = self.bed.ask("server", "status")["item"]["needs_from_lsn"]
        wait_until("everything old has left", lambda: self.segments()[0] >= end - MIB)
        wait_until("that is told", lambda: self.bed.ask("server", "status")["item"]["log_stuck_tries"] == 0)
        wait_until("the folder has but the newest", lambda: len(self.archived()) == 1)
        self.assertGreater(self.metric("log_segments_pruned_total"), 2)
        verdict = self.bed.ask("journal", "verify", self.bed.data, "--archive", away)["item"]
        self.assertEqual((verdict["sound"], verdict["first_lsn"]), (True, 0))

    def test_a_damaged_header_keeps_nothing_for_ever(self):
        """A segment whose age cannot be read any more is as old as that has been known."""
        self.bed.start_broker({**self.settings, "journal.retention_time": "1s"})
        client = self.bed.client()
        for _ in range(TASKS // 2):
            self.assertEqual(client.ask("submit", {"tasks": BATCH})[0], sp.OK)
        client.close()
        second = self.segments()[1]
        with open(os.path.join(self.bed.data, f"{second:020}.jql"), "r+b") as file:
            file.write(bytes(64))
        self.bed.do("task", "cancel", "--where", "state=ready", "--yes")
        wait_until("it has left, and the one before it", lambda: self.segments()[0] > second)

    def test_a_backup_outlives_what_it_copies(self):
        """What a backup has begun to copy stays until it is done, though the broker needs none of it any more."""
        self.bed.start_broker({**self.settings, "journal.retention_time": "0s"})
        client = self.bed.client()
        for _ in range(TASKS):
            self.assertEqual(client.ask("submit", {"tasks": BATCH})[0], sp.OK)
        status, point = client.ask("backup.begin", {})
        self.assertEqual(status, sp.OK)
        self.bed.do("task", "cancel", "--where", "state=ready", "--yes")
        wait_until("nobody needs the old segments",
                   lambda: self.bed.ask("server", "status")["item"]["needs_from_lsn"] > 5 * MIB)
        begun = time.monotonic()
        wait_until("they could have gone", lambda: time.monotonic() > begun + 1.3)
        copy = self.bed.open_folder("copy")
        ask = {"offset": 0, "end_lsn": point["end_lsn"]}
        while ask:
            status, piece = client.ask("backup.read", ask)
            self.assertEqual(status, sp.OK, piece)
            with open(os.path.join(copy, f"{piece['segment']:020}.jql"), "ab") as file:
                file.write(piece["data"])
            ask["offset"] += len(piece["data"])
            if ask["offset"] == piece["size"]:
                ask = {"segment": piece["next"], "offset": 0, "end_lsn": point["end_lsn"]} if piece.get("next") else None
            else:
                ask["segment"] = piece["segment"]
        client.close()
        state = self.bed.ask("journal", "state", copy)["item"]
        self.assertEqual((state["ready"], int(state["digest"], 16)), (TASKS, point["digest"]))


if __name__ == "__main__":
    unittest.main()
