"""The page /explore in a real browser: an analyst pastes a lead, reads its score and its first reason, moves one
feature, and finds what makes it a 4."""

import json
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

import browser
from conftest import Note
from serving import Server

DEMO = Path(__file__).resolve().parents[1] / "engine" / "demo" / "demo.ubj"
PATIENCE_S = 30

# What people may change, on top of what the demo's own manifest says.
CHANGES = {
    "f2": 'actionable = "increase"\nreasons = { raises = "Many pages", lowers = "Few pages" }\n',
    "f5": "actionable = true\n",
    "f14": "actionable = true\n",
}


@pytest.fixture(autouse=True)
def has_browser(note: Note) -> None:
    if not browser.is_there():
        note("NOT CHECKED: chromium or chromedriver is absent; THE PAGE /explore WAS NOT OPENED IN A BROWSER")
        pytest.skip("chromium or chromedriver is absent")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The demo with features that may be changed and a group."""
    shutil.copy(DEMO, tmp_path / "demo.ubj")
    text = DEMO.with_suffix(".toml").read_text()
    for name, more in CHANGES.items():
        head = f"[features.{name}]\n"
        text = text.replace(head, head + more) if head in text else text + f"\n{head}{more}"
    text += '\n[groups.first]\nfeatures = ["f3", "f4"]\nlabel = "First visits"\n'
    (tmp_path / "demo.toml").write_text(text)
    return tmp_path / "demo.ubj"


def score_of(page: WebDriver) -> str:
    # At once, because the page replaces it as one types.
    return page.execute_script("return document.querySelector('#score b').textContent")


def asked(running: Server, body: dict[str, Any]) -> Any:
    url = f"http://{running.host}:{running.port}/score?explain=1"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def lead(value: float) -> str:
    features = {f"f{column}": value for column in range(1, 51)}
    return json.dumps({"lead_id": "x", "features": features})


@pytest.mark.parametrize(
    ("name", "width", "dark"), [("light", 1200, False), ("dark", 1200, True), ("phone", 390, False)]
)
def test_an_analyst_finds_out_why(
    name: str, width: int, dark: bool, model: Path, server: Callable[..., Server]
) -> None:
    running = server(model, sink="none")
    host = f"http://{running.host}:{running.port}/"
    with browser.chromium(width=width, height=2200, dark=dark) as driver:
        wait = WebDriverWait(driver, PATIENCE_S)
        driver.get(host + "explore")
        wait.until(lambda page: score_of(page) in "12345")
        browser.screenshot(driver, f"explore-{name}")
        # Labels, for people who hear the page: every field has one.
        nameless = driver.execute_script(
            "return [...document.querySelectorAll('input, select, textarea')]"
            ".filter((one) => !one.labels.length && !one.ariaLabel).map((one) => one.id)"
        )
        assert not nameless, nameless
        driver.find_element(By.TAG_NAME, "summary").click()
        paste = driver.find_element(By.ID, "paste")
        driver.execute_script("arguments[0].value = arguments[1]", paste, lead(0.8))
        driver.find_element(By.ID, "use").click()
        expected = asked(running, json.loads(lead(0.8)))
        wait.until(lambda page: score_of(page) == str(expected["score"]))
        first = "return document.querySelector('#reasons li span')?.textContent"
        top = expected["reasons"][0]
        wait.until(lambda page: (page.execute_script(first) or "").startswith(top["text"]))
        # One feature, by keyboard.
        driver.find_element(By.TAG_NAME, "summary").click()
        field = driver.find_element(By.NAME, "f2")
        row = field.find_element(By.XPATH, "..")
        slider = row.find_element(By.CSS_SELECTOR, "input[type=range]")
        before = field.get_attribute("value")
        slider.send_keys(Keys.ARROW_RIGHT * 3)
        assert field.get_attribute("value") != before
        wait.until(lambda page: "30 days" in page.find_element(By.ID, "curve").get_attribute("aria-label"))
        field.clear()
        field.send_keys("7")
        wait.until(lambda _: "today 7" in driver.find_element(By.ID, "curve-note").text)
        browser.screenshot(driver, f"explore-{name}-moved")
        # What is no number of the model is told beside the score.
        field.clear()
        field.send_keys("1e39")
        wait.until(lambda page: "range" in page.find_element(By.ID, "fault").text)
        assert field.get_attribute("aria-invalid") == "true"
        field.clear()
        field.send_keys("0.8")
        wait.until(lambda page: not page.find_element(By.ID, "fault").text)
        driver.find_element(By.ID, "find").click()
        change = wait.until(lambda page: page.find_element(By.CSS_SELECTOR, "#changes li"))
        browser.screenshot(driver, f"explore-{name}-changes")
        text = change.text
        reached = text.split("\n")[0].rsplit(": ", 1)[1]
        assert int(reached) >= 4 > int(expected["score"]), text
        change.find_element(By.TAG_NAME, "button").click()
        wait.until(lambda page: score_of(page) == reached)
        assert not [line for line in browser.complaints(driver) if "422" not in line]
        strangers = [url for url in browser.requested(driver) if not url.startswith((host, "data:", "chrome:"))]
        assert not strangers, strangers
        wide = driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, f"{wide} pixels on a screen of {width}"
