"""The worker: wires the activities and runs the workflows, nothing else. `--check` validates the wiring.

python worker.py            run until SIGTERM or Ctrl-C, finishing what is under way
python worker.py --check    compare every activity contract with its implementation, touch nothing
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import logging
import os
import signal
import sys
import typing
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner as Unsandboxed
from temporalio.worker import Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities import contracts
from activities.alarm import Alarm
from activities.carriers import Carriers
from activities.enterprises import Enterprises
from activities.holder import Holder
from activities.identity import IdentityChecks
from activities.numbers import Numbers
from activities.parties import Parties
from activities.ports import ReceiptListener
from activities.records import Records
from activities.redelivery import Redelivery
from adapters.smpp import SmppCentre
from adapters.smtp import SmtpMailer
from adapters.webhooks import HttpCarrierRegistry, HttpWebhooks, PartnerHttp
from runtime import credentials, engine, logs, production, settings, telemetry
from runtime.settings import CANNOT_RUN, MailTls, Settings
from store.database import Database
from store.signing import SigningKeys
from workflows.clockwork import TASK_QUEUE
from workflows.complaint import ComplaintWorkflow
from workflows.dispute import DisputeWorkflow
from workflows.identity import IdentityCheckWorkflow
from workflows.investigation import InvestigationWorkflow
from workflows.number import NumberWorkflow
from workflows.query import QueryWorkflow
from workflows.redelivery import RedeliveryWorkflow
from workflows.renewal import RenewalWorkflow
from workflows.unbind import UnbindWorkflow

try:
    import uvloop
except ImportError:  # not made for every platform
    uvloop = None  # type: ignore[assignment]

WORKFLOWS = (
    RenewalWorkflow,
    UnbindWorkflow,
    IdentityCheckWorkflow,
    QueryWorkflow,
    InvestigationWorkflow,
    NumberWorkflow,
    DisputeWorkflow,
    ComplaintWorkflow,
    RedeliveryWorkflow,
)
PARTIES = (Records, Enterprises, Carriers, Parties, Holder, IdentityChecks, Numbers, Redelivery)
"""The classes whose activities a worker runs."""

PASSED_THROUGH = (
    "domain",
    "activities.contracts",
    "workflows.case",
    "workflows.clockwork",
    "workflows.memory",
    "workflows.messages",
    "pydantic",
    "annotated_types",
)
CACHED_WORKFLOWS = 2000
GRACE = timedelta(seconds=10)
NO_ANSWER = 4


class WiringError(TypeError):
    """An activity does not do what its contract says."""


def check(methods: Sequence[Callable[..., Any]]) -> None:
    """Every contract has one method with the same name, input and output. Raises WiringError."""
    found = {name(method): method for method in methods}
    for contract in contracts.ALL:
        method = found.pop(name(contract), None)
        if method is None:
            raise WiringError(f"no activity implements {name(contract)}: add a method to a class in activities/")
        if _signature(method) != _signature(contract):
            raise WiringError(f"{name(contract)} takes or gives something else than its contract says")
    if found:
        raise WiringError(f"{', '.join(found)} has no contract: add one to activities/contracts.py")


def name(function: Callable[..., Any]) -> str:
    """An activity's name."""
    return str(getattr(function, "__temporal_activity_definition").name)


def _signature(function: Callable[..., Any]) -> tuple[list[Any], Any]:
    hints = typing.get_type_hints(function)
    taken = [hints[p] for p in inspect.signature(function).parameters if p != "self"]
    return taken, hints["return"]


def activities_of(*parties: object) -> list[Callable[..., Any]]:
    """The activity methods of these objects."""
    members = (getattr(party, key) for party in parties for key in dir(party) if not key.startswith("__"))
    return [member for member in members if hasattr(member, "__temporal_activity_definition")]


def runner(sandboxed: bool) -> WorkflowRunner:
    """Workflow code in the SDK's sandbox, with our own pure modules passed through it."""
    if not sandboxed:
        return Unsandboxed()
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
    return SandboxedWorkflowRunner(restrictions=restrictions)


def build(client: Client, methods: Sequence[Callable[..., Any]], *, sandboxed: bool = True) -> Worker:
    """A worker over these activities."""
    check(methods)
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=WORKFLOWS,
        activities=methods,
        workflow_runner=runner(sandboxed),
        interceptors=[Alarm()],
        max_cached_workflows=CACHED_WORKFLOWS,
        graceful_shutdown_timeout=GRACE,
    )


def sms_centre(config: Settings, on_receipt: ReceiptListener) -> SmppCentre:
    """The SMS centre of the settings."""
    return SmppCentre(
        config.smpp_host,
        config.smpp_port,
        config.smpp_system_id,
        config.smpp_password,
        on_receipt,
        tls=config.smpp_tls,
    )


def mailer(config: Settings) -> SmtpMailer:
    """The mail server of the settings."""
    return SmtpMailer(
        config.smtp_host,
        config.smtp_port,
        config.mail_from,
        config.smtp_username or None,
        config.smtp_password or None,
        use_tls=config.smtp_tls is MailTls.TLS,
        start_tls=config.smtp_tls is MailTls.STARTTLS,
    )


async def run(config: Settings) -> None:
    """Wire everything from the settings and work until told to stop."""
    registry, keys = config.registry_data, config.key_ring
    async with AsyncExitStack() as stack:
        database = Database(config.database_url)
        stack.callback(database.close)
        credentials.check(database, registry)
        http = PartnerHttp(SigningKeys(database, keys))
        stack.push_async_callback(http.close)
        tracing = telemetry.configured("worker")
        if tracing:
            stack.callback(tracing.shutdown)
        client = await engine.connect(keys, config.metrics_address, telemetry.interceptors(tracing))
        centre = sms_centre(config, lambda receipt: holder.receipt(receipt))
        holder = Holder(database, keys, centre)
        stack.push_async_callback(centre.close)
        await centre.start()
        webhooks = HttpWebhooks(http)
        carriers = HttpCarrierRegistry(http, {carrier.code: carrier.endpoint for carrier in registry.carriers})
        methods = activities_of(
            Records(database, keys, registry),
            Enterprises(database, keys, registry, webhooks, mailer(config), config.public_url, config.desk_mail),
            Carriers(database, keys, registry, carriers, webhooks),
            Parties(database, keys, registry, webhooks),
            holder,
            IdentityChecks(database, keys, registry, centre, carriers),
            Numbers(database, keys, registry, webhooks),
            Redelivery(database, keys, registry, webhooks),
        )
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with build(client, methods, sandboxed=config.workflow_sandbox):
            await stop.wait()


def main() -> int:
    """The process."""
    parser = argparse.ArgumentParser(description="Run a Jiebang worker.")
    parser.add_argument("--check", action="store_true", help="validate the wiring and exit")
    if parser.parse_args().check:
        check([getattr(p, k) for p in PARTIES for k in vars(p) if _is_activity(p, k)])
        print(f"{len(WORKFLOWS)} workflows, {len(contracts.ALL)} activities: every contract is implemented")  # noqa: T201
        return 0
    run_to_the_end = uvloop.run if uvloop else asyncio.run
    try:
        config = settings.load()
        production.check(config)
        logs.configure("worker", config.log_level)
        run_to_the_end(run(config))
    except (*CANNOT_RUN, engine.EngineError) as error:
        print(f"cannot run: {error}", file=sys.stderr)  # noqa: T201
        return NO_ANSWER
    logging.shutdown()
    os._exit(0)  # the SMPP library's threads may abort an interpreter that finalizes (seen in 2 of 30 exits)


def _is_activity(party: type, key: str) -> bool:
    return hasattr(getattr(party, key), "__temporal_activity_definition")


if __name__ == "__main__":
    sys.exit(main())
