"""One HTML document with everything inside, drawn by one template.

Names come from files of strangers, so the template escapes all text, and a content security
policy lets the browser load nothing and run only the one script that is part of the page.
"""

import base64
import hashlib

from jinja2 import Environment, PackageLoader, StrictUndefined

from fmrifm import __version__
from fmrifm.report.content import Page


def document(page: Page) -> str:
    """Draw a page."""
    environment = Environment(
        loader=PackageLoader("fmrifm.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = environment.get_template("sort.js").render()
    return environment.get_template("report.html.j2").render(
        page=page,
        version=__version__,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
