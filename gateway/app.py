"""The gateway: one FastAPI application, wired here and nowhere else. `python -m gateway` serves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from gateway import (
    batches,
    casework,
    clients,
    clocks,
    complaints,
    disputes,
    export,
    figures,
    follow,
    health,
    holder_renewals,
    identity,
    investigations,
    lists,
    mail_page,
    my_case,
    numbers,
    oauth,
    oidc,
    openapi,
    overview,
    pressure,
    problems,
    queries,
    questions,
    record,
    renewals,
    saved,
    search,
    sign_in,
    signing_keys,
    trail,
    webhooks,
    work_items,
)
from gateway.auth import forget_old
from gateway.batch_work import BatchWork
from gateway.desk import AnswerDesk
from gateway.intake import Intake, every
from gateway.limits import Limited, Limits
from gateway.metrics import EVERY_SECONDS, Metrics, Scrape
from gateway.pages import case as case_page
from gateway.pages import claims, errors, hotlines, own, page, work_questions
from gateway.pages import desk as desk_page
from gateway.pages import disputes as dispute_page
from gateway.pages import follow as follow_page
from gateway.pages import identity as identity_page
from gateway.pages import overview as overview_page
from gateway.pages import query as query_page
from gateway.pages import renewal as renewal_page
from gateway.pages import work as work_page
from gateway.people import People
from gateway.pressure import Load
from gateway.services import Services
from gateway.watched import Watched
from runtime import engine, production, telemetry
from runtime.settings import Settings
from store import sent, sessions, vault
from store.clients import Clients
from store.database import Database
from store.signing import SigningKeys

SWEEP_SECONDS = 2.0
CLEAN_SECONDS = 600.0

PAGES = (
    claims.router,
    case_page.router,
    desk_page.router,
    dispute_page.router,
    follow_page.router,
    hotlines.router,
    identity_page.router,
    overview_page.router,
    own.router,
    page.router,
    query_page.router,
    renewal_page.router,
    work_page.router,
    work_questions.router,
)
"""What people look at; everything else is for programs."""


def bare() -> FastAPI:
    """The application without its services: routes, errors and limits, enough for its OpenAPI."""
    app = FastAPI(
        title="Jiebang",
        version="1",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=openapi.operation_id,
        responses={"4XX": {"model": problems.Problem}, "503": {"model": problems.Problem}},
    )
    problems.install(app, errors.respond)
    load = Load()
    app.state.metrics = Metrics(load)
    pressure.install(app, load)
    app.add_middleware(Limited, respond=errors.respond)
    app.add_middleware(Watched, metrics=app.state.metrics)
    for router in (
        health.router,
        oauth.router,
        clients.router,
        sign_in.router,
        oidc.router,
        trail.router,
        renewals.router,
        holder_renewals.router,
        batches.router,
        work_items.router,
        queries.router,
        questions.router,
        mail_page.router,
        lists.router,
        saved.router,
        search.router,
        export.router,
        casework.router,
        record.router,
        clocks.router,
        identity.router,
        follow.router,
        my_case.router,
        disputes.router,
        investigations.router,
        complaints.router,
        numbers.router,
        webhooks.router,
        signing_keys.router,
        figures.router,
        overview.router,
        *PAGES,
    ):
        app.include_router(router)
    app.mount("/assets", StaticFiles(directory=Path(__file__).parent / "assets"))
    openapi.install(app)
    return app


def create(settings: Settings) -> FastAPI:
    """The application with its services and sweeps, from the settings; Temporal need not be there yet.

    Raises EngineError and what `runtime.settings.CANNOT_RUN` lists, here and not first when it is served.
    """
    production.check(settings)
    temporal = engine.configured()
    app = bare()
    tracing = app.state.tracing = telemetry.configured("gateway")
    metrics: Metrics = app.state.metrics
    scrape = Scrape(settings.gateway_metrics, metrics) if settings.gateway_metrics else None
    keys, registry, people = settings.key_ring, settings.registry_data, People.of(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = Database(settings.database_url)
        client = await engine.connect_later(temporal, keys, telemetry.interceptors(tracing))
        intake, desk = Intake(database, keys, registry, client), AnswerDesk(client, database)
        app.state.services = Services(
            database=database,
            keys=keys,
            registry=registry,
            clients=Clients(database),
            signing=SigningKeys(database, keys),
            intake=intake,
            desk=desk,
            engine=client,
            limits=Limits(keys.secret("limits"), settings.limits, settings.proxies),
            people=people,
            temporal_ui=settings.temporal_ui.rstrip("/"),
        )

        async def clean() -> None:
            now = datetime.now(UTC)
            await database.write(
                lambda c: vault.purge(c, now) + forget_old(c, now) + sessions.purge(c, now) + sent.prune(c, now)
            )

        metrics.watch(database, app.state.services.limits)
        work = BatchWork(database, keys, intake)
        sweeps = [
            asyncio.create_task(every(SWEEP_SECONDS, "start", intake.sweep)),
            asyncio.create_task(every(SWEEP_SECONDS, "batches", work.sweep)),
            asyncio.create_task(every(CLEAN_SECONDS, "abandon", work.abandon)),
            asyncio.create_task(every(CLEAN_SECONDS, "clean", clean)),
            asyncio.create_task(app.state.services.overview.keep(database)),
            asyncio.create_task(every(EVERY_SECONDS, "measure", lambda: metrics.measure(database))),
        ]
        yield
        for sweep in sweeps:
            sweep.cancel()
        if scrape:
            scrape.close()
        if tracing:
            tracing.shutdown()
        database.close()

    app.router.lifespan_context = lifespan
    return app
