"""A headless Chromium of Debian's, on the server that runs real models.

Pictures of the pages stay in `tests/app/browser/out`, for people to look at.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.app.served import Server

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
OUT = Path(__file__).parent / "out"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="needs a browser: sudo apt-get install chromium"))


@dataclass(frozen=True)
class Files:
    """Files on disk, as a person chooses them."""

    folder: Path

    def __getitem__(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture(scope="session")
def chosen(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("chosen")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return Files(folder)


@pytest.fixture(scope="session")
def service(real: Server) -> Server:
    return real


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    # Closed after these tests: while it is open, an event loop runs, and others' `asyncio.run` would fail.
    with sync_playwright() as playwright:
        # Chromium's own sandbox wants privileges that containers do not give; the pages are our own.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@dataclass
class Screen:
    """A page and everything that its console and its errors said."""

    page: Page
    said: list[str]


@pytest.fixture
def screen(browser: Browser, service: Server) -> Iterator[Screen]:
    """A window on the service; whatever its console complains of fails the test."""
    context = browser.new_context(base_url=service.url, viewport={"width": 1280, "height": 900}, accept_downloads=True)
    shown = Screen(context.new_page(), [])
    shown.page.on("console", lambda message: shown.said.append(message.text) if _is_complaint(message) else None)
    shown.page.on("pageerror", lambda error: shown.said.append(str(error)))
    yield shown
    context.close()
    assert shown.said == []


def _is_complaint(message: Any) -> bool:
    # A page of a diagnosis that runs or failed has a status of 4xx on purpose; Chromium remarks on each.
    return message.type in ("error", "warning") and "the server responded with a status of" not in message.text
