"""Makes the report of a run of `quintile-perf peers`: a table, a bar chart and JSON, and their copies as a record.

    report.py PLAN FIGURES FOLDER [--json FILE] [--record FOLDER]

`FOLDER` gets `kernels.md`, `kernels.svg` and `kernels.json`; a run that counts also goes into the record. A run without
one of the engines that must be there is void: it has no ratios, and this program ends with 1. Standard library only.
"""

import argparse
import datetime
import json
import platform
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import chart

OURS = "quintile"
# Ours with a kernel that the planner did not choose, and the loop, which only compares machines.
NOT_PEERS = (OURS, "quintile-forced", "yardstick")
# The training libraries, and the fastest third parties known. Without them a ratio would only look better.
MUST_HAVE = ("ydf", "onedal", "tl2cgen")
USES = {"single": "one row a call", "batch": "1,024 rows a call"}


def main() -> int:
    parser = argparse.ArgumentParser(description="the report of a run of quintile-perf peers")
    parser.add_argument("plan", type=Path)
    parser.add_argument("figures", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    plan = json.loads(options.plan.read_text(encoding="utf-8"))
    result = judge(json.loads(options.figures.read_text(encoding="utf-8")))
    result = {**result, "machine": machine(), "versions": plan["versions"]}
    text = table(result)
    options.folder.mkdir(parents=True, exist_ok=True)
    files = [options.folder / f"kernels.{suffix}" for suffix in ("md", "svg", "json")]
    for file, content in zip(files, (text, chart.draw(result), dump(result)), strict=True):
        file.write_text(content, encoding="utf-8")
    if options.json:
        options.json.write_text(dump(result), encoding="utf-8")
    print(text)
    if result["void"]:
        print("VOID: this run has no ratios.", *result["void"], sep="\n  ", file=sys.stderr)
        return 1
    if options.record:
        options.record.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, options.record)
    return 0


def judge(figures: dict) -> dict:
    """Medians, spreads and our ratios to the fastest third party; `void` says why there are none."""
    models = [judge_model(model) for model in figures["models"]]
    void = [f"{model['name']}: {fault}" for model in models for fault in model["faults"]]
    result = {"void": void}
    for use in USES:
        ratios = [] if void else [model[use]["ratio"] for model in models]
        result[use] = {"geomean": statistics.geometric_mean(ratios), "worst": min(ratios)} if ratios else None
    rest = {key: value for key, value in figures.items() if key != "models"}
    return {**result, **rest, "models": models}


def judge_model(model: dict) -> dict:
    engines = [judge_engine(engine) for engine in model["engines"]]
    fine = [engine for engine in engines if not engine["void"]]
    own = "xgboost" if model["name"].startswith("xgboost") else "lightgbm"
    present = {engine["library"] for engine in fine}
    faults = [f"{library} is missing" for library in (OURS, *MUST_HAVE, own) if library not in present]
    judged = {"name": model["name"], "faults": faults, "engines": engines}
    for use in USES:
        ours = [engine for engine in fine if engine["library"] == OURS]
        peers = [engine for engine in fine if engine["library"] not in NOT_PEERS]
        if ours and peers:
            fastest = min(peers, key=lambda engine: engine[use]["median"])
            ratio = fastest[use]["median"] / ours[0][use]["median"]
            judged[use] = {"ratio": ratio, "fastest": fastest["name"]}
    return judged


def judge_engine(engine: dict) -> dict:
    judged = {key: value for key, value in engine.items() if key not in USES}
    for use in USES:
        rounds = [round(number, 1) for number in engine[use]]
        if rounds:
            low, median, high = quartiles(rounds)
            judged[use] = {"median": median, "quartiles": [low, high], "least": min(rounds), "rounds": rounds}
    if not engine["void"] and len(judged.keys() & USES.keys()) < len(USES):
        judged["void"] = "it has no figures"
    return judged


def quartiles(numbers: list[float]) -> tuple[float, float, float]:
    if len(numbers) == 1:
        return numbers[0], numbers[0], numbers[0]
    low, median, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return round(low, 1), round(median, 1), round(high, 1)


def table(result: dict) -> str:
    facts = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines = [
        "# Nanoseconds a row, ours and other engines",
        "",
        f"{facts['date']}, {facts['cpu']}, {facts['system']}, commit {facts['commit']}.",
        "",
        f"Processor time of one thread on one pinned core; {result['rounds']} interleaved rounds, each of up to",
        f"{result['rows_a_round']:,} rows that no earlier one had: the same for all, but a slow engine gets fewer.",
        "Medians, and half the distance between the quartiles in percent. Bold: the fastest third party. Every answer",
        "was compared with the training library's: ours has the same bits, and an engine that differs is void.",
        "",
        versions + ".",
        "",
    ]
    if result["void"]:
        lines += ["**VOID.** " + "; ".join(result["void"]) + ".", ""]
    for use, title in USES.items():
        lines += [f"## {title[0].upper()}{title[1:]}", "", *table_of(result, use), ""]
        if result[use]:
            lines += [f"Geometric mean {result[use]['geomean']:.2f}, worst {result[use]['worst']:.2f}.", ""]
    faults = [
        f"- {model['name']}, {engine['name']}: {engine['void']}"
        for model in result["models"]
        for engine in model["engines"]
        if engine["void"]
    ]
    if faults:
        lines += ["## Void", "", *faults, ""]
    return "\n".join(lines)


def table_of(result: dict, use: str) -> list[str]:
    models = result["models"]
    names = list(dict.fromkeys(label(engine) for model in models for engine in model["engines"]))
    lines = ["| engine | " + " | ".join(model["name"] for model in models) + " |", "|---" * (len(models) + 1) + "|"]
    for name in names:
        cells = []
        for model in models:
            engine = next((engine for engine in model["engines"] if label(engine) == name), None)
            cells.append(cell(engine, use, model.get(use, {}).get("fastest")))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    ratios = [f"{model[use]['ratio']:.2f}" if use in model else "" for model in models]
    return [*lines, "| **times faster than the fastest third party** | " + " | ".join(ratios) + " |"]


def label(engine: dict) -> str:
    return "Quintile, as planned" if engine["library"] == OURS else engine["name"]


def cell(engine: dict | None, use: str, fastest: str | None) -> str:
    if engine is None:
        return ""
    if engine["void"]:
        return "void"
    figures = engine[use]
    low, high = figures["quartiles"]
    spread = 50 * (high - low) / figures["median"]
    number = f"{figures['median']:,.0f}"
    return f"**{number}** ±{spread:.0f} %" if engine["name"] == fastest else f"{number} ±{spread:.0f} %"


def machine() -> dict:
    """What a reader needs to judge the figures by."""
    facts = {
        "date": datetime.date.today().isoformat(),
        "commit": output("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"),
        "system": f"{platform.system()} {platform.release()}",
        "arch": platform.machine(),
        "gcc": output("gcc", "--version").partition("\n")[0],
        "rustc": output("rustc", "--version"),
    }
    names = {
        "Model name": "cpu",
        "CPU family": "family",
        "Model": "model",
        "CPU(s)": "cpus",
        "Hypervisor vendor": "hypervisor",
    }
    names |= {f"{level} cache": f"{level} cache" for level in ("L1d", "L2", "L3")}
    for line in output("lscpu").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in names:
            facts[names[name.strip()]] = value.strip()
        if name.strip() == "Flags":
            facts["vectors"] = " ".join(flag for flag in value.split() if flag.startswith(("avx", "bmi", "popcnt")))
    return {"cpu": "unknown CPU", **facts}


def output(*words: str) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def dump(result: dict) -> str:
    """Indented, but a list of numbers on one line: one a line would make a record of thousands."""
    text = json.dumps(result, indent=1, allow_nan=False)
    return re.sub(r"\[[-\d.,\s]+\]", lambda found: " ".join(found[0].split()), text) + "\n"


if __name__ == "__main__":
    sys.exit(main())
