# SPDX-License-Identifier: Apache-2.0

"""How Sphinx builds these pages: `make docs`. Nothing is fetched; every warning is an error."""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "privacy"), str(ROOT / "crypto")]

from secure_fedmeta import __version__  # noqa: E402 - the path comes first

project = "secure-fedmeta"
copyright = "the secure-fedmeta authors, Apache-2.0"  # noqa: A001 - Sphinx's name
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"secure-fedmeta {__version__}"
html_copy_source = False
nitpicky = False

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
# Links to files beside the pages (../SECURITY.md) lead out of the site, as they do in the repository.
suppress_warnings = ["myst.xref_missing"]

autodoc_member_order = "groupwise"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "separated"
default_role = "code"
napoleon_google_docstring = True
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Guarantee", "Units", "Shape", "Source", "Cause", "Remedy"]

_LABELS = "Args|Attributes|Cause|Example|Guarantee|Raises|Remedy|Shape|Source|Units"
_LABEL = re.compile(rf"^(\s*)({_LABELS}):\s*(.*)$")


_NEXT = re.compile(r"(?<=\.)\s{2,}(?=[\w*, ]+:\s)")
_ENTRY = re.compile(r"[\w*]+(?:, [\w*]+)*:\s")


def as_entries(label: str, text: list[str]) -> list[str]:
    """One paragraph as the entries of a section: `a: first.  b: second.` holds two arguments."""
    joined = text[0]
    for line in text[1:]:
        joined += ("  " if joined.endswith(".") and _ENTRY.match(line) else " ") + line
    return _NEXT.split(joined) if label in {"Args", "Attributes", "Raises"} else [joined]


def as_sections(lines: list[str]) -> list[str]:
    """Docstrings of this project may begin a section's text beside its label; napoleon wants it below.

    Bars are escaped outside of examples, since a norm |v| is no substitution.
    """
    result: list[str] = []
    paragraph: list[str] = []
    label, example = "", False

    def flush() -> None:
        if paragraph:
            result.extend(f"    {entry}" for entry in as_entries(label, paragraph))
            paragraph.clear()

    for line in lines:
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        shown = line if example else line.replace("|", r"\|")
        found = _LABEL.match(line)
        if found and not found[1]:
            flush()
            label = found[2]
            result.extend(["", f"{label}:"])
            if found[3]:
                paragraph.append(shown.split(":", 1)[1].strip())
        elif paragraph and line.startswith(" "):
            paragraph.append(shown.strip())
        else:
            flush()
            result.append(shown)
    flush()
    return result


def _rewrite(_app: object, _what: str, _name: str, _thing: object, _options: object, lines: list[str]) -> None:
    lines[:] = as_sections(lines)


def setup(app: Sphinx) -> None:
    """Put the rewriting before napoleon's."""
    app.connect("autodoc-process-docstring", _rewrite, priority=400)
