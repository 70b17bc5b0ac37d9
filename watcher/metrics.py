"""What the watcher counts. Names follow https://prometheus.io/docs/practices/naming/."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

ENGINE_SECONDS = Histogram(
    "reviewapp_engine_seconds",
    "How long an update or a destroy of a stack took, all engine runs included.",
    ["operation"],
    buckets=(0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256),
)
ENGINE_RUNS = Counter("reviewapp_engine_runs", "How often the engine was run.", ["operation"])
IS_LEADER = Gauge("reviewapp_is_leader", "Whether this watcher is the one that acts.")
LEFTOVERS = Gauge("reviewapp_leftovers", "What is there and no ReviewApp asks for, by kind: object, stack.", ["kind"])
DRIFTS = Counter("reviewapp_drifts", "Objects of stacks that somebody has changed, by what was done.", ["what"])
FAILURES = Counter("reviewapp_failures", "Updates and destroys that failed, by reason.", ["reason"])
