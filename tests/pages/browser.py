"""The browser that pages are tried in: `python -m tests.pages.browser` finds one or installs it, and says what it did.

In this order: JIEBANG_CHROMIUM, a Chromium or Chrome of the system, Debian's package (as root), Playwright's download.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 600


class NoBrowser(RuntimeError):
    """There is none and none could be installed; says what was tried."""


def find() -> str:
    """The path of a browser that is there; empty for none."""
    given = os.environ.get("JIEBANG_CHROMIUM", "")
    if given and not os.access(given, os.X_OK):
        raise NoBrowser(f"JIEBANG_CHROMIUM={given} is no program: correct it, or leave it out")
    return given or next((path for name in NAMES if (path := shutil.which(name))), "") or _playwrights()


def found() -> str:
    """The path of a browser, installed if need be, by one process at a time. Raises NoBrowser."""
    if path := find():
        return path
    with (Path(tempfile.gettempdir()) / "jiebang-browser.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tried = [said for install in (_of_debian, _of_playwright) if not find() and (said := install())]
    if path := find():
        return path
    raise NoBrowser("no Chromium: install one, or name it in JIEBANG_CHROMIUM. Tried: " + "; ".join(tried))


def _of_debian() -> str:
    """Debian's package, with a small font for Chinese; what went wrong, or nothing."""
    if not (shutil.which("apt-get") and os.geteuid() == 0):
        return "Debian's package needs root and apt-get"
    install = ["apt-get", "install", "-y", "--no-install-recommends", "chromium", "fonts-wqy-microhei"]
    return _run(install) and (_run(["apt-get", "update"]) or _run(install))


def _of_playwright() -> str:
    return _run([sys.executable, "-m", "playwright", "install", "chromium-headless-shell"])


def _playwrights() -> str:
    """The one Playwright has downloaded; empty without one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.access(path, os.X_OK) else ""


def _run(words: list[str]) -> str:
    """Empty when it went well, else what it said last."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"{' '.join(words[:2])} took more than {SECONDS} s"
    last = (done.stderr or done.stdout).strip().splitlines()[-1:] or [""]
    return f"{' '.join(words[:2])}: {last[0]}" if done.returncode else ""


if __name__ == "__main__":
    try:
        print(f"browser: {found()}")
    except NoBrowser as error:
        sys.exit(str(error))
