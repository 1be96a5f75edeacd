"""One HTML document with everything inside, drawn by one template.

Names come from files of strangers, so the template escapes all text, and a content security
policy lets the browser load nothing and run only the scripts that are part of the page.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fmrifm import __version__
from fmrifm.report.content import Page, Section

ENVIRONMENT = Environment(
    loader=PackageLoader("fmrifm.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
"""Where templates come from; every text that they show is escaped."""

_SCRIPTS = ("theme.js", "tables.js", "views.js")


def document(page: Page) -> str:
    """Draw a page."""
    script = "".join(ENVIRONMENT.get_template(name).render() for name in _SCRIPTS)
    # A frame inherits the policy of the page, so the page's must name the scripts of its frames.
    framed = [text for view in _views(page.sections) for text in re.findall(r"<script>(.*?)</script>", view, re.DOTALL)]
    return ENVIRONMENT.get_template("report.html.j2").render(
        page=page,
        version=__version__,
        script=Markup(script),  # noqa: S704
        script_hashes=[_hash(text) for text in dict.fromkeys([script, *framed])],
    )


def _views(sections: Sequence[Section]) -> Iterator[str]:
    for section in sections:
        yield from (view.html for view in section.views)
        yield from _views(section.parts)


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
