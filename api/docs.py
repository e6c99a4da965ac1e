"""The documentation page: Swagger UI from the wheel, so that it works without the internet."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Daybook API</title>
<link rel="stylesheet" href="docs/static/swagger-ui.css">
<link rel="icon" href="docs/static/favicon-32x32.png">
</head>
<body>
<div id="docs"></div>
<script src="docs/static/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "openapi.json", dom_id: "#docs", deepLinking: true})</script>
</body>
</html>
"""


def static_files() -> Mount:
    """The page's scripts and styles: of the wheel `flask-swagger-ui` only the files, none of its code."""
    package = find_spec("flask_swagger_ui")
    assert package is not None
    assert package.submodule_search_locations
    return Mount("/docs/static", StaticFiles(directory=Path(package.submodule_search_locations[0]) / "dist"))
