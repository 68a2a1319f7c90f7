"""The page after a login: no script, nothing loaded, every word escaped."""

import base64
import hashlib
from html import escape

from aiohttp import hdrs, web

STYLE = """
:root { color-scheme: light dark;
  --paper: #f6f7f9; --card: #fff; --ink: #1b1f24; --soft: #5b6470; --line: #e3e6ea }
@media (prefers-color-scheme: dark) {
  :root { --paper: #111418; --card: #1a1f25; --ink: #eef1f4; --soft: #9aa4b0; --line: #2a313a }
}
body { margin: 0; min-height: 100vh; display: grid; place-items: center;
  background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 26rem; margin: 1.5rem; padding: 2.5rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 16px; text-align: center;
  box-shadow: 0 8px 30px rgb(0 0 0 / 6%) }
.mark { width: 3.5rem; height: 3.5rem; margin: 0 auto 1.25rem; border-radius: 50%; display: grid;
  place-items: center; font-size: 1.75rem; color: #fff }
.good { background: #1a9c5b } .bad { background: #cf3f3f }
h1 { margin: 0 0 .5rem; font-size: 1.35rem; overflow-wrap: anywhere }
p { margin: .5rem 0 0; color: var(--soft); overflow-wrap: anywhere }
""".strip()

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<div class="mark {kind}" aria-hidden="true">{mark}</div>
<h1>{title}</h1>
<p>{text}</p>
<p>You can close this page.</p>
</main>
</body>
</html>
"""

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    hdrs.CACHE_CONTROL: "no-store",
}


def page(server: str | None, problem: str | None) -> web.Response:
    """`server` may be unknown; without a `problem` the login worked."""
    if problem is None:
        title = f"{server} is connected"
        text = "The gateway keeps this login, encrypted, and renews it by itself."
    else:
        title = f"{server} is not connected" if server else "This login can not be finished"
        text = problem
    body = PAGE.format(
        title=escape(title),
        text=escape(text),
        style=STYLE,
        kind="bad" if problem else "good",
        mark="!" if problem else "✓",
    )
    return web.Response(
        text=body, content_type="text/html", charset="utf-8", status=400 if problem else 200, headers=HEADERS
    )
