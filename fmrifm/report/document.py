"""One HTML document with everything inside, drawn by one template.

Names come from files of strangers, so the template escapes all text, and a content security
policy lets the browser load nothing and run only the one script that is part of the page.
"""

import base64
import hashlib
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from fmrifm import __version__
from fmrifm.report.content import Section


def document(
    *,
    title: str,
    about: Sequence[str],
    sections: Sequence[Section],
    banners: Sequence[tuple[str, str]] = (),
    alarms: Sequence[str] = (),
    summary: Sequence[str] = (),
) -> str:
    """Draw a page.

    Args:
        title: Its heading.
        about: What the report is on, above the heading.
        sections: In reading order.
        banners: What a reader must know before any number, as a few words and a sentence each.
        alarms: What may make the numbers wrong, in red.
        summary: Its first words.
    """
    environment = Environment(
        loader=PackageLoader("fmrifm.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = environment.get_template("sort.js").render()
    return environment.get_template("report.html.j2").render(
        title=title,
        about=about,
        banners=banners,
        summary=summary,
        alarms=alarms,
        sections=sections,
        version=__version__,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
