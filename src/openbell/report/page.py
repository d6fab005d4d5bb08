"""The page of a run: one HTML file that needs nothing from outside, now or in ten years.

Assets are inline, or beside the page where a strict content policy forbids inline scripts. Either
way the page carries a policy of its own that allows its own scripts only and no request to
anywhere; everything a strategy or a file said is escaped.
"""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import bokeh
import jinja2
import orjson
from bokeh.embed import json_item
from bokeh.resources import INLINE
from markupsafe import Markup

from openbell.backtest.result import RunResult
from openbell.market.bars import Bars
from openbell.report import contents, text
from openbell.report.panes import Pictures, draw
from openbell.report.timeline import zone_of

_TEMPLATES = Path(__file__).parent / "templates"

# The library may set styles from its script; scripts run only if they are ours.
_POLICY = (
    "default-src 'none'; script-src {}; style-src 'self' 'unsafe-inline'; img-src data: blob:;"
    " base-uri 'none'; form-action 'none'"
)


def write_page(
    result: RunResult,
    bars: Mapping[str, Bars],
    path: Path,
    *,
    assets: Literal["inline", "beside"] = "inline",
) -> list[Path]:
    """Write the report of a run; return the files written, the page first.

    Parameters
    ----------
    bars
        The base bars of the run's range, by instrument; pictures show those the run saw.
    path
        Of the page; its folder must exist.
    assets
        ``beside`` writes scripts and styles as files of their own into the page's folder, so that
        the page works where inline scripts are forbidden (``script-src 'self'``).
    """
    path.write_text(_render(result, bars, is_beside=assets == "beside"), encoding="utf-8")
    if assets == "inline":
        return [path]
    written = [path]
    for name, content in _assets().items():
        (path.parent / name).write_text(content, encoding="utf-8")
        written.append(path.parent / name)
    return written


def _render(result: RunResult, bars: Mapping[str, Bars], *, is_beside: bool) -> str:
    *scripts, style = _assets().items()
    allowed = "'self'" if is_beside else " ".join(_hash(content) for _, content in scripts)
    zone = zone_of(bars)
    return _template().render(
        run=result,
        title=text.title(result.config.strategy, result.config.parameters),
        policy=_POLICY.format(allowed),
        beside=is_beside,
        style=style,
        scripts=scripts,
        zone=zone,
        subtitle=contents.subtitle(result),
        banners=contents.banners(result),
        tiles=contents.tiles(result),
        **_drawn(draw(result, bars)),
        ribbon=contents.ribbon(result),
        quality=contents.quality(result),
        months=contents.months(result),
        figures=contents.figures(result, zone),
        lists=contents.lists(result, bars, zone),
        provenance=contents.provenance(result),
        config=orjson.dumps(result.config.to_dict(), option=orjson.OPT_INDENT_2).decode(),
    )


def _drawn(pictures: Pictures) -> dict[str, Any]:
    if pictures.layout is None:
        return {"pictures": None, "notes": pictures.notes}
    return {
        "pictures": _data(json_item(pictures.layout)),
        "axis": _data(pictures.axis),
        "notes": pictures.notes,
    }


def _data(value: Any) -> Markup:
    """JSON for a data block: nothing in it can end the block or begin a comment."""
    found = orjson.dumps(value).decode().replace("<", "\\u003c").replace("&", "\\u0026")
    return Markup(found)  # noqa: S704  # no < is left in it


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def _assets() -> dict[str, Markup]:
    """The library's script, ours, and the style sheet, by the names they have beside a page."""
    library = next(raw for raw in INLINE.js_raw if "BEGIN bokeh.min.js" in raw)
    return {
        f"bokeh-{bokeh.__version__}.min.js": Markup(library),  # noqa: S704  # the library's own
        "openbell-report.js": _own("page.js"),
        "openbell-report.css": _own("page.css"),
    }


def _own(name: str) -> Markup:
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704  # ours


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return environment.get_template("page.html")
