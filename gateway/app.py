"""The gateway: one FastAPI application, wired here and nowhere else. `python -m gateway` serves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from sqlalchemy import text

from gateway import (
    casework,
    clocks,
    complaints,
    disputes,
    identity,
    investigations,
    mail_page,
    numbers,
    problems,
    queries,
    questions,
    renewals,
    work_items,
)
from gateway.auth import Using, forget_old
from gateway.desk import AnswerDesk
from gateway.intake import Intake, every
from gateway.limits import BodyLimit
from gateway.services import Services
from runtime import engine
from runtime.settings import Settings, check_partners
from store import vault
from store.database import Database

SWEEP_SECONDS = 2.0
CLEAN_SECONDS = 600.0


def bare() -> FastAPI:
    """The application without its services: routes, errors and limits, enough for its OpenAPI."""
    app = FastAPI(
        title="Jiebang",
        version="1",
        docs_url=None,
        redoc_url=None,
        responses={"4XX": {"model": problems.Problem}, "503": {"model": problems.Problem}},
    )
    problems.install(app)
    app.add_middleware(BodyLimit)
    for router in (
        renewals.router,
        work_items.router,
        queries.router,
        questions.router,
        mail_page.router,
        casework.router,
        clocks.router,
        identity.router,
        disputes.router,
        investigations.router,
        complaints.router,
        numbers.router,
    ):
        app.include_router(router)
    app.mount("/assets", StaticFiles(directory=Path(__file__).parent / "assets"))

    @app.get("/healthz", tags=["health"])
    async def healthz(services: Using) -> dict[str, str]:
        """Whether the gateway and its database answer."""
        await services.database.read(lambda c: c.execute(text("SELECT 1")).scalar_one())
        return {"status": "ok"}

    return app


def create(settings: Settings) -> FastAPI:
    """The application with its services and sweeps, from the settings; Temporal need not be there yet.

    Raises EngineError and what `runtime.settings.CANNOT_RUN` lists, here and not first when it is served.
    """
    check_partners(settings)
    temporal = engine.configured()
    app = bare()
    keys, registry, partners = settings.key_ring, settings.registry_data, settings.partner_book

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = Database(settings.database_url)
        client = await engine.connect_later(temporal, keys)
        intake, desk = Intake(database, keys, registry, client), AnswerDesk(client, database)
        app.state.services = Services(database, keys, registry, partners, intake, desk)

        async def clean() -> None:
            now = datetime.now(UTC)
            await database.write(lambda c: vault.purge(c, now) + forget_old(c, now))

        sweeps = [
            asyncio.create_task(every(SWEEP_SECONDS, "start", intake.sweep)),
            asyncio.create_task(every(CLEAN_SECONDS, "clean", clean)),
        ]
        yield
        for sweep in sweeps:
            sweep.cancel()
        database.close()

    app.router.lifespan_context = lifespan
    return app
