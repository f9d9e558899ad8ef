"""What `maskdet app` does: load the models, start the server, say where it is."""

import ipaddress
import logging
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from maskdet.app.limits import AppLimits
from maskdet.app.models import open_models

_LOOPBACK_NAMES = ("localhost", "")


def run_app(
    models: Sequence[str | Path] = (),
    host: str = "127.0.0.1",
    port: int = 7860,
    has_two_phase: bool | None = None,
    limits: AppLimits | None = None,
) -> None:
    """Serve the app until it is stopped by Ctrl-C, or by a signal to terminate; nothing of it is left then.

    Args:
        models: Files as `Predictor` takes them; none: the model that ships.
        host: Where to listen. Others can reach the app only where this is no address of the machine itself.
        port: 0: any that is free.
        has_two_phase: Whether the two-phase model is offered; None: where it can be loaded.
        limits: What is accepted; None: the defaults.

    Raises:
        ValueError: If no model can be loaded, the address is taken, or the extra `app` is not installed.
    """
    _require_gradio()
    import uvicorn

    from maskdet.app.server import bound_socket, build_app, work_folder

    limits = limits or AppLimits()
    with bound_socket(host, port) as listening, work_folder() as folder:
        shelf = open_models(models, has_two_phase, limits.threads_a_run)
        address = page_address(host, listening.getsockname()[1])
        app = build_app(shelf, limits, folder, address)
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
        for line in start_lines(host, address, shelf.names, shelf.failures):
            print(line, flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))
        with _stopped_in_order():
            server.run(sockets=[listening])


@contextmanager
def _stopped_in_order() -> Iterator[None]:
    """Let a stop from outside end the block: uvicorn, once it has stopped, raises the signal that stopped it again."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


def page_address(host: str, port: int) -> str:
    """Return the address of the page.

    >>> page_address("::1", 7860)
    'http://[::1]:7860/'
    """
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def start_lines(host: str, address: str, names: Sequence[str], failures: dict[str, str]) -> list[str]:
    """Return what a person reads when the app has started.

    >>> start_lines("127.0.0.1", "http://127.0.0.1:7860/", ["reference"], {})
    ['models:  reference', 'page:    http://127.0.0.1:7860/', 'stop it with Ctrl-C']
    """
    lines = [f"models:  {', '.join(names)}"]
    lines += [f"not offered: {name}: {reason}" for name, reason in failures.items()]
    lines.append(f"page:    {address}")
    if not _is_loopback(host):
        lines.append("note:    whoever reaches this machine can use the page; it has no password")
    return [*lines, "stop it with Ctrl-C"]


def _is_loopback(host: str) -> bool:
    if host in _LOOPBACK_NAMES:
        return bool(host)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _require_gradio() -> None:
    from importlib.util import find_spec

    if find_spec("gradio") is None:
        raise ValueError("the app needs the extra `app`: install maskdet[app]")
