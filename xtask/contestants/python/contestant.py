"""What these contestants have in common: the protocol's loop, and what stands between jobs.

../README.md describes the protocol.
"""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor


class Unsupported(Exception):
    """The model does not do this job, for this reason."""


# Jobs that no model does here, with the reason.
LACKING = {
    "files": "its files are hashed with BLAKE3, which Python's standard library does not have",
    "thumbnails": "Python's standard library decodes no JPEG images",
}


class Standing:
    """What a model keeps from job to job: a pool, most of the time.

    There is one at a time. A job that needs another one ends it.
    """

    def __init__(self):
        self._key = self._made = self._end = None

    def get(self, key, make, end):
        """What `make` has made for `key`; `end` ends it."""
        if self._key != key:
            self.close()
            self._made, self._end = make(), end
            self._key = key
        return self._made

    def close(self):
        """Ends what stands."""
        made, end = self._made, self._end
        self._key = self._made = self._end = None
        if end is not None:
            end(made)


def thread_pool(threads):
    """A pool of threads, all of which have started: by itself it starts one for a task."""
    pool, all_started = ThreadPoolExecutor(threads), threading.Barrier(threads)
    list(pool.map(lambda _: all_started.wait(), range(threads)))
    return pool


def serve(workloads, prepare, close):
    """Says which workloads there are, and does jobs until standard input ends.

    `workloads` and `prepare` have functions of the job and of the whole task, by workload:
    `prepare` those that make what has to stand before the clock runs. `close` ends all that
    stands, also after an error.
    """
    sys.stdin.reconfigure(encoding="utf-8")
    say({"paces": 1, "prepares": True, "workloads": [*workloads, *LACKING]})
    try:
        for line in sys.stdin:
            say(answer(json.loads(line), workloads, prepare))
    finally:
        close()


def answer(task, workloads, prepare):
    """Does what `task` asks for."""
    name, number = task["workload"], {"id": task["id"]}
    try:
        if name in LACKING:
            raise Unsupported(LACKING[name])
        if task.get("prepare"):
            if name in prepare:
                prepare[name](task["job"], task)
            return {**number, "outcome": {}}
        return {**number, "outcome": workloads[name](task["job"], task)}
    except Unsupported as reason:
        return {**number, "unsupported": str(reason)}
    except Exception as error:
        return {**number, "error": f"{type(error).__name__}: {error}"}


def say(message):
    """Prints a line of JSON at once."""
    print(json.dumps(message), flush=True)
