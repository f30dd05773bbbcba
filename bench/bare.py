"""A minimal Starlette application with the server settings of the API: `python -m bench.bare PORT`."""

from __future__ import annotations

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def show(_: Request) -> JSONResponse:
    """Return a small JSON object."""
    return JSONResponse({"status": "ok"})


def main(port: str) -> None:
    """Serve until a signal stops the process."""
    app = Starlette(routes=[Route("/", show)])
    uvicorn.run(
        app, host="127.0.0.1", port=int(port), loop="uvloop", http="httptools", access_log=False, log_config=None
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
