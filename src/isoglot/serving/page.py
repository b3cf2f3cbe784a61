"""The page, in one file that loads nothing and runs nothing but what it came with."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response


@cache
def _parts() -> tuple[str, str, str]:
    folder = files(__package__) / "templates"
    page, style, script = ((folder / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return page, style, script


@cache
def page_headers() -> dict[str, str]:
    """What the browser is told: the page's own style and script may run, known by their content, and nothing else."""
    _, style, script = map(_source, _parts())
    policy = (
        f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {"Content-Security-Policy": policy}


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


async def page(_request: Request) -> Response:
    """GET /."""
    html, style, script = _parts()
    whole = html.replace("/*style*/", style).replace("/*script*/", script)
    return Response(whole, headers=page_headers(), media_type="text/html")
