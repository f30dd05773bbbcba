"""Runner of a Faust app, until it is asked to stop."""

from __future__ import annotations

import asyncio

from streams.transport.conf import App


async def run(app: App, stop: asyncio.Event) -> None:
    """Run an app until `stop` is set, then let it finish and commit.

    Raises:
        BaseException: the error that crashed the app, even during its stop.
        RuntimeError: the app ended without being asked to.
    """
    app.finalize()
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await app.start()
        app_end = asyncio.ensure_future(app.wait_until_stopped())
        await asyncio.wait({stopping, app_end}, return_when=asyncio.FIRST_COMPLETED)
        was_asked = stopping.done()
        app_end.cancel()
    finally:
        stopping.cancel()
        crash = _crash_reason(app)
        try:
            await app.stop()
        except Exception:
            # A crashed app may also fail to stop; the caller must see the crash.
            if crash is None:
                raise
            app.log.exception("The crashed app did not stop in order")
    crash = crash or _crash_reason(app)
    if crash is not None:
        raise crash
    if not was_asked:
        raise RuntimeError("the app ended by itself")


def _crash_reason(app: App) -> BaseException | None:
    """Return the error that crashed the app.

    Agents that are cancelled while another one crashes report their cancellation, perhaps first. Raised, it would end
    the role as if it had been asked to end.
    """
    reason: BaseException | None = app.crash_reason
    return None if isinstance(reason, asyncio.CancelledError) else reason
