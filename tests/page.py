"""A page of HTML read strictly: what is open is closed in order, and everything is known."""

import re
from html.parser import HTMLParser

_VOID = {"meta", "br"}
_TAGS = frozenset(
    ["html", "head", "title", "style", "body", "main", "h1", "h2", "h3", "p", "ul", "li", "span",
     "b", "bdi", "div", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption",
     "details", "summary", "dl", "dt", "dd", "code", "svg", "desc", "text", "tspan", "rect",
     "line", "path", "circle", "defs", "pattern"]
)  # fmt: skip
_ATTRIBUTES = frozenset(
    ["lang", "charset", "name", "content", "http-equiv", "class", "style", "scope", "title",
     "role", "tabindex", "aria-label", "aria-labelledby", "aria-hidden", "align", "valign",
     "width", "height", "bgcolor", "cellpadding", "cellspacing", "border", "rowspan", "id",
     "xmlns", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "d", "fill", "text-anchor",
     "stroke-width", "stroke-dasharray", "stroke-linecap", "overflow", "patternunits",
     "patterntransform"]
)  # fmt: skip
_LENGTHS = {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height"}
_LENGTH = re.compile(r"-?\d+(\.\d+)?%?")


class Page(HTMLParser):
    """The page; `text` is what its reader reads. AssertionError for what should not be there."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []
        assert len(self.ids) == len(set(self.ids)), "an id stands twice"
        assert self.references <= set(self.ids), "something names an id that is not there"

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).replace("\N{NO-BREAK SPACE}", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _TAGS | _VOID, f"<{tag}> is no part of a report"
        for name, value in attrs:
            self._attribute(tag, name, value or "")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag
        self.texts.append(" " if tag not in {"span", "b", "bdi", "tspan", "text"} else "")

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)
        else:
            assert "url(" not in data
            assert "@import" not in data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def _attribute(self, tag: str, name: str, value: str) -> None:
        assert name in _ATTRIBUTES, f"{name} of <{tag}>"
        self.attributes.append((tag, name, value))
        if name in _LENGTHS:
            assert _LENGTH.fullmatch(value), f"{name}={value!r} of <{tag}>"
        if name == "id":
            self.ids.append(value)
        if name == "aria-labelledby":
            self.references.update(value.split())
        if name == "fill":
            found = re.fullmatch(r"url\(#(.+)\)", value)
            assert found
            self.references.add(found[1])
