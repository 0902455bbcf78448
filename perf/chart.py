"""Draws the bar chart of a report as SVG: each library's fastest engine on each model, on a logarithmic scale."""

import math
from html import escape

BAR, GAP, GROUP_GAP, HEAD = 13, 3, 34, 64
LABELS, WIDTH, FIGURES = 132, 300, 74  # left of the bars, the bars themselves, right of them
COLOURS = {"quintile": "#d9480f", "yardstick": "#adb5bd"}
TITLES = {
    "quintile": "Quintile",
    "yardstick": "lockstep C loop",
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "lleaves": "lleaves",
    "tl2cgen": "tl2cgen",
    "onnxruntime": "ONNX Runtime",
    "onedal": "oneDAL",
    "ydf": "YDF",
}
PANELS = {"single": "one row a call", "batch": "1,024 rows a call"}


def draw(result: dict) -> str:
    groups = {use: [(model["name"], fastest(model, use)) for model in result["models"]] for use in PANELS}
    figures = [figure for panel in groups.values() for _, bars in panel for _, figure in bars]
    if not figures:
        return '<svg xmlns="http://www.w3.org/2000/svg"/>\n'
    low = 10 ** math.floor(math.log10(min(figures)))
    high = max(figures)
    panel_width = LABELS + WIDTH + FIGURES
    bars = max(sum(len(group) for _, group in panel) for panel in groups.values())
    height = HEAD + bars * (BAR + GAP) + len(result["models"]) * GROUP_GAP + 10
    width = panel_width * len(PANELS) + 20
    where = escape(f"{result['machine']['cpu']}, one thread, {result['machine']['date']}")
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="10" y="20" font-size="15">Nanoseconds a row, bars logarithmic from {low:,.0f} ns: {where}</text>',
    ]
    for number, (use, title) in enumerate(PANELS.items()):
        lines += panel(groups[use], f"{title}: each library's fastest engine", 10 + number * panel_width, (low, high))
    return "\n".join([*lines, "</svg>"]) + "\n"


def fastest(model: dict, use: str) -> list[tuple[str, float]]:
    """Each library's best median, the fastest first."""
    best: dict[str, float] = {}
    for engine in model["engines"]:
        if not engine["void"] and engine["library"] in TITLES:
            median = engine[use]["median"]
            best[engine["library"]] = min(median, best.get(engine["library"], median))
    return sorted(best.items(), key=lambda item: item[1])


def panel(groups: list, title: str, left: int, scale: tuple[float, float]) -> list[str]:
    low, high = scale
    lines = [f'<text x="{left}" y="44" font-size="13">{escape(title)}</text>']
    top = HEAD
    for name, bars in groups:
        top += GROUP_GAP - 14
        lines.append(f'<text x="{left}" y="{top}" font-weight="bold">{escape(name)}</text>')
        top += 6
        for library, figure in bars:
            length = WIDTH * math.log(figure / low) / math.log(high / low)
            colour = COLOURS.get(library, "#4c6ef5")
            middle = top + BAR - 3
            start = left + LABELS
            lines += [
                f'<text x="{start - 6}" y="{middle}" text-anchor="end">{TITLES[library]}</text>',
                f'<rect x="{start}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>',
                f'<text x="{start + length + 5:.1f}" y="{middle}">{figure:,.0f}</text>',
            ]
            top += BAR + GAP
        top += 8
    return lines
