#!/usr/bin/env python3
"""Unit: sub-interpreter, with a thread and a GIL of its own. Shares: nothing. Ends: its pool does.

Python 3.14 or later.
cargo xtask compare --contestant 'py=python3.14 xtask/contestants/python/interpreter.py'
"""

import functools
from concurrent import futures

import jobs
from contestant import Standing, Unsupported, serve
from http_client import download_one, fetch_one
from jobs import now_ns

STANDING = Standing()


def pool(interpreters):
    """A pool that stands, with this number of sub-interpreters."""

    def make():
        made = futures.InterpreterPoolExecutor(interpreters)
        # Each is started for a task, and takes longer to start than all tasks to be handed over:
        # so all start here.
        list(made.map(abs, range(interpreters)))
        return made

    return STANDING.get(interpreters, make, lambda made: made.shutdown())


def primes_pool(job, _task):
    return pool(job["workers"])


def primes(job, task):
    return {"count": sum(primes_pool(job, task).map(jobs.count_primes, jobs.chunks(job)))}


def fetch_pool(_job, task):
    return pool(len(task["urls"]))


def fetch(job, task):
    workers, started = fetch_pool(job, task), now_ns()
    bodies = futures.as_completed([workers.submit(fetch_one, url) for url in task["urls"]])
    return jobs.fetched([(body.result(), now_ns() - started) for body in bodies])


def download_pool(job, task):
    return pool(max(min(job["limit"], len(task["urls"])), 1))


def download(job, task):
    files = [(url, task["into"]) for url in task["urls"]]
    return jobs.downloaded(list(download_pool(job, task).map(download_one, files)))


def offload_pool(job, task):
    return pool(jobs.blocking_calls(job, task)) if job["place"] == "pool" else None


def offload(job, task):
    workers, heartbeat = offload_pool(job, task), jobs.Heartbeat(job)
    if workers is None:
        return jobs.blocked_inline(job)
    return jobs.handed_over(job, workers, heartbeat)


def unsupported(why, _job, _task):
    raise Unsupported(why)


NOTHING_SHARED = "sub-interpreters have no object in common that one of them can change"
NO_QUEUE = "a pool of sub-interpreters has calls and results, and no queue between its units"
NOT_FOR_WAITING = "each is an interpreter: for units that wait, or do next to nothing, take threads"

LACKING = {
    "counter": NOTHING_SHARED,
    "exchange": NOTHING_SHARED,
    "pipeline": NO_QUEUE,
    "ping-pong": NO_QUEUE,
    "sleepers": NOT_FOR_WAITING,
    "spawn": NOT_FOR_WAITING,
    "deadlines": NOT_FOR_WAITING,
}
WORKLOADS = {
    **{name: functools.partial(unsupported, why) for name, why in LACKING.items()},
    "primes": primes,
    "fetch": fetch,
    "download": download,
    "offload": offload,
}
PREPARE = {
    "primes": primes_pool,
    "fetch": fetch_pool,
    "download": download_pool,
    "offload": offload_pool,
}

if __name__ == "__main__":
    serve(WORKLOADS, PREPARE, STANDING.close)
