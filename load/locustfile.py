"""Clients that score leads and wait, with Locust. docs/load.md says when to use it.

    locust -f load/locustfile.py --host https://leads.example.com --headless --users 50 --run-time 1m

Settings are variables: TOKEN, or TOKEN_URL, CLIENT_ID, CLIENT_SECRET and SCOPE, with which a token is asked for;
API_KEY; CA_FILE, which the server's certificate must come from; CERT and KEY, a client certificate; P99_MS (1000),
beyond which the exit code is 1, as it is for one failed request in a thousand.
"""

import os
from dataclasses import dataclass, field
from typing import Any

import requests
from locust import HttpUser, constant_pacing, events, task

from leads import Leads

BATCH = 100
TIMEOUT_S = 30


def tls() -> dict[str, Any]:
    """What `requests` is told of certificates."""
    options: dict[str, Any] = {}
    if ca := os.environ.get("CA_FILE"):
        options["verify"] = ca
    if certificate := os.environ.get("CERT"):
        options["cert"] = (certificate, os.environ["KEY"])
    return options


def token() -> str | None:
    """One for all users, because tokens are billed."""
    url = os.environ.get("TOKEN_URL")
    if url is None:
        return os.environ.get("TOKEN")
    answer = requests.post(
        url,
        data={"grant_type": "client_credentials", "scope": os.environ["SCOPE"]},
        auth=(os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"]),
        timeout=TIMEOUT_S,
    )
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def credentials() -> dict[str, str]:
    headers = {}
    if bearer := token():
        headers["Authorization"] = f"Bearer {bearer}"
    if key := os.environ.get("API_KEY"):
        headers["x-api-key"] = key
    return headers


@dataclass
class Shared:
    """What all users have in common."""

    openapi: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    users: int = 0


SHARED = Shared()


def ask_the_server(environment: Any, **_: Any) -> None:
    SHARED.headers = credentials()
    answer = requests.get(f"{environment.host}/openapi.json", headers=SHARED.headers, timeout=TIMEOUT_S, **tls())
    answer.raise_for_status()
    SHARED.openapi = answer.json()


def judge(environment: Any, **_: Any) -> None:
    total = environment.stats.total
    p99 = total.get_response_time_percentile(0.99)
    if total.num_requests == 0 or total.fail_ratio > 0.001 or p99 > float(os.environ.get("P99_MS", "1000")):
        environment.process_exit_code = 1


# Locust's events have no types.
HOOKS: Any = events
HOOKS.test_start.add_listener(ask_the_server)
HOOKS.quitting.add_listener(judge)


class Crm(HttpUser):
    """A client that scores a lead about ten times a second, and now and then a hundred at once."""

    wait_time = constant_pacing(0.1)

    def on_start(self) -> None:
        SHARED.users += 1
        self._name = f"user-{SHARED.users}"
        self._leads = Leads(SHARED.openapi, seed=SHARED.users)
        self._sent = 0
        self.client.headers.update(SHARED.headers)
        options = tls()
        self.client.verify = options.get("verify", True)
        self.client.cert = options.get("cert")

    def _next(self) -> dict[str, object]:
        self._sent += 1
        return self._leads.lead(f"{self._name}-{self._sent}")

    @task(50)
    def score(self) -> None:
        lead = self._next()
        with self.client.post("/score", json=lead, name="/score", catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code}: {answer.text[:200]}")
            elif answer.json()["lead_id"] != lead["lead_id"]:
                answer.failure("the answer is another lead's")

    @task(1)
    def batch(self) -> None:
        leads = [self._next() for _ in range(BATCH)]
        body = {"leads": leads}
        with self.client.post("/score/batch", json=body, name="/score/batch", catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code}: {answer.text[:200]}")
