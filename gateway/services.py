"""What the doors work with, built once in `gateway/app.py`."""

from __future__ import annotations

from dataclasses import dataclass, field

from temporalio.client import Client as Engine

from domain.registry import Registry
from gateway.desk import AnswerDesk
from gateway.held import Held
from gateway.intake import Intake
from gateway.limits import Limits
from gateway.people import People
from store.clients import Clients
from store.database import Database
from store.keys import KeyRing
from store.signing import SigningKeys


@dataclass(frozen=True)
class Services:
    """Handed to every route."""

    database: Database
    keys: KeyRing
    registry: Registry
    clients: Clients
    signing: SigningKeys
    intake: Intake
    desk: AnswerDesk
    engine: Engine
    people: People = field(default_factory=People)
    limits: Limits = field(default_factory=Limits)
    overview: Held = field(default_factory=Held)
    temporal_ui: str = ""
    """Where the engine's own pages are, if people at the case desk may look there."""
