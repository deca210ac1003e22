"""The embedded stack: Temporal's own server, our database, a worker, a gateway and the sandbox world, one machine.

Every part is a process of its own on loopback, on ports that were free; each is ended by the id it was started
with, and dies with its parent even if that is killed.
"""

from __future__ import annotations

import ctypes
import errno
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
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import httpx
from sqlalchemy import Connection

from domain.access import PEOPLE, Role
from runtime import settings as configuration
from runtime.credentials import SANDBOX_CLERKS, SANDBOX_PEOPLE, issue_missing, private
from runtime.settings import HOUSE, Settings
from store import accounts, schema
from store.database import Database
from store.keys import KeyRing

SANDBOX_REGISTRY = HOUSE / "sandbox" / "registry.toml"
BIN = Path(sys.executable).parent
READY_SECONDS = 60.0
END_SECONDS = 15.0
PARENT_DEATH_SIGNAL = 1
PORTS = range(15_000, 32_000)
"""Below the ports an operating system gives to outgoing connections: Linux from 32,768, others from 49,152."""
BLOCK = 200
"""Ports each process takes in turn, by its id: so no two that start stacks at once take the same."""

LAST_LINES = 8

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
    """A port nobody listens on, which no outgoing connection takes and this process has not just given to another.

    Raises StackError.
    """
    first = PORTS.start + os.getpid() % (len(PORTS) // BLOCK) * BLOCK
    for _ in range(BLOCK):
        port = first + next(_turn) % BLOCK
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return port
    raise StackError(f"all ports from {first} to {first + BLOCK} are taken")


_turn = count()


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
    gateway_metrics: int = field(default_factory=free_port)


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
    def gateway_metrics(self) -> str:
        """The gateway's Prometheus metrics."""
        return f"http://127.0.0.1:{self.ports.gateway_metrics}/metrics"

    @property
    def addresses(self) -> dict[str, str]:
        """All of them, for programs."""
        return {
            "api": self.api,
            "world": self.world,
            "temporal": self.temporal,
            "temporal_ui": self.temporal_ui,
            "metrics": self.metrics,
            "gateway_metrics": self.gateway_metrics,
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
            "JIEBANG_REGISTRY": str(SANDBOX_REGISTRY),
            "JIEBANG_SANDBOX_URL": self.world,
            "JIEBANG_PUBLIC_URL": self.api,
            "JIEBANG_TEMPORAL_UI": self.temporal_ui,
            "JIEBANG_OIDC_ISSUER": f"{self.world}/oidc",
            "JIEBANG_OIDC_CLIENT_ID": "jiebang",
            "JIEBANG_OIDC_CLIENT_SECRET": "sandbox",
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
            self._wait("gateway", lambda: _ready(f"{self.api}/readyz"))
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
            KeyRing.new(sandbox=True).save(config.keys)
        if not any(carrier.takes_part for carrier in config.registry_data.carriers):
            raise StackError(f"no carrier in {config.registry} has endpoint and results: add them for one")
        schema.upgrade(config.database_url)
        with closing(Database(config.database_url)) as database:
            issue_missing(database, config.registry_data, config.key_ring, self.credentials)
            database.write_now(lambda c: _desk(c, config))
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
        metrics = {"JIEBANG_GATEWAY_METRICS": f"127.0.0.1:{self.ports.gateway_metrics}"}
        self._run("gateway", sys.executable, "-m", "gateway", "--port", str(self.ports.gateway), extra=metrics)
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
                raise StackError(f"{part} ended while starting: see {log}{_end_of(log)}")
            if time.monotonic() > until:
                raise StackError(f"{part} did not answer within {READY_SECONDS:.0f} s: see {log}{_end_of(log)}")
            time.sleep(0.05)

    def _handed_out(self) -> dict[str, object]:
        """What the command line needs to speak as anybody: the first carrier and channel, and everybody at the desk."""
        clear = json.loads(self.credentials.read_text())
        first = {role: next(iter(clear[f"{role}s"].values())) for role in ("carrier", "channel")}
        people = {code: one for role in (*PEOPLE, Role.CARRIER) for code, one in clear[f"{role.value}s"].items()}
        known = {
            who: {name: one[name] for name in ("client_id", "client_secret")}
            for who, one in {**first, **people}.items()
        }
        return {"carrier": next(iter(clear["carriers"])), "clients": known}


def _desk(connection: Connection, config: Settings) -> None:
    """Accounts for everybody at the case desk and the clerks: they sign in at the world's OpenID provider, under their
    codes."""
    now, who = datetime.now(UTC), "operator:sandbox"
    there = {account.code: account for account in accounts.listed(connection)}
    enterprises = {enterprise.code for enterprise in config.registry_data.enterprises}
    desk = {code: (role, "") for code, role in SANDBOX_PEOPLE.items() if role in PEOPLE}
    clerks = {code: (Role.ENTERPRISE, of) for code, of in SANDBOX_CLERKS.items() if of in enterprises}
    for code, (role, tenant) in (desk | clerks).items():
        if code not in there:
            accounts.add(connection, config.key_ring, code, role, None, who, now, tenant)
        if config.oidc_issuer and not (code in there and there[code].disabled_at):
            accounts.link(connection, config.key_ring, code, config.oidc_issuer, code, who, now)


def _end_of(log: Path) -> str:
    return "".join(f"\n  {line}" for line in log.read_text(errors="replace").splitlines()[-LAST_LINES:])


def _get(url: str, seconds: float) -> httpx.Response:
    """Asked in clear no authorities are loaded, which takes 50 ms every time a part is asked whether it is there."""
    return httpx.get(url, timeout=seconds, trust_env=False, verify=url.startswith("https:"))


def _answers(url: str) -> bool:
    try:
        return _get(url, 2).status_code < 500
    except httpx.HTTPError:
        return False


def _ready(url: str) -> bool:
    try:
        return _get(url, 10).status_code == 200
    except httpx.HTTPError:
        return False


def _die_with_parent() -> None:
    ctypes.CDLL("libc.so.6").prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
