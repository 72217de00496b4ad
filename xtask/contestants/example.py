#!/usr/bin/env python3
"""A contestant that answers, with threads of Python: counter, pipeline and primes.

cargo xtask compare counter --contestant 'py=python3 xtask/contestants/example.py'
"""

import json
import queue
import sys
import threading


def together(work, units):
    """Does work(0), work(1), ... in threads of their own, and waits for all."""
    threads = [threading.Thread(target=work, args=(unit,)) for unit in range(units)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def counter(job, _task):
    if job["guard"] != "lock":
        raise NotImplementedError("only the guard lock is written here")
    lock, total = threading.Lock(), 0

    def add(_worker):
        nonlocal total
        for _ in range(job["increments"]):
            with lock:
                total += 1

    together(add, job["workers"])
    return {"total": total, "lost": job["workers"] * job["increments"] - total}


def primes(job, _task):
    if job["share"] > 0:
        raise NotImplementedError("a worker takes all of its numbers at once here")
    workers, found = job["workers"], []

    def search(worker):
        numbers = range(job["start"] + worker, job["end"], workers)
        found.append(sum(map(is_prime, numbers)))

    together(search, workers)
    return {"count": sum(found)}


def is_prime(n):
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def pipeline(job, _task):
    producers, items, held = job["producers"], queue.Queue(job["capacity"]), Level()
    tallies, released = [], []

    def produce(producer):
        for sequence in range(producer, job["items"], producers):
            items.put((producer, sequence // producers))
            held.add(1)

    def consume(_consumer):
        received, fingerprint, in_order, following = 0, 0, True, [0] * producers
        while True:
            held.add(-1)
            item = items.get()
            if item is None:
                break
            producer, sequence = item
            received, fingerprint = received + 1, fingerprint + mixed(producer, sequence)
            in_order &= sequence >= following[producer]
            following[producer] = sequence + 1
            items.task_done()
        tallies.append((received, fingerprint, in_order))

    def release():
        together(produce, producers)
        items.join()
        released.append(items.unfinished_tasks)
        for _ in range(job["consumers"]):
            items.put(None)

    release = threading.Thread(target=release)
    release.start()
    together(consume, job["consumers"])
    release.join()
    received = sum(tally[0] for tally in tallies)
    return {
        "received": received,
        "fingerprint": sum(tally[1] for tally in tallies) % 2**64,
        "in_order": all(tally[2] for tally in tallies),
        "processed_before_release": received - released[0],
        "high_water": held.most,
    }


class Level:
    """How many items the queue holds, and the most that it ever held."""

    def __init__(self):
        self.lock, self.now, self.most = threading.Lock(), 0, 0

    def add(self, items):
        with self.lock:
            self.now += items
            self.most = max(self.most, self.now)


def mixed(producer, sequence):
    """SplitMix64 of an item's number."""
    z = ((producer << 40) + sequence + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


WORKLOADS = {"counter": counter, "pipeline": pipeline, "primes": primes}

print(json.dumps({"paces": 1, "workloads": list(WORKLOADS)}), flush=True)
for line in sys.stdin:
    task = json.loads(line)
    answer = {"id": task["id"]}
    try:
        answer["outcome"] = WORKLOADS[task["workload"]](task["job"], task)
    except NotImplementedError as reason:
        answer["unsupported"] = str(reason)
    except Exception as reason:
        answer["error"] = repr(reason)
    print(json.dumps(answer), flush=True)
