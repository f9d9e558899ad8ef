"""What the events of all tabs share: how a failure is told, and where the page moves."""

import logging
from collections.abc import Awaitable

from maskdet.app.uploads import UploadError
from maskdet.app.wording import message_html
from maskdet.app.work import BusyError

_LOG = logging.getLogger("maskdet.app")


def scroll_to(element_id: str) -> str:
    """Return JavaScript that brings an element into view where it is not: on a phone a result is below the picture."""
    return f"() => {{ document.getElementById('{element_id}').scrollIntoView({{block: 'nearest'}}); }}"


async def told(work: Awaitable[str]) -> tuple[str, str]:
    """Return the name of a result and no message, or no name and the message as HTML.

    Args:
        work: What makes the result.
    """
    try:
        return await work, ""
    except (UploadError, BusyError) as error:
        return "", message_html(str(error))
    except Exception:
        _LOG.exception("an upload could not be worked on")
        return "", message_html("Something went wrong here, and the log of the server says what. Try another file.")
