"""Headless Chromium, and what it saw: console, requests, policy violations."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

BROWSER, DRIVER = "chromium", "chromedriver"


def is_there() -> bool:
    return bool(shutil.which(BROWSER) and shutil.which(DRIVER))


@contextmanager
def chromium(
    width: int = 1200, height: int = 1400, dark: bool = False, more: Sequence[str] = ()
) -> Iterator[webdriver.Chrome]:
    options = Options()
    options.binary_location = str(shutil.which(BROWSER))
    # The suite may run as root in a container, where Chromium's own sandbox does not start.
    for word in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"]:
        options.add_argument(word)
    # Chromium itself would ask its makers for updates and experiments.
    for word in ["--disable-background-networking", "--disable-component-update", "--no-first-run"]:
        options.add_argument(word)
    for word in more:
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # Where a proxy is set, requests to this machine would go there.
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    driver = webdriver.Chrome(options=options, service=Service(shutil.which(DRIVER), env=environment))
    try:
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield driver
    finally:
        driver.quit()


def complaints(driver: webdriver.Chrome) -> list[str]:
    """What stands in the console: errors, warnings, and everything that the policy forbade."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def requested(driver: webdriver.Chrome) -> list[str]:
    """The address of every request that a page has made, with any result."""
    events: list[dict[str, Any]] = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def screenshot(driver: webdriver.Chrome, name: str) -> None:
    """Kept in the folder SCREENSHOTS, if it is set."""
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        driver.save_screenshot(str(Path(folder) / f"{name}.png"))
