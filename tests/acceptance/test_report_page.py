"""The page of a report as a browser shows it: on paper's width, on a telephone, in the dark."""

import zlib
from html import escape

from notifiers.report import to_html
from tests.rigs.chromium import Show
from tests.sample_reports import awkward, digest, scorecard, with_cases

PAGES = {
    "wide": (digest(), False, 1000, "light"),
    "narrow": (digest(), False, 390, "light"),
    "dark": (scorecard(), False, 390, "dark"),
    "awkward": (awkward(), False, 1000, "light"),
    "awkward, narrow": (awkward(), False, 390, "light"),
    "awkward, mail": (awkward(), True, 390, "light"),
    "cases": (with_cases(), False, 390, "light"),
    "cases, mail": (with_cases(), True, 390, "light"),
    "mail": (digest(), True, 390, "light"),
    "dark mail": (scorecard(), True, 700, "dark"),
}
#: Looks at each page from outside: what is wider than it, which letters of charts leave their
#: chart or stand on each other, which colours it has.
LOOK = """
addEventListener("load", () => {
  const found = {};
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, root = page.documentElement;
    const cut = [], over = [];
    for (const chart of page.querySelectorAll("svg[role=img]")) {
      const frame = chart.getBoundingClientRect();
      const texts = [...chart.querySelectorAll("text")].map(t => [t, t.getBoundingClientRect()]);
      texts.forEach(([text, box], at) => {
        if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1
            || box.bottom > frame.bottom + 1) cut.push(text.textContent);
        for (const [other, its] of texts.slice(at + 1))
          if (box.left < its.right && its.left < box.right && box.top + 2 < its.bottom
              && its.top + 2 < box.bottom) over.push(text.textContent + " / " + other.textContent);
      });
    }
    const tiles = [...page.querySelectorAll(".tile")].map(t => t.scrollWidth - t.clientWidth);
    const words = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT), ids = [];
    while (words.nextNode())
      for (const id of words.currentNode.data.matchAll(/C-[0-9A-Z]{12}/g)) {
        const place = page.createRange();
        place.setStart(words.currentNode, id.index);
        place.setEnd(words.currentNode, id.index + id[0].length);
        ids.push(new Set([...place.getClientRects()].map(line => line.top)).size);
      }
    found[frame.title] = {
      ids,
      wider: root.scrollWidth - root.clientWidth, cut, over, tiles: Math.max(...tiles),
      paper: getComputedStyle(page.querySelector(".page")).backgroundColor,
      ink: getComputedStyle(page.querySelector(".title")).color,
    };
  }
  console.log("found " + JSON.stringify(found));
});
"""


def test_pages_fit_every_width_turn_dark_and_load_nothing(show: Show) -> None:
    frames = "".join(
        f'<iframe title="{name}" width="{width}" height="900" '
        f'style="border:0;color-scheme:{scheme}" '
        f'srcdoc="{escape(to_html(report, for_mail=for_mail))}"></iframe>'
        for name, (report, for_mail, width, scheme) in PAGES.items()
    )
    seen = show(f"<!DOCTYPE html><body>{frames}<script>{LOOK}</script>", 1500, 2000)
    found = seen.said("found")
    assert len(seen.console) == 1, seen.console  # nothing forbidden, nothing missing
    assert set(found) == set(PAGES)
    for name, page in found.items():
        assert page["wider"] <= 0, name
        assert (page["cut"], page["over"]) == ([], []), name
        assert page["tiles"] <= 0, name
        assert page["ids"] == ([1] * 5 if "cases" in name else []), name  # each on one line
    light, dark = (
        ("rgb(255, 255, 255)", "rgb(28, 33, 39)"),
        ("rgb(21, 25, 30)", "rgb(231, 233, 236)"),
    )
    for name, (_, _, _, scheme) in PAGES.items():
        turned = dark if scheme == "dark" else light
        assert (found[name]["paper"], found[name]["ink"]) == turned, name
    assert distinct_rows(seen.picture) > 500


def distinct_rows(picture: bytes) -> int:
    """How many different lines of pixels a PNG has; a blank one has very few."""
    data, at = b"", 8
    width = int.from_bytes(picture[16:20], "big")
    while at < len(picture):
        length = int.from_bytes(picture[at : at + 4], "big")
        if picture[at + 4 : at + 8] == b"IDAT":
            data += picture[at + 8 : at + 8 + length]
        at += length + 12
    raw = zlib.decompress(data)
    size = width * (4 if picture[25] == 6 else 3) + 1
    return len({raw[start : start + size] for start in range(0, len(raw), size)})
