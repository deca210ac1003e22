"""The embedded stack: Temporal's own server, our database, a worker, a gateway and the sandbox world, one machine.

Every part is a process of its own on loopback, on ports that were free; each is ended by the id it was started
with, and dies with its parent even if that is killed.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from runtime import settings as configuration
from runtime.partners import issue_missing, private
from runtime.settings import HOUSE, Settings
from store import schema
from store.keys import KeyRing

SANDBOX_REGISTRY = HOUSE / "sandbox" / "registry.toml"
BIN = Path(sys.executable).parent
READY_SECONDS = 60.0
END_SECONDS = 15.0
PARENT_DEATH_SIGNAL = 1

PRAGMAS = ("journal_mode=wal", "synchronous=normal")
DYNAMIC = (
    "history.transferProcessorMaxPollRPS=5000",
    "history.timerProcessorMaxPollRPS=5000",
    "history.visibilityProcessorMaxPollRPS=5000",
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
)
"""Measured: `docs/performance.md`."""


class StackError(RuntimeError):
    """The stack did not come up: says which part, and where its log is."""


def free_port() -> int:
    """A port nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Ports:
    """Where each part listens, on 127.0.0.1."""

    temporal: int = field(default_factory=free_port)
    temporal_ui: int = field(default_factory=free_port)
    gateway: int = field(default_factory=free_port)
    world: int = field(default_factory=free_port)
    smpp: int = field(default_factory=free_port)
    smtp: int = field(default_factory=free_port)
    metrics: int = field(default_factory=free_port)


class Stack:
    """Starts, watches and ends the parts; each can be killed and started again on its own."""

    def __init__(
        self, folder: Path, ports: Ports | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.ports = ports or Ports()
        self._given = dict(environment or {})
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._start: dict[str, Callable[[], None]] = {
            "temporal": self._temporal,
            "world": self._world,
            "worker": self._worker,
            "gateway": self._gateway,
        }

    # ── addresses ────────────────────────────────────────────────────────────────────────────────────

    @property
    def api(self) -> str:
        """The gateway's address."""
        return f"http://127.0.0.1:{self.ports.gateway}"

    @property
    def world(self) -> str:
        """The sandbox world's address."""
        return f"http://127.0.0.1:{self.ports.world}"

    @property
    def temporal(self) -> str:
        """Temporal's front end."""
        return f"127.0.0.1:{self.ports.temporal}"

    @property
    def temporal_ui(self) -> str:
        """Temporal's own pages."""
        return f"http://127.0.0.1:{self.ports.temporal_ui}"

    @property
    def metrics(self) -> str:
        """The worker's Prometheus metrics."""
        return f"http://127.0.0.1:{self.ports.metrics}/metrics"

    @property
    def addresses(self) -> dict[str, str]:
        """All of them, for programs."""
        return {
            "api": self.api,
            "world": self.world,
            "temporal": self.temporal,
            "temporal_ui": self.temporal_ui,
            "metrics": self.metrics,
            "logs": str(self.folder / "logs"),
        }

    @property
    def credentials(self) -> Path:
        """What the world outside was handed."""
        return self.folder / "credentials.json"

    @property
    def environment(self) -> dict[str, str]:
        """The settings every part gets: its own folder and loopback, whatever was exported for production."""
        return {
            "JIEBANG_FOLDER": str(self.folder),
            "JIEBANG_DATABASE_URL": f"sqlite:///{self.folder}/jiebang.db",
            "JIEBANG_KEYS": str(self.folder / "keys.json"),
            "JIEBANG_PARTNERS": str(self.folder / "partners.json"),
            "JIEBANG_REGISTRY": str(SANDBOX_REGISTRY),
            "JIEBANG_SANDBOX_URL": self.world,
            "JIEBANG_PUBLIC_URL": self.api,
            "JIEBANG_SMPP_HOST": "127.0.0.1",
            "JIEBANG_SMPP_PORT": str(self.ports.smpp),
            "JIEBANG_SMTP_HOST": "127.0.0.1",
            "JIEBANG_SMTP_PORT": str(self.ports.smtp),
            "TEMPORAL_ADDRESS": self.temporal,
            "TEMPORAL_NAMESPACE": "default",
            "TEMPORAL_CONFIG_FILE": os.devnull,
            **self._given,
        }

    @property
    def settings(self) -> Settings:
        """The same settings as an object."""
        return configuration.load(self.environment)

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Stack:
        """Everything up and answering. Raises StackError."""
        self.prepare()
        try:
            for part in self._start:
                self.start(part)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Everything down."""
        self.stop()

    def prepare(self) -> None:
        """Folder, keys, credentials and a migrated database, whatever of it is not there yet."""
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        config = self.settings
        if not config.keys.exists():
            KeyRing.new().save(config.keys)
        if not any(carrier.takes_part for carrier in config.registry_data.carriers):
            raise StackError(f"no carrier in {config.registry} has endpoint and results: add them for one")
        issue_missing(config.registry_data, config.key_ring, config.partners, self.credentials)
        schema.upgrade(config.database_url)
        private(self.folder / "up.json", json.dumps(self.addresses | self._handed_out()))

    def start(self, part: str) -> None:
        """Start one part and wait until it answers."""
        self._start[part]()

    def kill(self, part: str) -> None:
        """`kill -9`, as a machine that loses its power would."""
        process = self._running.pop(part)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """End what runs: first those who ask, then those who answer."""
        for part in reversed(list(self._running)):
            process = self._running.pop(part)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def alive(self, part: str) -> bool:
        """Whether a part runs."""
        process = self._running.get(part)
        return process is not None and process.poll() is None

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────

    def _temporal(self) -> None:
        ports = ("--port", self.ports.temporal, "--ui-port", self.ports.temporal_ui)
        file = ("--db-filename", self.folder / "temporal.db", "--ip", "127.0.0.1", "--log-level", "error")
        pragmas = [word for pragma in PRAGMAS for word in ("--sqlite-pragma", pragma)]
        dynamic = [word for value in DYNAMIC for word in ("--dynamic-config-value", value)]
        self._run("temporal", BIN / "temporal", "server", "start-dev", *ports, *file, *pragmas, *dynamic)
        check = [str(BIN / "temporal"), "operator", "cluster", "health", "--address", self.temporal]
        env = self._process_environment()
        self._wait(
            "temporal",
            lambda: subprocess.run(check, env=env, capture_output=True, timeout=10).returncode == 0,  # noqa: S603
        )

    def _world(self) -> None:
        settings = {
            "http_port": self.ports.world,
            "smpp_port": self.ports.smpp,
            "smtp_port": self.ports.smtp,
            "gateway_url": self.api,
            "credentials": str(self.credentials),
            "folder": str(self.folder),
            "registry": self.environment["JIEBANG_REGISTRY"],
        }
        file = self.folder / "world.json"
        file.write_text(json.dumps(settings))
        self._run("world", sys.executable, "-m", "sandbox.world", "--settings", file)
        self._wait("world", lambda: _answers(f"{self.world}/world/state"))

    def _worker(self) -> None:
        metrics = {"JIEBANG_METRICS_ADDRESS": f"127.0.0.1:{self.ports.metrics}"}
        self._run("worker", sys.executable, "worker.py", extra=metrics)
        self._wait("worker", lambda: _answers(self.metrics))

    def _gateway(self) -> None:
        self._run("gateway", sys.executable, "-m", "gateway", "--port", str(self.ports.gateway))
        self._wait("gateway", lambda: _answers(f"{self.api}/healthz"))

    def _run(self, part: str, *words: object, extra: Mapping[str, str] | None = None) -> None:
        with (self.folder / "logs" / f"{part}.log").open("ab") as log:
            self._running[part] = subprocess.Popen(  # noqa: S603
                [str(word) for word in words],
                cwd=HOUSE,
                env={**self._process_environment(), **(extra or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )

    def _process_environment(self) -> dict[str, str]:
        """This process's environment with the stack's settings in place of any others."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("JIEBANG_", "TEMPORAL_"))}
        return clean | self.environment

    def _wait(self, part: str, answers: Callable[[], bool]) -> None:
        until = time.monotonic() + READY_SECONDS
        log = self.folder / "logs" / f"{part}.log"
        while not answers():
            if not self.alive(part):
                raise StackError(f"{part} ended while starting: see {log}")
            if time.monotonic() > until:
                raise StackError(f"{part} did not answer within {READY_SECONDS:.0f} s: see {log}")
            time.sleep(0.05)

    def _handed_out(self) -> dict[str, object]:
        """What the command line needs to speak as anybody: the first carrier and channel, and everybody at the desk."""
        clear = json.loads(self.credentials.read_text())
        first = {role: next(iter(clear[f"{role}s"].values()))["token"] for role in ("carrier", "channel")}
        desk = {code: one["token"] for role in ("case_workers", "supervisors") for code, one in clear[role].items()}
        carriers = {code: one["token"] for code, one in clear["carriers"].items()}
        return {"carrier": next(iter(carriers)), "tokens": {**first, **desk, **carriers}}


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code < 500
    except httpx.HTTPError:
        return False


def _die_with_parent() -> None:
    ctypes.CDLL("libc.so.6").prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
