"""GET requests over connections that are kept: one for each thread, and for each server."""

import threading
from http.client import HTTPConnection
from urllib.parse import urlsplit

import jobs


class Client(threading.local):
    """An own connection for each thread that uses it."""

    def __init__(self):
        self._netloc = self._connection = None

    def get(self, url):
        """The body of `url`."""
        parts = urlsplit(url)
        if self._netloc != parts.netloc:
            self.close()
            self._netloc, self._connection = parts.netloc, HTTPConnection(parts.netloc)
        path = parts.path or "/"
        path += f"?{parts.query}" if parts.query else ""
        is_kept = self._connection.sock is not None
        try:
            return self._ask(url, path)
        except ConnectionError:
            if not is_kept:
                raise
            # The server may close a connection that has not been used for a while.
            self._connection.close()
            return self._ask(url, path)

    def close(self):
        """Closes this thread's connection."""
        if self._connection is not None:
            self._connection.close()
        self._netloc = self._connection = None

    def _ask(self, url, path):
        try:
            self._connection.request("GET", path)
            response = self._connection.getresponse()
            body = response.read()  # fails if it is shorter than announced
        except Exception:
            self._connection.close()
            raise
        if response.status != 200:
            raise OSError(f"{url}: {response.status} {response.reason}")
        return body


HTTP = Client()


def fetch_one(url):
    """What a body comes to."""
    return jobs.checksum(HTTP.get(url))


def download_one(file):
    """Downloads a URL into a directory: the length, and how long that took."""
    (url, into), started = file, jobs.now_ns()
    return jobs.save(url, into, HTTP.get(url)), jobs.now_ns() - started
