"""CPU of a request as a ratio to nginx: horizontal bars, one group a case."""

from html import escape

_COLOURS = {"nginx": "#9aa5b1", "nginx+checks": "#66717e", "haproxy": "#7fb3d5", "envoy": "#c39bd3", "mediagate": "#1e8449"}
_ROW, _GAP, _LEFT, _WIDTH, _RIGHT = 14, 12, 290, 460, 50


def bars(found: dict) -> str:
    rows, y = [], 46
    most = min(6.0, max(cell["cpu_to_nginx"] for sides in found["cells"].values() for cell in sides.values()))
    for case, sides in found["cells"].items():
        rows.append(f'<text x="{_LEFT - 10}" y="{y + _ROW - 3}" text-anchor="end">{escape(found["cases"][case]["title"])}</text>')
        for name, cell in sides.items():
            ratio = cell["cpu_to_nginx"]
            width = min(ratio, most) / most * _WIDTH
            rows.append(f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_ROW - 3}" fill="{_COLOURS[name]}"/>'
                        f'<text x="{_LEFT + width + 5:.1f}" y="{y + _ROW - 4}" class="figure">{ratio:.2f}</text>')
            y += _ROW
        y += _GAP
    one = _LEFT + _WIDTH / most
    x, legend = _LEFT, []
    for name in dict.fromkeys(name for sides in found["cells"].values() for name in sides):
        legend.append(f'<rect x="{x}" y="24" width="10" height="10" fill="{_COLOURS[name]}"/><text x="{x + 14}" y="33">{escape(name)}</text>')
        x += 30 + 7 * len(name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + _RIGHT} {y}" font-family="sans-serif" font-size="12">'
        "<style>text{fill:#333}.figure{font-size:10px}@media(prefers-color-scheme:dark){text{fill:#ddd}}</style>"
        f'<text x="10" y="14" font-weight="bold">CPU of one request, nginx = 1 ({escape(found["date"])})</text>'
        f'<line x1="{one:.1f}" y1="42" x2="{one:.1f}" y2="{y - _GAP}" stroke="#c0392b" stroke-dasharray="3 3"/>'
        + "".join(legend) + "".join(rows) + "</svg>\n")
