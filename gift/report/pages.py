"""How the pages are made of their templates: every value is escaped, and a name that is not there is a fault.

The same values give the same bytes. Left out: what a page says (`gift.report.html`, and the rooms of other pages).
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

HERE = Path(__file__).parent
"""Where the CSS of all pages is, too."""


def page_template(name: str, folder: Path = HERE) -> Template:
    """A template of `folder`, which may include those that lie here."""
    environment = Environment(
        loader=FileSystemLoader([folder, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)
