"""A real browser for the widgets' pages: the system's Chromium, driven by Playwright, without any network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

# As root in a container (the first three) and on a closed network (the rest keep Chromium from calling home).
CHROMIUM_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync"]


def chromium_path() -> str | None:
    """A Chromium on this machine; GDAS_CHROMIUM names another one."""
    names = (os.environ.get("GDAS_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if name and (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser():
    """Skips where there is no browser; with GDAS_REQUIRE_BROWSER=1 the test fails instead."""
    try:
        from playwright import sync_api
        path = chromium_path()
        if path is None:
            raise FileNotFoundError("no chromium, chromium-browser or google-chrome on this machine")
    except (ImportError, FileNotFoundError) as error:
        if os.environ.get("GDAS_REQUIRE_BROWSER"):
            raise
        pytest.skip(f"no browser to drive: {error}")
    sync_api.expect.set_options(timeout=30_000)
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """Where screenshots go, for a person to look at; GDAS_SCREENSHOTS names another folder."""
    folder = Path(os.environ.get("GDAS_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def open_page(browser, tmp_path):
    """Opens a widget's page from disk with the network off; no page may log an error or ask for anything."""
    contexts, faults = [], []

    def open_it(widget, may_fail=False):
        file = widget.to_html(tmp_path / f"page{len(contexts)}.html")
        context = browser.new_context(viewport={"width": 1000, "height": 800}, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("request", lambda request: faults.append(request.url) if request.url != file.as_uri() else None)
        if not may_fail:
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
        page.goto(file.as_uri())
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert not faults
