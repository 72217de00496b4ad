"""Child processes that stand from job to job.

They are forked, as Python did on Linux by itself until 3.14. That is safe here: the parent has a
single thread whenever it forks. They get /dev/null for their standard input from
multiprocessing, so none reads a line of the protocol, and none prints. The other ways to start
children need a helper process, which outlives the parent for a moment.
"""

import multiprocessing
from multiprocessing.connection import wait

from contestant import Unsupported

FORK = multiprocessing.get_context("fork")

# Each is an interpreter: more than this fill a machine.
MOST_CHILDREN = 500


class Children:
    """Children that stand from job to job, each with a pipe for its tasks and results."""

    def __init__(self, number, shared):
        if number > MOST_CHILDREN:
            raise Unsupported(f"{number} processes are too many")
        self.shared = shared
        self._pipes, self._processes = [], []
        for _ in range(number):
            ours, theirs = FORK.Pipe()
            process = FORK.Process(target=work, args=(theirs, shared), daemon=True)
            process.start()
            theirs.close()  # it is the child's alone: its end shows when the child dies
            self._pipes.append(ours)
            self._processes.append(process)

    def run(self, tasks):
        """Has each child do a task, and gives what they return, in order."""
        places = dict(zip(self._pipes, range(len(tasks))))
        for pipe, place in places.items():
            pipe.send(tasks[place])
        results = [None] * len(tasks)
        while places:
            for pipe in wait(list(places)):
                try:
                    result, error = pipe.recv()
                except EOFError:
                    error = "a child has ended"
                if error is not None:
                    # The others may wait for it without end, and serve no more jobs.
                    self.kill()
                    raise RuntimeError(error)
                results[places.pop(pipe)] = result
        return results

    def close(self):
        """Ends all."""
        for pipe in self._pipes:
            try:
                pipe.send(None)
            except OSError:
                pass  # it has ended
        for process in self._processes:
            process.join()

    def kill(self):
        """Ends all at once."""
        for process in self._processes:
            process.kill()


def work(pipe, shared):
    """What a child does: tasks, until there are no more."""
    for task in iter(pipe.recv, None):
        function, *args = task
        try:
            pipe.send((function(shared, *args), None))
        except Exception as error:
            pipe.send((None, f"{type(error).__name__}: {error}"))
