// A steady rate of scores against a deployed server, with k6. docs/load.md says when to use it.
//
//   k6 run -e URL=https://leads.example.com load/score.js
//
// URL             where the server is
// RATE            requests a second (300); BATCH_RATE adds batches of 100 leads (0)
// DURATION        how long (5m)
// TOKEN           a bearer token; or TOKEN_URL, CLIENT_ID, CLIENT_SECRET and SCOPE, with which one is asked for
// API_KEY         a key, sent as x-api-key
// CERT, KEY       files of a client certificate
// P99_MS          what the 99th percentile may be (1000)
//
// Exit code 99: a threshold was not met.

import http from "k6/http";
import encoding from "k6/encoding";
import { check, fail } from "k6";
import exec from "k6/execution";
import { features, lead } from "./leads.mjs";

const url = (__ENV.URL || "http://127.0.0.1:8080").replace(/\/$/, "");
const rate = Number(__ENV.RATE || 300);
const batchRate = Number(__ENV.BATCH_RATE || 0);
const duration = __ENV.DURATION || "5m";
const p99 = Number(__ENV.P99_MS || 1000);
const BATCH = 100;

// An arrival rate: a slow answer does not hold up the next request, so waiting is measured and not hidden.
const arrivals = (exec, rate) => ({
  executor: "constant-arrival-rate",
  exec,
  rate,
  timeUnit: "1s",
  duration,
  preAllocatedVUs: Math.max(10, Math.ceil(rate / 10)),
  maxVUs: Math.max(50, rate * 2),
});

export const options = {
  scenarios: {
    score: arrivals("score", rate),
    ...(batchRate > 0 ? { batch: arrivals("batch", batchRate) } : {}),
  },
  thresholds: {
    "http_req_failed": ["rate<0.001"],
    "http_req_duration{route:/score}": [`p(99)<${p99}`],
    // What was asked for was sent: 99 in 100, for the last second may be cut off.
    "http_reqs{route:/score}": [`rate>=${rate * 0.99}`],
    "dropped_iterations": ["count==0"],
    "checks": ["rate>0.999"],
  },
  ...(__ENV.CERT ? { tlsAuth: [{ cert: open(__ENV.CERT), key: open(__ENV.KEY) }] } : {}),
};

// Once, before all: the features from the server itself, and a token that all share, because tokens are billed.
export function setup() {
  const headers = credentials(token());
  const answer = http.get(`${url}/openapi.json`, { headers, tags: { route: "/openapi.json" } });
  if (answer.status !== 200) fail(`${url}/openapi.json answers ${answer.status}: ${answer.body}`);
  return { openapi: answer.json(), headers: { ...headers, "Content-Type": "application/json" } };
}

let known;

export function score(data) {
  known = known || features(data.openapi);
  const number = exec.scenario.iterationInTest;
  const body = lead(known, number);
  const answer = http.post(`${url}/score`, JSON.stringify(body), { headers: data.headers, tags: { route: "/score" } });
  check(answer, {
    "200": (one) => one.status === 200,
    "its own lead": (one) => one.status === 200 && one.json("lead_id") === body.lead_id,
  });
}

export function batch(data) {
  known = known || features(data.openapi);
  const first = exec.scenario.iterationInTest * BATCH;
  const leads = Array.from({ length: BATCH }, (_, place) => lead(known, first + place));
  const params = { headers: data.headers, tags: { route: "/score/batch" } };
  const answer = http.post(`${url}/score/batch`, JSON.stringify({ leads }), params);
  check(answer, { "200": (one) => one.status === 200 });
}

function token() {
  if (!__ENV.TOKEN_URL) return __ENV.TOKEN;
  const secret = encoding.b64encode(`${__ENV.CLIENT_ID}:${__ENV.CLIENT_SECRET}`);
  const body = { grant_type: "client_credentials", scope: __ENV.SCOPE };
  const answer = http.post(__ENV.TOKEN_URL, body, { headers: { Authorization: `Basic ${secret}` }, tags: { route: "token" } });
  if (answer.status !== 200) fail(`${__ENV.TOKEN_URL} answers ${answer.status}`);
  return answer.json("access_token");
}

function credentials(bearer) {
  return {
    ...(bearer ? { Authorization: `Bearer ${bearer}` } : {}),
    ...(__ENV.API_KEY ? { "x-api-key": __ENV.API_KEY } : {}),
  };
}
