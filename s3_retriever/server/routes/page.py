"""``/``: a page for people, one file that loads nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources

from fastapi import APIRouter
from starlette.responses import HTMLResponse

__all__ = ["page_policy", "router"]

router = APIRouter(include_in_schema=False)


@router.get("/")
def page() -> HTMLResponse:
    """The page. It holds no data: what it shows it asks for, with the token it is given."""
    content, headers = _page()
    return HTMLResponse(content, headers=headers)


@cache
def _page() -> tuple[bytes, dict[str, str]]:
    content = (resources.files("s3_retriever.server") / "page.html").read_bytes()
    headers = {
        "Content-Security-Policy": page_policy(content.decode()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
    return content, headers


def page_policy(html: str) -> str:
    """The content security policy under which nothing runs but a page's own script and style.

    Example:
        >>> "script-src 'sha256-ungWv48B" in page_policy("<script></script><style>a{}</style>")
        False
        >>> "script-src 'sha256-47DEQpj8" in page_policy("<script></script><style>a{}</style>")
        True
    """
    sources = {tag: _digest(html, tag) for tag in ("script", "style")}
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{sources['script']}'",
            f"style-src '{sources['style']}'",
            "connect-src 'self'",
            "img-src data:",  # the empty icon
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",  # text cannot become markup by mistake either
            "trusted-types 'none'",
        ]
    )


def _digest(html: str, tag: str) -> str:
    [inside] = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    digest = hashlib.sha256(inside.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
