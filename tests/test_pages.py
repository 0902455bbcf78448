"""The pages in a real browser: the documentation's example runs, the figures move, nothing leaves the host."""

import base64
import contextlib
import hashlib
import random
import shutil
import socket
import threading
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import browser
import command
from conftest import Note
from serving import Server

DEMO = Path(__file__).resolve().parents[1] / "engine" / "demo" / "demo.ubj"
PATIENCE_S = 30


@pytest.fixture(autouse=True)
def has_browser(note: Note) -> None:
    if not browser.is_there():
        note("NOT CHECKED: chromium or chromedriver is absent; THE PAGES WERE NOT OPENED IN A BROWSER")
        pytest.skip("chromium or chromedriver is absent")


def send_leads(running: Server, count: int) -> None:
    """Leads of every band, and some that do not fit."""
    connection, dice = running.connect(), random.Random(1)
    for number in range(count):
        eager = number % 5
        features = {f"f{column}": round(dice.uniform(0, 1 + 2 * eager * eager), 1) for column in range(1, 51)}
        assert connection.score(f"lead-{number}", features).status == 200
        if number % 40 == 0:
            assert connection.score("", features).status == 422
    connection.close()


def test_the_example_runs_on_the_first_execute(server: Callable[..., Server]) -> None:
    running = server(DEMO, sink="none")
    host = f"http://{running.host}:{running.port}/"
    with browser.chromium(height=2600) as driver:
        wait = WebDriverWait(driver, PATIENCE_S)
        driver.get(host + "docs")
        operation = wait.until(lambda page: page.find_element(By.ID, "operations-scoring-score"))
        browser.screenshot(driver, "docs")
        operation.find_element(By.CLASS_NAME, "opblock-summary-control").click()
        wait.until(lambda _: operation.find_element(By.CLASS_NAME, "try-out__btn")).click()
        wait.until(lambda _: operation.find_element(By.CLASS_NAME, "execute")).click()
        live = wait.until(lambda _: operation.find_element(By.CLASS_NAME, "live-responses-table"))
        status = live.find_element(By.CSS_SELECTOR, "tbody .response-col_status")
        wait.until(lambda _: status.text.strip())
        browser.screenshot(driver, "docs-executed")
        assert status.text.split()[0] == "200", live.text
        assert '"score":' in live.text and '"probability":' in live.text, live.text
        assert not browser.complaints(driver)
        strangers = [url for url in browser.requested(driver) if not url.startswith((host, "data:", "chrome:"))]
        assert not strangers, strangers


LOOKS = pytest.mark.parametrize(
    ("name", "width", "dark"), [("light", 1000, False), ("dark", 1000, True), ("phone", 390, False)]
)


@LOOKS
def test_the_page_of_models_shows_versions_and_a_shadow(
    name: str, width: int, dark: bool, server: Callable[..., Server], tmp_path: Path
) -> None:
    for version in ("1", "2"):
        folder = tmp_path / "store" / "leads" / version
        folder.mkdir(parents=True)
        shutil.copy(DEMO, folder / "model.ubj")
        shutil.copy(DEMO.with_suffix(".toml"), folder / "model.toml")
    (tmp_path / "store" / "leads" / "3").mkdir()
    (tmp_path / "store" / "leads" / "3" / "model.ubj").write_bytes(b"no model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        admin = f"127.0.0.1:{free.getsockname()[1]}"
    settings = {"MODELS__STORE": tmp_path / "store", "MODELS__DEFAULT": "leads", "MODELS__VERSIONS": "all"}
    running = server(None, settings={**settings, "SERVER__ADMIN": admin, "MODELS__POLL_SECONDS": 1})
    host = f"http://{running.host}:{running.port}/"
    for what, body in [("aliases", b'{"champion":"1"}'), ("shadow", b'{"version":"2","share":1.0}')]:
        url = f"http://{admin}/v1/models/leads/{what}"
        urllib.request.urlopen(urllib.request.Request(url, data=body, method="PUT")).close()
    send_leads(running, 600)
    with browser.chromium(width=width, height=1400, dark=dark) as driver:
        wait = WebDriverWait(driver, PATIENCE_S)
        driver.get(host)
        wait.until(lambda _: driver.find_element(By.ID, "models").is_displayed())
        driver.find_element(By.ID, "models").click()
        wait.until(lambda _: "rows 600" in driver.find_element(By.ID, "models").text.replace("\n", " "))
        browser.screenshot(driver, f"models-{name}")
        text = driver.find_element(By.ID, "models").text
        assert "leads (POST /score)" in text and "failed" in text and "champion" in text
        assert "May it be promoted? Yes" in text and "100.00 % agree" in text, text
        cells = [cell.text for cell in driver.find_elements(By.CSS_SELECTOR, ".bands td.same")]
        assert len(cells) == 5 and sum(int(cell) for cell in cells) == 600, cells
        overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert driver.execute_script(overflow) <= 0, "it scrolls sideways"
        assert not browser.complaints(driver)
        strangers = [url for url in browser.requested(driver) if not url.startswith((host, "data:", "chrome:"))]
        assert not strangers, strangers


@LOOKS
def test_the_status_page_draws_what_happens(name: str, width: int, dark: bool, server: Callable[..., Server]) -> None:
    running = server(DEMO, sink="none")
    host = f"http://{running.host}:{running.port}/"
    with browser.chromium(width=width, height=1000, dark=dark) as driver:
        wait = WebDriverWait(driver, PATIENCE_S)

        def text(place: str) -> str:
            return driver.find_element(By.ID, place).text

        driver.get(host)
        wait.until(lambda _: text("live") == "live")
        assert driver.find_element(By.ID, "quiet").is_displayed()
        browser.screenshot(driver, f"home-{name}-quiet")
        send_leads(running, 400)
        wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, "#scores rect.s5"))
        browser.screenshot(driver, f"home-{name}")
        assert text("model") == "demo" and text("version") == "1.0.0"
        assert not driver.find_element(By.ID, "quiet").is_displayed()
        assert text("errors") == "10" and "%" in text("mix") and "µs" in text("p50")
        overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert driver.execute_script(overflow) <= 0, "it scrolls sideways"
        running.stop()
        wait.until(lambda _: text("live") == "does not answer")
        # What cannot be reached any more is in the console, and nothing else is.
        assert all("v1/status" in line for line in browser.complaints(driver))
        strangers = [url for url in browser.requested(driver) if not url.startswith((host, "data:", "chrome:"))]
        assert not strangers, strangers


OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
GROUND = "return getComputedStyle(document.body).backgroundColor"


@pytest.mark.parametrize(
    ("name", "width", "dark"), [("light", 1000, False), ("dark", 1000, True), ("phone", 390, False)]
)
def test_the_documentation_has_the_models_own_features(
    name: str, width: int, dark: bool, server: Callable[..., Server]
) -> None:
    running = server(DEMO, sink="none")
    host = f"http://{running.host}:{running.port}/"
    with browser.chromium(width=width, height=1400, dark=dark) as driver:
        wait = WebDriverWait(driver, PATIENCE_S)
        driver.get(host + "docs")
        operation = wait.until(lambda page: page.find_element(By.ID, "operations-scoring-score"))
        features = wait.until(lambda page: page.find_element(By.ID, "features"))
        wait.until(lambda _: features.is_displayed())
        browser.screenshot(driver, f"docs-{name}-closed")
        features.find_element(By.TAG_NAME, "summary").click()
        rows = features.find_elements(By.CSS_SELECTOR, "dl > div")
        assert len(rows) == 50
        first = rows[0].text
        assert "f1" in first and "Visits in the last 7 days" in first, first
        assert driver.execute_script(OVERFLOW) <= 0, "it scrolls sideways"
        browser.screenshot(driver, f"docs-{name}-features")
        operation.find_element(By.CLASS_NAME, "opblock-summary-control").click()
        wait.until(lambda _: operation.find_element(By.CLASS_NAME, "try-out__btn"))
        browser.screenshot(driver, f"docs-{name}-open")
        assert driver.execute_script(OVERFLOW) <= 0, "it scrolls sideways with an operation open"
        red = int(driver.execute_script(GROUND).split("(")[1].split(",")[0])
        assert (red < 64) == dark, "the ground follows the reader's scheme"
        assert not browser.complaints(driver)
        driver.find_element(By.CLASS_NAME, "back").click()
        wait.until(lambda page: page.find_element(By.ID, "live").text == "live")
        assert driver.current_url == host


def test_the_status_page_has_the_last_scores_where_it_may(server: Callable[..., Server]) -> None:
    for recent, shown in [("", True), ("on", True), ("off", False)]:
        running = server(DEMO, settings={"SERVER__RECENT": recent} if recent else {})
        connection = running.connect()
        for number in range(15):
            assert connection.score(f"lead-{number}", {"f1": 0.125 + number}).status == 200
        with browser.chromium(width=1000, height=1000) as driver:
            wait = WebDriverWait(driver, PATIENCE_S)
            driver.get(f"http://{running.host}:{running.port}/")
            wait.until(lambda _: driver.find_element(By.ID, "live").text == "live")
            wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, "#scores rect"))
            last = "#answers li"
            if shown:
                wait.until(lambda _: "lead-14" in driver.find_element(By.ID, "answers").text)
                assert len(driver.find_elements(By.CSS_SELECTOR, last)) == 12
                browser.screenshot(driver, f"home-recent-{recent or 'default'}")
            else:
                assert not driver.find_elements(By.CSS_SELECTOR, last)
            assert not browser.complaints(driver)
        status = connection.request("GET", "/v1/status").body.decode()
        assert ("lead-14" in status) == shown and "0.125" not in status, status
        connection.close()
        running.stop()


class SomePage(BaseHTTPRequestHandler):
    """A page of another origin than the server's: it is empty, its script comes from the test."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another origin</title>")

    def log_message(self, *_: object) -> None:
        pass


CALL = """
const [address, path, done] = arguments;
fetch(address + path, path === "/score"
    ? {method: "POST", headers: {"content-type": "application/json", "x-request-id": "from-a-page"},
       body: JSON.stringify({lead_id: "a", features: {f1: 1}})}
    : {}).then(async answer => done([answer.status, answer.headers.get("x-request-id"), await answer.text()]),
               error => done([0, null, String(error)]));
"""


@pytest.mark.parametrize(
    ("origins", "may"),
    [("none", False), ("{origin}", True), ("https://crm.example,{origin}", True), ("*", True), ("{other}", False)],
)
def test_a_page_of_another_origin_calls_where_it_may(origins: str, may: bool, server: Callable[..., Server]) -> None:
    pages = ThreadingHTTPServer(("127.0.0.1", 0), SomePage)
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    port = pages.server_address[1]
    listed = origins.format(origin=f"http://127.0.0.1:{port}", other=f"http://localhost:{port}")
    running = server(DEMO, sink="none", settings={"SERVER__CORS_ORIGINS": listed})
    address = f"http://{running.host}:{running.port}"
    try:
        with browser.chromium() as driver:
            driver.get(f"http://127.0.0.1:{port}/")
            for path in ["/score", "/v1/schema"]:
                status, request_id, text = driver.execute_async_script(CALL, address, path)
                assert (status == 200) == may, (path, status, text)
                assert request_id is None if not may else request_id, "the page may read the request's id"
                assert not may or path != "/score" or '"score":' in text
    finally:
        pages.shutdown()
        pages.server_close()


def test_a_page_over_tls_is_opened_with_a_certificate_that_is_trusted(
    tmp_path: Path, server: Callable[..., Server]
) -> None:
    assert command.run("tls", "self-signed", "--out", tmp_path).returncode == 0
    pem = (tmp_path / "tls.crt").read_bytes()
    key = x509.load_pem_x509_certificate(pem).public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    pinned = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    settings = {"TLS__CERTIFICATE": tmp_path / "tls.crt", "TLS__KEY": tmp_path / "tls.key"}
    running = server(DEMO, sink="none", settings=settings)
    page = f"https://localhost:{running.port}/docs"
    with browser.chromium(more=[f"--ignore-certificate-errors-spki-list={pinned}"]) as driver:
        driver.get(page)
        WebDriverWait(driver, PATIENCE_S).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, ".opblock"))
        assert driver.execute_script("return isSecureContext && location.protocol") == "https:"
        assert not browser.complaints(driver)
    with browser.chromium() as driver:
        # Some versions raise here, others only show their own page.
        with contextlib.suppress(WebDriverException):
            driver.get(page)
        assert "ERR_CERT_AUTHORITY_INVALID" in driver.page_source
