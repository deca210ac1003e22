"""Serve the gateway: `python -m gateway --port 8080`."""

from __future__ import annotations

import argparse

import uvicorn

from gateway.app import create
from runtime import logs, settings


def main() -> None:
    """The process."""
    parser = argparse.ArgumentParser(description="Serve the Jiebang gateway.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    given = parser.parse_args()
    config = settings.load()
    logs.configure("gateway", config.log_level)
    uvicorn.run(
        create(config),
        host=given.host,
        port=given.port,
        log_config=None,
        access_log=False,
        timeout_keep_alive=30,
        limit_concurrency=1000,
        server_header=False,
    )


main()
