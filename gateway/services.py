"""What the doors work with, built once in `gateway/app.py`."""

from __future__ import annotations

from dataclasses import dataclass

from domain.registry import Registry
from gateway.desk import AnswerDesk
from gateway.intake import Intake
from runtime.partners import Partners
from store.database import Database
from store.keys import KeyRing


@dataclass(frozen=True)
class Services:
    """Handed to every route."""

    database: Database
    keys: KeyRing
    registry: Registry
    partners: Partners
    intake: Intake
    desk: AnswerDesk
