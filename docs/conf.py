"""Settings of the manual (Sphinx, MyST, furo)."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

_DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(_DOCS.parent / "src"), str(_DOCS / "_extensions"), str(_DOCS.parent)]

project = "siprec"
author = "The siprec authors"
project_copyright = "2026, The siprec authors"
version = release = version_of("siprec")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "finding_codes", "conformance"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 3

# Docstrings use single backticks for code, as Markdown does.
default_role = "code"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True, "undoc-members": False}

html_theme = "furo"
html_title = f"siprec {release}"
