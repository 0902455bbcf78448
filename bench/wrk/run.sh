#!/usr/bin/env bash
# Requests a second and latencies of both runtimes with wrk, interleaved: server on CPU 0, wrk on CPU 1.
# usage: bench/wrk/run.sh [ROUNDS [SECONDS [CONNECTIONS]]]        needs wrk (apt-get install wrk) and two CPUs
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-3} seconds=${2:-10} connections=${3:-64} port=18080
cargo build --release --quiet
data=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$data"' EXIT

printf '%-5s  %-8s  %-26s  %10s  %8s  %9s  %9s\n' round runtime request requests/s 503 p50 p99
measure() { # round runtime name path wrk-options…
  local out
  out=$(taskset -c 1 wrk -t1 -c"$connections" -d"${seconds}s" --latency "${@:5}" "http://127.0.0.1:$port$4")
  if grep -q 'Socket errors' <<<"$out"; then printf '%s\n' "$out" >&2; exit 1; fi
  awk -v head="$(printf '%-5s  %-8s  %-26s' "$1" "$2" "$3")" '
    / 50%/ { p50 = $2 } / 99%/ { p99 = $2 } / requests in / { all = $1 } /Non-2xx/ { other = $NF }
    /^Requests\/sec/ { printf "%s  %10.0f  %7.1f%%  %9s  %9s\n", head, $2, 100 * other / all, p50, p99 }' <<<"$out"
}
for round in $(seq "$rounds"); do
  for runtime in epoll glommio; do
    for sink in none parquet; do
      taskset -c 0 target/release/quintile serve --listen 127.0.0.1:$port --runtime $runtime --shards 1 \
        --sink $sink --data-dir "$data" --log json 2>"$data/log" &
      server=$!
      until grep -q '"ready"' "$data/log"; do sleep 0.05; kill -0 $server; done
      if [ $sink = none ]; then measure "$round" $runtime 'GET /healthz' /healthz; fi
      measure "$round" $runtime "POST /score, sink $sink" /score -s bench/wrk/score.lua
      kill -TERM $server
      wait $server
    done
  done
done
