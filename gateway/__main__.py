"""Serve the gateway: `python -m gateway --port 8080`. Exit code 4: it cannot run, and a sentence says why."""

from __future__ import annotations

import argparse

import uvicorn

from gateway.app import create
from gateway.connections import Connection
from runtime import engine, logs, settings
from runtime.settings import CANNOT_RUN

NO_ANSWER = 4


def main() -> None:
    """The process."""
    parser = argparse.ArgumentParser(description="Serve the Jiebang gateway.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    given = parser.parse_args()
    try:
        config = settings.load()
        app = create(config)
    except (*CANNOT_RUN, engine.EngineError) as error:
        parser.exit(NO_ANSWER, f"cannot run: {error}\n")
    logs.configure("gateway", config.log_level)
    uvicorn.run(
        app,
        host=given.host,
        port=given.port,
        log_config=None,
        access_log=False,
        http=Connection,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        proxy_headers=False,  # whom to believe is in JIEBANG_TRUSTED_PROXIES
        reset_contextvars=True,  # no request's lines carry another one's case
        server_header=False,
    )


main()
