"""Small scatter plots as SVG: the same bytes for the same data; colours follow the reader's light or dark mode.

    plot(path, title, x_axis, y_axis, series)

Labels of points avoid covering anything if possible.
"""
import math
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 860, 520
LEFT, RIGHT, TOP, BOTTOM = 76, 18, 62, 54
FONT, SMALL = 13, 11
CHAR = 0.58  # width of a character in font sizes, slightly too large, so that boxes do not touch

LIGHT = {"paper": "#ffffff", "ink": "#1f2328", "grid": "#d8dee4", "a": "#0b62a8", "b": "#c4480b", "c": "#0a7a55", "d": "#8b3fa8"}
DARK = {"paper": "#0d1117", "ink": "#e6edf3", "grid": "#30363d", "a": "#6cb6ff", "b": "#f69d50", "c": "#57d9a3", "d": "#dcbdfb"}


def style():
    """No custom properties: programs that ignore them would draw black on black."""
    def rules(colours):
        lines = [f".paper {{ fill: {colours['paper']} }} text {{ fill: {colours['ink']} }} .grid {{ stroke: {colours['grid']} }}"]
        lines += [f".{k}, text.{k} {{ fill: {colours[k]} }} .line-{k} {{ stroke: {colours[k]} }}" for k in "abcd"]
        return "\n".join(lines)
    return ("text { font: 13px sans-serif } .small { font-size: 11px } .title { font-size: 15px; font-weight: bold }\n"
            ".line { fill: none; stroke-width: 1.5; stroke-opacity: 0.55 }\n"
            f"{rules(LIGHT)}\n@media (prefers-color-scheme: dark) {{\n{rules(DARK)}\n}}\n")


@dataclass
class Axis:
    label: str
    log: bool = False
    decimals: int = 0


@dataclass
class Series:
    name: str
    points: list  # (x, y, label); label "": none
    line: bool = False  # connects the points in order


@dataclass
class Scale:
    axis: Axis
    low: float
    high: float
    at: float   # position of low in pixels
    to: float   # position of high
    ticks: list = field(default_factory=list)

    def __call__(self, value):
        f = math.log10 if self.axis.log else float
        return self.at + (f(value) - f(self.low)) / (f(self.high) - f(self.low)) * (self.to - self.at)


def linear_ticks(low, high):
    """About six round tick values, and the range extended to them."""
    step = 10 ** math.floor(math.log10((high - low) / 5))
    step *= next(k for k in (1, 2, 5, 10) if (high - low) / (step * k) <= 6)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [k * step for k in range(first, last + 1)]


def log_ticks(low, high):
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0 ** k for k in range(first, last + 1)]


def make_scale(axis, values, at, to):
    ticks = (log_ticks if axis.log else linear_ticks)(min(values), max(values))
    return Scale(axis, ticks[0], ticks[-1], at, to, ticks)


def tick_text(scale, value):
    if not scale.axis.log:
        return f"{value:.{scale.axis.decimals}f}"
    exponent = round(math.log10(value))
    return f"10<tspan dy='-5' class='small'>{exponent}</tspan>"


def marker(kind, x, y):
    r = 4.5
    if kind == "a":
        return f"<circle class='a' cx='{x:.1f}' cy='{y:.1f}' r='{r}'/>"
    if kind == "b":
        return f"<rect class='b' x='{x - 4:.1f}' y='{y - 4:.1f}' width='8' height='8'/>"
    corners = [(0, -6), (5.5, 4), (-5.5, 4)] if kind == "c" else [(0, -6), (6, 0), (0, 6), (-6, 0)]
    return f"<polygon class='{kind}' points='{' '.join(f'{x + dx:.1f},{y + dy:.1f}' for dx, dy in corners)}'/>"


def overlap(a, b):
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def places(x, y, width):
    """Candidate boxes for a label, best first: beside the point, then increasingly far away."""
    half = SMALL * 0.6
    for far in (0, 9, 18, 27, 36):
        for side in (1, -1):
            for up in (0, -1, 1):
                dx, dy = 9 + far / 3, up * (half + 3 + far)
                if up == 0 and far:
                    continue
                left = x + dx if side > 0 else x - dx - width
                yield (left, y + dy - half, left + width, y + dy + half)
        for up in (-1, 1):
            middle = y + up * (14 + far)
            yield (x - width / 2, middle - half, x + width / 2, middle + half)


def place_label(text, x, y, taken, frame):
    """The first box that covers nothing, else the one that covers least."""
    width = len(text) * SMALL * CHAR
    best, least = None, math.inf
    for box in places(x, y, width):
        outside = box[0] < frame[0] or box[1] < frame[1] or box[2] > frame[2] or box[3] > frame[3]
        covered = math.inf if outside else sum(overlap(box, other) for other in taken)
        if covered < least:
            best, least = box, covered
        if covered == 0:
            break
    return best


def draw_axes(x, y):
    out = []
    for value in x.ticks:
        out.append(f"<line class='grid' x1='{x(value):.1f}' y1='{y.to}' x2='{x(value):.1f}' y2='{y.at}'/>")
        out.append(f"<text x='{x(value):.1f}' y='{y.at + 18}' text-anchor='middle'>{tick_text(x, value)}</text>")
    for value in y.ticks:
        out.append(f"<line class='grid' x1='{x.at}' y1='{y(value):.1f}' x2='{x.to}' y2='{y(value):.1f}'/>")
        out.append(f"<text x='{x.at - 8}' y='{y(value) + 4:.1f}' text-anchor='end'>{tick_text(y, value)}</text>")
    out.append(f"<text x='{(x.at + x.to) / 2:.1f}' y='{HEIGHT - 14}' text-anchor='middle'>{escape(x.axis.label)}</text>")
    out.append(f"<text x='18' y='{(y.at + y.to) / 2:.1f}' text-anchor='middle' "
               f"transform='rotate(-90 18 {(y.at + y.to) / 2:.1f})'>{escape(y.axis.label)}</text>")
    return out


def draw_legend(series):
    out, at = [], LEFT + 6
    for kind, s in zip("abcd", series):
        out.append(marker(kind, at, TOP - 17))
        out.append(f"<text x='{at + 11}' y='{TOP - 13}'>{escape(s.name)}</text>")
        at += 30 + len(s.name) * FONT * CHAR
    return out


def draw_series(x, y, series):
    dots = [(x(px), y(py)) for s in series for px, py, _ in s.points]
    taken = [(px - 6, py - 6, px + 6, py + 6) for px, py in dots]
    frame = (LEFT + 2, TOP + 2, WIDTH - RIGHT - 2, HEIGHT - BOTTOM - 2)
    lines, labels, markers = [], [], []
    for kind, s in zip("abcd", series):
        if s.line:
            path = " ".join(f"{x(px):.1f},{y(py):.1f}" for px, py, _ in s.points)
            lines.append(f"<polyline class='line line-{kind}' points='{path}'/>")
        for px, py, text in s.points:
            markers.append(marker(kind, x(px), y(py)))
            if text:
                box = place_label(text, x(px), y(py), taken, frame)
                taken.append(box)
                labels.append(f"<text class='small {kind}' x='{box[0]:.1f}' y='{box[3] - 2.5:.1f}'>{escape(text)}</text>")
    return lines + markers + labels


def plot(path, title, x_axis, y_axis, series):
    points = [p for s in series for p in s.points]
    x = make_scale(x_axis, [p[0] for p in points], LEFT, WIDTH - RIGHT)
    y = make_scale(y_axis, [p[1] for p in points], HEIGHT - BOTTOM, TOP)
    parts = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' height='{HEIGHT}' role='img'>",
             f"<title>{escape(title)}</title>", f"<style>\n{style()}</style>",
             f"<rect class='paper' width='{WIDTH}' height='{HEIGHT}'/>",
             f"<text class='title' x='{LEFT}' y='24'>{escape(title)}</text>"]
    parts += draw_legend(series) + draw_axes(x, y) + draw_series(x, y, series) + ["</svg>"]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(parts) + "\n")
