"""The main figures as an SVG picture: CPU per request and requests/s of each server."""

from __future__ import annotations

from typing import Callable
from xml.sax.saxutils import escape

import peers
from load import Sample
from scenarios import LoadScenario

Results = dict[peers.Peer, Sample]

PLOTTED = ("plain", "browser", "json")
WIDTH = 920
MARGIN = 24
NAME_WIDTH = 176
BAR_HEIGHT = 17
ROW_HEIGHT = 24
TITLE_HEIGHT = 44
HEAD_HEIGHT = 62
# Room for the figure that stands behind the longest bar.
VALUE_WIDTH = 62
PANEL_GAP = 28
PANEL_WIDTH = (WIDTH - 2 * MARGIN - NAME_WIDTH - PANEL_GAP) // 2

OURS_COLOUR = "#c2410c"
OTHERS_COLOUR = "#94a3b8"
STYLE = ("text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;"
         "font-size:13px;fill:#1f2937}.head{font-size:17px;font-weight:600}"
         ".title{font-size:14px;font-weight:600}.note{fill:#4b5563}.ours{font-weight:600}")

# The panels: title, value, and how the value is written.
PANELS: tuple[tuple[str, Callable[[Sample], float], str], ...] = (
    ("CPU per request, µs (less is better)", lambda sample: sample.cpu_micros, "{:.1f}"),
    ("requests/s (more is better)", lambda sample: sample.requests_per_second, "{:,.0f}"),
)


def plotted(scenario: object) -> bool:
    return isinstance(scenario, LoadScenario) and scenario.name in PLOTTED


def _shown(results: Results) -> list[peers.Peer]:
    """Our configurations in their order, then of every other server the one with the least CPU,
    from the least on."""
    best: dict[str, peers.Peer] = {}
    for peer, sample in results.items():
        key = peer.name if peer.family == peers.OURS else peer.family
        if key not in best or sample.cpu_micros < results[best[key]].cpu_micros:
            best[key] = peer
    ours = [peer for peer in best.values() if peer.family == peers.OURS]
    others = [peer for peer in best.values() if peer.family != peers.OURS]
    return ours + sorted(others, key=lambda peer: results[peer].cpu_micros)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{style}>{escape(text)}</text>'


def _bar(x: float, y: float, share: float, peer: peers.Peer, label: str) -> list[str]:
    width = max(1.0, share * (PANEL_WIDTH - VALUE_WIDTH))
    ours = peer.family == peers.OURS
    colour = OURS_COLOUR if ours else OTHERS_COLOUR
    return [f'<rect x="{x:g}" y="{y:g}" width="{width:.1f}" height="{BAR_HEIGHT}" rx="2" '
            f'fill="{colour}"/>',
            _text(x + width + 6, y + BAR_HEIGHT - 4, label, "ours" if ours else "")]


def _section(scenario: LoadScenario, results: Results, top: float) -> tuple[list[str], float]:
    """The bars of one scenario from `top` down, and where they end."""
    shown = _shown(results)
    lines = [_text(MARGIN, top + 22, scenario.title, "title")]
    top += TITLE_HEIGHT - 10
    for row, peer in enumerate(shown):
        kind = "ours" if peer.family == peers.OURS else ""
        lines.append(_text(MARGIN + NAME_WIDTH - 10, top + row * ROW_HEIGHT + BAR_HEIGHT - 4,
                           peer.name, kind, "end"))
    for number, (_, value, form) in enumerate(PANELS):
        left = MARGIN + NAME_WIDTH + number * (PANEL_WIDTH + PANEL_GAP)
        greatest = max(value(results[peer]) for peer in shown)
        for row, peer in enumerate(shown):
            figure = value(results[peer])
            lines += _bar(left, top + row * ROW_HEIGHT, figure / greatest if greatest else 0,
                          peer, form.format(figure))
        lines.append(f'<line x1="{left}" y1="{top - 4:g}" x2="{left}" '
                     f'y2="{top + len(shown) * ROW_HEIGHT - 3:g}" stroke="#6b7280"/>')
    return lines, top + len(shown) * ROW_HEIGHT + 6


def picture(measured: list[tuple[LoadScenario, Results]], note: str) -> str:
    """The whole SVG document; `note` says on what it was measured."""
    lines = [_text(MARGIN, 32, "httpkit-rs beside other servers", "head")]
    for number, (title, _, _) in enumerate(PANELS):
        left = MARGIN + NAME_WIDTH + number * (PANEL_WIDTH + PANEL_GAP)
        lines.append(_text(left, 56, title, "note"))
    top = float(HEAD_HEIGHT)
    for scenario, results in measured:
        section, top = _section(scenario, results, top)
        lines += section
    lines.append(_text(MARGIN, top + 18, note, "note"))
    height = top + 34
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
            f'width="{WIDTH}" height="{height:g}" role="img" '
            'aria-label="CPU per request and requests per second by server">')
    return "\n".join([head, f"<style>{STYLE}</style>",
                      '<rect width="100%" height="100%" fill="#ffffff"/>', *lines, "</svg>", ""])
