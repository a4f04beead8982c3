"""The verdict: every result against its known value, every outcome accepted once, told as a table."""

import json
import statistics
from collections import Counter

from processes import DemoError


def count_runs(jqctl, data_dir):
    """Reads the broker's journal: how often each task was leased, and how many of its outcomes were accepted."""
    code, out, err = jqctl.run("journal", "dump", data_dir, "--json")
    if code != 0:
        raise DemoError(f"jqctl journal dump: exit {code}: {err.strip()}")
    leased, accepted = Counter(), Counter()
    for line in out.splitlines():
        record = json.loads(line)
        if record["type"] == "task_leased":
            leased[record["task"]] += 1
        elif record["type"] == "task_ended":
            accepted[record["task"]] += 1
    return leased, accepted


def fault_of(kind, task, outcome):
    """What is wrong with one task; None if nothing is."""
    if outcome is None:
        return "it is gone"
    detail = outcome.get("detail") or {}
    if outcome["state"] != "succeeded":
        return f"{outcome['state']}, {outcome['outcome']}: {detail.get('message')}"
    try:
        return kind.fault(task, detail.get("result"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__}: {error}"


def row_of(screen, kind, ids, outcomes, leased, faults):
    mine = [task_id for task_id, (of, _) in ids.items() if of is kind]
    times = [((outcomes.get(task_id) or {}).get("detail") or {}).get("duration_ms") or 0 for task_id in mine]
    wrong = sum(task_id in faults for task_id in mine)
    verdict = screen.bad(f"{wrong} wrong") if wrong else f"{screen.good('all right')}: {kind.check_text}"
    return (
        kind.title, str(len(mine)), str(sum(leased[task_id] for task_id in mine)),
        f"{statistics.median(times) / 1000:.2f} s", f"{max(times) / 1000:.2f} s", verdict,
    )


def judge(screen, kinds, ids, outcomes, runs):
    """Prints the table and what it means; whether all is right."""
    leased, accepted = runs
    outcomes = {outcome["id"]: outcome for outcome in outcomes}
    faults = {task_id: fault_of(kind, task, outcomes.get(task_id)) for task_id, (kind, task) in ids.items()}
    faults = {task_id: fault for task_id, fault in faults.items() if fault is not None}
    screen.line()
    rows = [row_of(screen, kind, ids, outcomes, leased, faults) for kind in kinds]
    screen.table(("WORK", "TASKS", "ATTEMPTS", "MEDIAN", "LONGEST", "RESULT"), rows)
    screen.line()
    for task_id, fault in faults.items():
        screen.line("  " + screen.bad(f"task {task_id}: {fault}"))
    return say_outcomes(screen, ids, leased, accepted) and not faults


def say_outcomes(screen, ids, leased, accepted):
    again = sum(leased[task_id] > 1 for task_id in ids)
    unsound = [task_id for task_id in ids if accepted[task_id] != 1]
    strangers = set(accepted) - set(ids)
    if unsound or strangers:
        screen.line("  " + screen.bad(f"outcomes accepted not exactly once: tasks {', '.join([*unsound, *strangers])}"))
        return False
    screen.line(
        f"  {sum(leased.values())} attempts, {again} of {len(ids)} tasks ran more than once, "
        f"{sum(accepted.values())} outcomes accepted: one a task, as the journal shows."
    )
    return True
