"""Brokers and workers killed, and workers stopped and woken up."""

import signal
import time

from lib.bed import wait_until
from rounds import Round


def kill(seconds, chance, recoveries):
    """The broker is killed with SIGKILL about every second under load, now and then a worker with it."""
    with Round(recoveries) as place:
        place.load.start()
        kills, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            place.load.more(chance.randint(5, 60))
            if chance.random() < 0.3:
                worker = chance.choice(place.workers)
                worker.kill()
                worker.start()
                place.bed.wait_for_worker(worker.name)  # It is to be alive when it is compared with its former self.
            place.restart_broker()
            kills += 1
        place.load.more(5)
        return "%d kills, %d tasks acknowledged and ended once" % (kills, place.finish())


def stop(seconds, chance, recoveries):
    """Workers are stopped (SIGSTOP) past their liveness and wake up with leases that are no longer theirs."""
    with Round(recoveries) as place:
        place.load.start()
        stops, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            worker = chance.choice(place.workers)
            place.load.more(20)
            worker.signal(signal.SIGSTOP)
            wait_until("it is taken for dead", lambda: not place.bed.worker(worker.name).get("alive"))
            with place.recoveries.timed():
                worker.signal(signal.SIGCONT)
                place.bed.wait_for_worker(worker.name)
            stops += 1
        place.load.stop()
        lost = place.bed.status()["lost_total"]
        return "%d stops, %d leases lost by them, %d tasks ended once" % (stops, lost, place.finish())
