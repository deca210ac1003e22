"""Who may do what: roles, scopes, and the one table between them.

Source: `domain.md`, the people of the cases; the doors that ask for a scope are listed in `docs/access.md`, which is
drawn from the gateway's routes and this table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Role(StrEnum):
    """What somebody is to this system. A program or a person has exactly one role."""

    CITIZEN = "citizen"
    CHANNEL = "channel"
    CARRIER = "carrier"
    ENTERPRISE = "enterprise"
    CASE_WORKER = "case_worker"
    SUPERVISOR = "supervisor"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class Scope(StrEnum):
    """A piece of what may be done; every door asks for one."""

    CASE_OWN = "case:own"
    CHECKS_OPEN = "checks:open"
    CHECKS_ENTER = "checks:enter"
    CHECKS_ATTEST = "checks:attest"
    CASES_OPEN = "cases:open"
    CASES_FOLLOW = "cases:follow"
    RENEWALS_WRITE = "renewals:write"
    RENEWALS_READ = "renewals:read"
    NUMBERS_REPORT = "numbers:report"
    NUMBERS_READ = "numbers:read"
    CERTIFICATES_VERIFY = "certificates:verify"
    RECYCLED_READ = "recycled:read"
    WORK_READ = "work:read"
    WORK_ANSWER = "work:answer"
    FIGURES_READ = "figures:read"
    WEBHOOKS_MANAGE = "webhooks:manage"
    DESK_READ = "desk:read"
    DESK_ACT = "desk:act"
    DESK_SUPERVISE = "desk:supervise"
    DESK_EXPORT = "desk:export"
    LEDGER_READ = "ledger:read"
    AUDIT_READ = "audit:read"
    CLIENTS_MANAGE = "clients:manage"


WORDS: Mapping[Scope, str] = {
    Scope.CASE_OWN: "Look into the one case the token was made for, and withdraw it",
    Scope.CHECKS_OPEN: "Start identity checks and follow them",
    Scope.CHECKS_ENTER: "Enter the code of an identity check, have another sent",
    Scope.CHECKS_ATTEST: "Attest that somebody is who they say to be",
    Scope.CASES_OPEN: "Open queries, disputes, complaints and renewals for citizens, and act on them for them",
    Scope.CASES_FOLLOW: "Look into the cases opened through the channel",
    Scope.RENEWALS_WRITE: "Hand renewals in, one or many, and withdraw them",
    Scope.RENEWALS_READ: "Follow renewals, see which apps there are",
    Scope.NUMBERS_REPORT: "Report what happened to a number, find it, release it",
    Scope.NUMBERS_READ: "Look into the life of a number and its certificate",
    Scope.CERTIFICATES_VERIFY: "Have a certificate verified",
    Scope.RECYCLED_READ: "See which users' numbers are going to be re-issued",
    Scope.WORK_READ: "See your work items and questions",
    Scope.WORK_ANSWER: "Acknowledge, answer, amend and extend work items; answer questions",
    Scope.FIGURES_READ: "See your own figures",
    Scope.WEBHOOKS_MANAGE: "See what was sent to you, have it sent again, rotate signing keys",
    Scope.DESK_READ: "See queues, search cases, read their stories",
    Scope.DESK_ACT: "Work on cases",
    Scope.DESK_SUPERVISE: "What only supervisors may do",
    Scope.DESK_EXPORT: "Export lists of cases",
    Scope.LEDGER_READ: "Read the events of a case as they stand in the ledger",
    Scope.AUDIT_READ: "Read who did what",
    Scope.CLIENTS_MANAGE: "See clients and what they may do, revoke them",
}
"""What a scope allows, for people."""

STAFF = frozenset({Role.CASE_WORKER, Role.SUPERVISOR})
"""Who works on cases."""

PEOPLE = STAFF | {Role.AUDITOR, Role.ADMINISTRATOR}
"""Roles of people at the case desk. An enterprise's clerk is the only other person with an account of their own here."""

_DESK = {
    Scope.DESK_READ,
    Scope.DESK_ACT,
    Scope.DESK_EXPORT,
    Scope.CHECKS_OPEN,
    Scope.CHECKS_ATTEST,
    Scope.NUMBERS_READ,
    Scope.CERTIFICATES_VERIFY,
}

SCOPES: Mapping[Role, frozenset[Scope]] = {
    Role.CITIZEN: frozenset({Scope.CASE_OWN}),
    Role.CHANNEL: frozenset(
        {
            Scope.CHECKS_OPEN,
            Scope.CHECKS_ENTER,
            Scope.CASES_OPEN,
            Scope.CASES_FOLLOW,
            Scope.RENEWALS_READ,
            Scope.CERTIFICATES_VERIFY,
        }
    ),
    Role.CARRIER: frozenset(
        {
            Scope.RENEWALS_WRITE,
            Scope.RENEWALS_READ,
            Scope.NUMBERS_REPORT,
            Scope.NUMBERS_READ,
            Scope.WORK_READ,
            Scope.WORK_ANSWER,
            Scope.FIGURES_READ,
            Scope.WEBHOOKS_MANAGE,
            Scope.CERTIFICATES_VERIFY,
        }
    ),
    Role.ENTERPRISE: frozenset(
        {
            Scope.WORK_READ,
            Scope.WORK_ANSWER,
            Scope.CHECKS_ATTEST,
            Scope.RECYCLED_READ,
            Scope.FIGURES_READ,
            Scope.WEBHOOKS_MANAGE,
            Scope.CERTIFICATES_VERIFY,
        }
    ),
    Role.CASE_WORKER: frozenset(_DESK),
    Role.SUPERVISOR: frozenset(_DESK | {Scope.DESK_SUPERVISE, Scope.LEDGER_READ}),
    Role.AUDITOR: frozenset(
        {
            Scope.DESK_READ,
            Scope.DESK_EXPORT,
            Scope.NUMBERS_READ,
            Scope.LEDGER_READ,
            Scope.AUDIT_READ,
            Scope.CERTIFICATES_VERIFY,
        }
    ),
    Role.ADMINISTRATOR: frozenset({Scope.AUDIT_READ, Scope.CLIENTS_MANAGE}),
}
"""What each role may be allowed. A client may be given less, never more."""


CLERK = frozenset({Scope.WORK_READ, Scope.WORK_ANSWER, Scope.FIGURES_READ})
"""What an enterprise's clerk who signed in may do for it. Doors for programs ask for its signature besides."""


def beyond(role: Role, scopes: Iterable[Scope]) -> list[Scope]:
    """Which of these scopes the role may not have, in the order given."""
    return [scope for scope in scopes if scope not in SCOPES[role]]
