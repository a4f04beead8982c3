"""What broker and workers hold: descriptors, children, memory, control groups, files; and the check that it does not grow."""

import os

from lib.bed import is_alive, wait_until

# A connection of whoever asks, up to five of each worker, which connects for its files and outputs when it first needs to; a file that
# is being made, segments that are read. A worker keeps some for each control group that it uses again, one for each
# task that it has ever run at the same time; what leaked with each task would be thousands.
BROKER_FDS_MORE, WORKER_FDS_MORE = 20, 48
# The broker remembers finished tasks, so its memory may grow with them.
BROKER_KIB_MORE, BROKER_KIB_PER_TASK, WORKER_KIB_MORE = 48 << 10, 2, 24 << 10
CGROUPS = "/sys/fs/cgroup"


def targets(pid):
    """What its descriptors are open on."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:
            pass  # Closed meanwhile.
    return found


def is_segment(target):
    return target.removesuffix(" (deleted)").endswith(".jql")


def open_fds(pid):
    """But for segments of the journal, of which a broker keeps open what it reads: as many as there are."""
    return sum(not is_segment(target) for target in targets(pid))


def deleted_files(pid):
    return [target for target in targets(pid) if target.startswith("/") and target.endswith(" (deleted)")]


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        sizes = [int(line.split()[1]) for line in file if line.startswith("VmRSS:")]
    assert sizes, f"process {pid} has died"
    return sizes[0]


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children(parent):
    found = []
    for pid in pids():
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                if int(file.read().rsplit(")", 1)[1].split()[1]) == parent:
                    found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def speaks_of(pid, text):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return pid != os.getpid() and text.encode() in file.read()
    except (FileNotFoundError, ProcessLookupError):
        return False


def files_below(folder):
    return [os.path.join(place, name) for place, _, names in os.walk(folder) for name in names]


class Holdings:
    """What one process holds now."""

    def __init__(self, process):
        self.pid = process.pid
        self.fds, self.kib, self.children = open_fds(self.pid), resident_kib(self.pid), len(children(self.pid))


def check_process(process, before, fds_more, kib_more):
    """Compared with `before`, or with what an earlier life of the same program held when it was as idle as now."""
    wait_until(f"{process.name}: descriptors as before ({before.fds})",
               lambda: open_fds(process.pid) <= before.fds + fds_more)
    wait_until(f"{process.name}: no file that is deleted and open", lambda: not deleted_files(process.pid))
    wait_until(f"{process.name}: no child more than before", lambda: len(children(process.pid)) <= before.children)
    grown = resident_kib(process.pid) - before.kib
    assert grown <= kib_more, f"{process.name} has grown by {grown} KiB, {kib_more} were allowed"


def check_running(broker, workers, before, task_count):
    """When all tasks have ended and all clients have left. `before`: {name: Holdings}."""
    check_process(broker, before[broker.name], BROKER_FDS_MORE, BROKER_KIB_MORE + BROKER_KIB_PER_TASK * task_count)
    for worker in workers:
        check_process(worker, before[worker.name], WORKER_FDS_MORE, WORKER_KIB_MORE)


def records(bed, worker):
    """The files of a worker's children: {path: the first line}. "-": it waits for a child."""
    found = {}
    for path in files_below(bed.path(worker.name, "state", "children")):
        with open(path, encoding="utf-8") as file:
            found[path] = file.readline().strip()
    return found


def check_work_dirs(bed, workers):
    for worker in workers:
        left = files_below(bed.path(worker.name, "work"))
        left += [path for path, line in records(bed, worker).items() if line != "-"]
        assert not left, f"left by tasks: {left[:3]}"


def check_ended(bed, workers):
    """When broker and workers have been told to end, and have."""
    left = [pid for pid in pids() if speaks_of(pid, bed.folder) and is_alive(pid)]
    assert not left, f"processes left: {left}"
    books = [path for worker in workers for path in records(bed, worker)]
    assert not books, f"files left by workers: {books[:3]}"
    groups = [os.path.join(place, name) for place, names, _ in os.walk(CGROUPS) for name in names
              if any(name.startswith(f"jqmesh-{worker.name}-") for worker in workers)]
    assert not groups, f"control groups left: {groups[:3]}"
    strays = [path for path in files_below(bed.data) if path.endswith((".tmp", ".new")) and "spare" not in path]
    assert not strays, f"files left by the broker: {strays}"
