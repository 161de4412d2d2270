"""How Sphinx makes the site of docs/site/__main__.py's folder."""

from importlib.metadata import version as version_of

project = "Overture"
author = "The Overture authors"
copyright = "The Overture authors, Apache-2.0"
version = release = version_of("overture")
html_title = f"Overture {release}"
extensions = ["myst_parser"]
root_doc = "docs/index"
source_suffix = {".md": "markdown"}
exclude_patterns = ["README.md"]
# Links to headings, as GitHub makes their names.
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_block"]
# What a fence holds is shown even where it is cut short with an ellipsis.
highlight_language = "none"
html_theme = "furo"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#2338c0",
        "color-brand-content": "#2338c0",
        "color-background-primary": "#fffefc",
        "color-background-secondary": "#f6f3ef",
        "font-stack": "system-ui, sans-serif",
    },
    "dark_css_variables": {
        "color-brand-primary": "#9db1ff",
        "color-brand-content": "#9db1ff",
        "color-background-primary": "#17150f",
        "color-background-secondary": "#0f0e0b",
    },
}
