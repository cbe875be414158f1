"""Takes the pictures of the pages in docs/images: of the demo's data, in a Chromium."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from billing.app import Service, make_service
from billing.links import create_link
from metering.settings import Settings
from tests.browser.conftest import serving
from tests.world import World

IMAGES = Path(__file__).parents[1] / "docs" / "images"
CUSTOMER = "northwind-analytics"
WIDTH = 1080
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Of a page below the customer's first one: the picture's name, and as much of it as is shown.
PAGES = (
    ("", "customer-month", 1180),
    ("usage", "customer-usage", 1180),
    ("explain", "customer-explain", 1500),
)


def main() -> int:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        print("Install Chromium (Debian: apt install chromium)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "billing.cli", "demo", "--json"],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        database = f"sqlite:///{folder}/billing-demo/billing.db"
        service = make_service(Settings(_env_file=None, database_url=database))
        # When the demo was told: three weeks of a month, beside the one before.
        told = service.store.cutoff().committed_at
        assert told is not None
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=found, args=["--headless", "--no-sandbox"])
            take(browser, replace(service, now=lambda: told))
            browser.close()
        service.store.close()
    return 0


def take(browser: Browser, service: Service) -> None:
    world = World.__new__(World)  # of its parts the server asks for the service alone
    world.service = service
    IMAGES.mkdir(exist_ok=True)
    with serving(world) as address:
        link = create_link(service.engine, CUSTOMER, now=service.now()).url(address)
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        for place, name, height in PAGES:
            page.goto(link + place)
            clip = {"x": 0, "y": 0, "width": WIDTH, "height": height}
            page.screenshot(path=IMAGES / f"{name}.png", full_page=True, clip=clip)


if __name__ == "__main__":
    sys.exit(main())
