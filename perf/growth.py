"""Draws how the cost of a row grows, and keeps the figures: growth.py FIGURES FOLDER, for `perf/growth`."""

import json
import math
import sys
from html import escape
from pathlib import Path

from report import machine

COLOURS = {"scalar": "#868e96", "avx2": "#4c6ef5", "avx512bw": "#2b8a3e", "avx512": "#d9480f", "neon": "#862e9c"}
PANELS = [
    ("trees", "trees of depth 6", True),
    ("depth", "depth of 500 trees", False),
    ("columns", "columns of 500 trees of depth 6", True),
    ("missing", "values missing, %", False),
]
WIDTH, HEIGHT, LEFT, TOP, GAP = 380, 250, 64, 84, 74


def draw(points: list[dict], facts: dict) -> str:
    figures = [point[use] for point in points for use in ("single_ns", "batch_ns")]
    low, high = (10 ** rounded(math.log10(bound(figures))) for rounded, bound in [(math.floor, min), (math.ceil, max)])
    width, height = 2 * (LEFT + WIDTH) + 40, 2 * (HEIGHT + GAP) + TOP
    title = f"Nanoseconds a row: {facts['cpu']}, one thread, {facts['date']}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="10" y="20" font-size="15">{escape(title)}</text>',
    ]
    timed = {point["kernel"] for point in points}
    legend = [(kernel, colour) for kernel, colour in COLOURS.items() if kernel in timed]
    for number, (kernel, colour) in enumerate(legend):
        x = 14 + 90 * number
        lines.append(
            f'<rect x="{x}" y="32" width="12" height="12" fill="{colour}"/><text x="{x + 18}" y="42">{kernel}</text>'
        )
    lines.append(f'<text x="{30 + 90 * len(legend)}" y="42">solid: one row a call; dashed: 1,024 rows a call</text>')
    for number, (sweep, label, is_log) in enumerate(PANELS):
        left = LEFT + number % 2 * (LEFT + WIDTH)
        top = TOP + number // 2 * (HEIGHT + GAP)
        own = [point for point in points if point["sweep"] == sweep]
        lines += panel(own, (left, top), label, is_log, (low, high))
    return "\n".join([*lines, "</svg>"]) + "\n"


def panel(points, corner, label, is_log, scale) -> list[str]:
    left, top = corner
    low, high = (math.log10(bound) for bound in scale)
    values = sorted({point["value"] for point in points})
    along = math.log10 if is_log else float
    first, last = along(values[0]), along(values[-1])

    def x(value):
        return left + WIDTH * (along(value) - first) / (last - first)

    def y(figure):
        return top + HEIGHT * (high - math.log10(figure)) / (high - low)

    lines = [f'<text x="{left + WIDTH / 2}" y="{top + HEIGHT + 34}" text-anchor="middle">{escape(label)}</text>']
    for power in range(int(low), int(high) + 1):
        at = y(10**power)
        lines.append(f'<line x1="{left}" y1="{at:.1f}" x2="{left + WIDTH}" y2="{at:.1f}" stroke="#dee2e6"/>')
        lines.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{10**power:,}</text>')
    shown = -math.inf
    for value in values:
        if x(value) - shown > 30:
            shown = x(value)
            lines.append(f'<text x="{shown:.1f}" y="{top + HEIGHT + 16}" text-anchor="middle">{value:,}</text>')
    for kernel, colour in COLOURS.items():
        own = sorted((point for point in points if point["kernel"] == kernel), key=lambda point: point["value"])
        for use, dashes in [("single_ns", ""), ("batch_ns", ' stroke-dasharray="4 3"')]:
            if own:
                way = " ".join(f"{x(point['value']):.1f},{y(point[use]):.1f}" for point in own)
                lines.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="1.6"{dashes}/>')
    return lines


def main(figures: Path, folder: Path) -> None:
    points, facts = json.loads(figures.read_text()), machine()
    folder.mkdir(parents=True, exist_ok=True)
    rows = ",\n".join(json.dumps(point) for point in points)
    (folder / "growth.json").write_text(f'{{"machine": {json.dumps(facts)},\n"points": [\n{rows}\n]}}\n')
    (folder / "growth.svg").write_text(draw(points, facts))
    print(f"written: {folder / 'growth.json'} and {folder / 'growth.svg'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
