#!/usr/bin/env python3
"""Makes golden journals: the life of a broker in which about everything happens, as this version writes it.

    zig build && tests/golden/make.py NAME        makes tests/golden/NAME and tests/golden/NAME-archived

NAME is the version of the journal's format and a word, such as v1-first. What is there is never made anew: each version of jqmesh reads
all of them (tests/unit/test_golden.c). `expected` in each says what is to be found: counts of records by type, and the state at the end
with its digest.
"""

import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
from lib import sp
from lib.bed import Bed, wait_until

HANDLERS = {
    "noop": "command = /bin/true\nstdin = none",
    "bad": "command = /bin/sh -c 'echo wrong input >&2; exit 65'",
    "fails": "command = /bin/sh -c 'echo no luck >&2; exit 1'",
    "pure": "command = /bin/cp {input.part} {output.copy}\nstdin = none\npure = yes\nversion = 7",
    "slow": "command = /bin/sleep 60\nstdin = none",
}
COUNTS = ("digest", "waiting", "blocked", "scheduled", "ready", "running", "dead", "tasks_finished", "keys")


def tasks(bed):
    """Submits of every shape, and what may become of them."""
    bed.submit("noop", "--key", "one", "--group", "a", "--priority", "high", "--header", "trace=1", payload={"n": 1})
    bed.submit("noop", "--queue", "far", "--delay", "10d", "--expires", "2099-01-01T00:00:00Z", "--need", "cpu=1 os==linux",
               "--want", "zone==lab1:50")
    bed.submit("noop", "--queue", "far", "--eta", "2098-01-01T00:00:00Z", "--result-ttl", "5d", "--soft-limit", "5s", "--hard-limit", "9s")
    for mode in ("while_queued", "until_done"):
        bed.submit("noop", "--queue", "far", "--delay", "10d", "--key", mode, "--unique", mode)
    bed.submit("noop", "--key", "t", "--unique", "throttle", "--unique-for", "1s")
    for n in range(2):
        bed.submit("noop", "--key", "d", "--unique", "debounce", "--unique-for", "1h", payload=n)
    dead = [bed.submit("bad", payload=["bad", n]) for n in range(4)]
    bed.submit("fails", "--retry", "2")
    bed.submit("noop", "--after", dead[0])
    bed.submit("noop", "--after", dead[0], "--on", "failed")
    wait_until("they are dead", lambda: bed.ask("server", "status")["item"]["dead"] == 5)
    bed.do("dead", "edit", dead[1], "--payload", '{"mended": true}', "--priority", "low")
    bed.do("dead", "replay", dead[1], "--rate", "1/h")
    bed.do("task", "retry", dead[2])
    bed.do("dead", "rm", dead[3], "--yes")



def cached(bed):
    """Results that are kept, with a file: asked for again, run all the same, one that is gone, and a task that waits with a key."""
    words = ("--input", f"part={bed.write('part', 'a cube')}", "--output", "copy")
    for more in ((), (), ("--no-cache",)):
        bed.wait_for_state(bed.submit("pure", *words, *more), "succeeded")
    bed.do("cache", "purge")
    for _ in range(2):
        last = bed.wait_for_state(bed.submit("pure", *words), "succeeded")
    assert last["outcome"] == "cached"
    bed.submit("pure", *words, "--delay", "10d")


def steering(bed):
    """What operators do."""
    held = [bed.submit("noop", "--queue", "far", "--delay", "10d") for _ in range(4)]
    bed.do("task", "hold", held[0], held[1])
    bed.do("task", "release", held[1])
    bed.do("task", "move", held[2], "--to", "far.away")
    bed.do("task", "cancel", held[3])
    running = bed.submit("slow")
    bed.wait_for_state(running, "running")
    bed.do("task", "cancel", running)
    bed.wait_for_state(running, "cancelled")
    bed.do("queue", "pause", "far", "--until", "2097-01-01T00:00:00Z")
    bed.do("queue", "set", "far.away", "--weight", "3", "--depth-max", "1000")
    bed.do("queue", "drain", "closed")
    bed.do("limit", "set", "queue:far", "--concurrency", "4")
    bed.do("limit", "set", "group:default/*", "--rate", "1000/s", "--burst", "9")
    bed.do("limit", "set", "handler:slow", "--rate", "5/m")
    bed.do("limit", "rm", "handler:slow")
    bed.do("breaker", "trip", "handler:slow")
    bed.do("breaker", "trip", "handler:bad")
    bed.do("breaker", "reset", "handler:bad")
    bed.do("schedule", "set", "nightly", "30 2 * * mon-fri", "noop", "--zone", "Europe/Berlin", "--payload", '"night"')
    bed.do("schedule", "run", "nightly")
    bed.do("schedule", "set", "often", "@every 90s", "noop")
    bed.do("schedule", "pause", "often")
    bed.do("schedule", "set", "never", "@daily", "noop")
    bed.do("schedule", "rm", "never")


def flows(bed):
    document = {"name": "chord", "tasks": [{"name": "left", "handler": "noop"}, {"name": "right", "handler": "bad"},
                                           {"name": "sum", "handler": "noop", "after": ["left", "right"]}]}
    bed.do("flow", "submit", bed.write("chord.json", json.dumps(document)))
    document["tasks"] = [{"name": "one", "handler": "slow"}, {"name": "two", "handler": "noop", "after": ["one"]}]
    code, out, err = bed.run_jqctl("flow", "submit", bed.write("cut.json", json.dumps(document)))
    assert code == 0, err
    bed.do("flow", "cancel", out.split()[0])
    client = bed.client()
    status, body = client.ask("flow.begin", {"count": 2, "name": "unfinished"})
    assert status == sp.OK
    status, body = client.ask("flow.add", {"flow": body["flow"], "at": 0, "tasks": [{"handler": "noop"}]})
    assert status == sp.OK, body
    client.close()


def expected(bed, folder, archive=None):
    more = ["--archive", archive] if archive else []
    stat = bed.ask("journal", "stat", folder, *more)["item"]
    state = bed.ask("journal", "state", folder, *more)["item"]
    assert stat["sound"], stat
    lines = [f"{key} {state[key]}" for key in COUNTS]
    lines += [f"records {stat['records']}", f"first_lsn {stat['first_lsn']}", f"end_lsn {stat['end_lsn']}"]
    lines += [f"type {row['type']} {row['count']}" for row in stat["types"]]
    return "\n".join(lines) + "\n"


def settle(bed):
    def quiet():
        status = bed.ask("server", "status")["item"]
        return (status["ready"], status["running"]) == (0, 0)

    wait_until("nothing is left to do now", quiet)


def make_life(target):
    """A broker that was killed once, copied by `server backup`."""
    bed = Bed()
    try:
        settings = {"journal.segment_size": "1M", "journal.first_segment_size": "64k"}
        broker = bed.start_broker(settings)
        bed.start_worker("w1", HANDLERS)
        tasks(bed)
        cached(bed)
        broker.kill()
        broker = bed.start_broker(settings)
        bed.wait_for_worker("w1")
        steering(bed)
        flows(bed)
        bed.start_worker("w2", {"noop": HANDLERS["noop"]})
        bed.do("worker", "drain", "w2")
        settle(bed)
        bed.do("server", "backup", target)
        os.remove(os.path.join(target, "backup.json"))  # It names this machine's folders.
        shutil.rmtree(os.path.join(target, "blobs"), ignore_errors=True)
        with open(os.path.join(target, "expected"), "w", encoding="utf-8") as file:
            file.write(expected(bed, target))
    finally:
        bed.end()


def make_archived(target):
    """A log that has moved what is live in its oldest part to its head, and whose oldest part is in an archive, compressed."""
    bed = Bed()
    try:
        archive = bed.path("archive")
        broker = bed.start_broker({"journal.segment_size": "1M", "journal.first_segment_size": "64k", "journal.archive": archive,
                                   "journal.retention_time": "0s", "limits.finished_max": "3"})
        for n in range(3):
            bed.submit("noop", "--delay", "10d", "--key", f"k{n}", "--group", "g", payload={"number": n})
        bed.start_worker("w1", HANDLERS)
        dead = bed.submit("bad", payload="kept")
        client = bed.client()
        for _ in range(110):
            assert client.ask("submit", {"tasks": [{"handler": "noop", "payload": b"x" * 40000}]})[0] == sp.OK
        client.close()
        settle(bed)
        wait_until("the archive has something", lambda: len(os.listdir(archive)) >= 3)
        assert bed.task(dead)["state"] == "dead"
        broker.stop()
        os.makedirs(target)
        for name in os.listdir(archive):
            shutil.copy(os.path.join(archive, name), target)
        for name in sorted(os.listdir(bed.data)):
            if name.endswith(".jql"):
                os.system(f"zstd -q -19 {bed.path('data', name)} -o {os.path.join(target, name + '.zst')}")
        with open(os.path.join(target, "expected"), "w", encoding="utf-8") as file:
            file.write(expected(bed, target))
    finally:
        bed.end()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = os.path.join(HERE, sys.argv[1])
    for folder in (target, target + "-archived"):
        if os.path.exists(folder):
            sys.exit(f"{folder} is there, and is never made anew")
    make_life(target)
    make_archived(target + "-archived")


if __name__ == "__main__":
    main()
