"""Colours and styles of a report's page, once for browsers and once for mail programs.

Browsers get one style sheet with a light and a dark set of colours. Mail programs drop much of
style sheets, so that each element of a mail carries its style itself, in the light colours, and a
style sheet turns those that know `prefers-color-scheme` dark.

Colours were chosen so that text has a contrast of 4.5:1 and what is drawn one of 3:1 on the paper
(WCAG 2.2, 1.4.3 and 1.4.11), and so that neighbouring series differ in lightness, too, for those
who tell colours badly apart.
"""

import re
from collections.abc import Callable

#: Name to the light and the dark colour.
COLOURS = {
    "paper": ("#ffffff", "#15191e"),
    "desk": ("#f3f2ef", "#0d1013"),
    "band": ("#f5f5f2", "#1c2228"),
    "ink": ("#1c2127", "#e7e9ec"),
    "soft": ("#59616b", "#a5aeb8"),
    "rule": ("#dcdcd6", "#343c45"),
    "good": ("#0b6b5d", "#5fd0b4"),
    "bad": ("#b3261e", "#ff9385"),
    "watch": ("#875800", "#f0bf4c"),
    "series1": ("#1f5b94", "#74b4ef"),
    "series2": ("#c26a00", "#f7c873"),
    "series3": ("#5b4b8a", "#9a88dc"),
    "series4": ("#2a93ac", "#7fd6e8"),
    "series5": ("#b0437c", "#da70aa"),
    "series6": ("#747c86", "#a7afb8"),
}
#: Names of colours that are text on `paper` and `band`, and of those that are drawn.
TEXTS = ("ink", "soft", "good", "bad", "watch")
DRAWN = ("good", "bad", "watch", *(f"series{n}" for n in range(1, 7)))
SERIES = tuple(f"series{n}" for n in range(1, 7))

_SANS = "-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"

#: Class to declarations; `$name` is a colour. The order is that of the style sheet.
STYLES = {
    "body": f"margin:0;background:$desk;color:$ink;font:14px/1.45 {_SANS}",
    "page": "max-width:920px;margin:0 auto;padding:28px 32px 36px;background:$paper;color:$ink",
    "title": "margin:0;font-size:26px;line-height:1.2;font-weight:650;color:$ink",
    "under": "margin:4px 0 0;font-size:15px;color:$ink",
    "meta": "margin:2px 0 0;font-size:12px;color:$soft",
    "summary": "margin:18px 0 0;padding:0;list-style:none;border-top:2px solid $ink",
    "line": "margin:0;padding:7px 0 7px 24px;text-indent:-20px;border-bottom:1px solid $rule;"
    "font-size:15px",
    "lead": "display:inline-block;width:20px;text-indent:0;font-weight:700",
    "heading": "margin:32px 0 0;padding:0 0 5px;border-bottom:1px solid $ink;font-size:17px;"
    "line-height:1.3;font-weight:650;color:$ink",
    "text": "margin:8px 0 0",
    "name": "margin:0;padding:0;font-size:13px;font-weight:600;color:$ink;text-align:left",
    "broken": "word-break:break-word",
    "above": "margin:18px 0 4px",
    "note": "margin:6px 0 0;font-size:12px;color:$soft",
    "tile": "padding:10px 12px 9px;background:$band;border-top:2px solid $rule",
    "tile-good": "border-top-color:$good",
    "tile-bad": "border-top-color:$bad",
    "tile-watch": "border-top-color:$watch",
    "tile-label": "margin:0;font-size:12px;color:$soft",
    "tile-value": "margin:1px 0 0;font-size:22px;line-height:1.25;font-weight:600;color:$ink",
    "tile-long": "font-size:16px",
    "tile-note": "margin:0;font-size:12px;color:$soft",
    "grid": "width:100%;border-collapse:collapse;font-size:13px;color:$ink",
    "head": "padding:5px 14px 4px 0;border-bottom:1px solid $soft;font-size:12px;font-weight:600;"
    "color:$soft;text-align:left;vertical-align:bottom",
    "cell": "padding:5px 14px 5px 0;border-bottom:1px solid $rule;text-align:left;"
    "font-weight:400;vertical-align:top",
    "band": "background:$band",
    "key": "margin:0 14px 0 0;font-size:12px;color:$ink",
    "good": "color:$good",
    "bad": "color:$bad",
    "watch": "color:$watch",
}

#: What only browsers need, beside `STYLES`.
_BROWSER = """
*{box-sizing:border-box}
.page{min-height:100vh;overflow-wrap:break-word;font-variant-numeric:tabular-nums}
.mark{font-weight:700}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(190px,1fr));gap:10px;margin:12px 0 0}
.tile{min-width:0}
.spark{float:right;margin:4px 0 0 8px}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));gap:20px 32px;margin:16px 0 0}
.chart{margin:0;min-width:0}
.chart>svg{display:block;margin:8px 0 0}
.keys{margin:6px 0 0;line-height:1.6}
.key{display:inline-block;max-width:calc(100% - 14px);overflow-wrap:anywhere}
.key svg,.spark svg{display:inline-block;vertical-align:-1px}
.numbers{margin:4px 0 0;font-size:12px;color:$soft}
.numbers summary{cursor:pointer}
.scroll{margin:14px 0 0;overflow-x:auto}
.scroll:focus-visible{outline:2px solid $series1;outline-offset:2px}
.grid{margin:6px 0 0;width:auto;min-width:min(100%,430px)}
.cell{min-width:6em;max-width:30em}
.cell.right{min-width:0}
.right{text-align:right;white-space:nowrap}
.head.right{white-space:normal}
.head:last-child,.cell:last-child{padding-right:0}
.terms{margin:8px 0 0;font-size:12px;color:$soft}
.terms dt{margin:0;break-after:avoid;color:$ink;font-weight:600}
.terms dd{margin:0 0 7px;break-inside:avoid}
@media (min-width:700px){.terms{columns:2;column-gap:32px}}
.terms code{font-size:11px;overflow-wrap:anywhere}
svg text{font:12px/1 SANS;fill:$ink;font-variant-numeric:tabular-nums}
svg .axis{font-size:11px;fill:$soft}
svg .own{unicode-bidi:isolate}
svg .halo{paint-order:stroke;stroke:$paper;stroke-width:3px;stroke-linejoin:round}
svg .ruled{stroke:$rule;stroke-width:1}
svg .zero{stroke:$soft;stroke-width:1}
svg .target{stroke:$ink;stroke-width:1.25;stroke-dasharray:5 3}
svg .target-tick{stroke:$ink;stroke-width:2}
svg .track{fill:$band}
svg .seam{stroke:$paper;stroke-width:1}
svg .hatch{stroke:$paper;stroke-width:1.5}
@media (max-width:600px){.page{padding:18px 16px 26px}.title{font-size:22px}.tile-value{font-size:19px}.tile-long{font-size:15px}.tiles{grid-template-columns:repeat(auto-fill,minmax(150px,1fr))}}
@media print{.body{background:none;font-size:10pt}.page{max-width:none;padding:0;min-height:0}.tile,.chart,.line,tr{break-inside:avoid}.heading,.name{break-after:avoid}.numbers{display:none}.scroll{overflow:visible}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}@page{margin:16mm 14mm}}
""".replace("SANS", _SANS)  # noqa: E501 - one rule a line

#: What mail programs take from a style sheet, beside the dark colours.
_MAIL = (
    f"table,td,th,p,li{{font-family:{_SANS}}}"
    "@media (max-width:480px){.tile{display:block!important;width:auto!important}"
    ".page{padding:16px 12px!important}}"
)


def inline(*classes: str) -> str:
    """The styles of classes for an element of a mail, in light colours; some have none."""
    found = ";".join(STYLES[name] for name in classes if name in STYLES)
    return _coloured(found, lambda name: COLOURS[name][0])


def browser_sheet() -> str:
    """The style sheet of a page: light, dark where the reader asks for it, and for paper."""
    light = ";".join(f"--{name}:{colours[0]}" for name, colours in COLOURS.items())
    dark = ";".join(f"--{name}:{colours[1]}" for name, colours in COLOURS.items())
    drawn = "".join(
        f"svg .fill-{name}{{fill:${name}}}svg .line-{name}{{stroke:${name};fill:none}}"
        for name in DRAWN
    )
    rules = "".join(f".{name}{{{declared}}}\n" for name, declared in STYLES.items())
    return (
        f":root{{color-scheme:light dark;{light}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
        + _coloured(rules + _BROWSER.strip() + "\n" + drawn, lambda name: f"var(--{name})")
    )


def mail_sheet() -> str:
    """The style sheet of a mail: what is turned on narrow screens and in the dark."""
    dark = []
    for name, declared in STYLES.items():
        turned = [part for part in declared.split(";") if "$" in part]
        if turned:
            important = ";".join(f"{part}!important" for part in turned)
            dark.append(f".{name}{{{_coloured(important, lambda colour: COLOURS[colour][1])}}}")
    dark += (
        f".on-{name}{{background:{COLOURS[name][1]}!important}}"
        f".in-{name}{{color:{COLOURS[name][1]}!important}}"
        for name in DRAWN
    )
    return f"{_MAIL}@media (prefers-color-scheme:dark){{{''.join(dark)}}}"


def _coloured(text: str, colour: Callable[[str], str]) -> str:
    return re.sub(r"\$([a-z]+\d?)", lambda found: colour(found[1]), text)
