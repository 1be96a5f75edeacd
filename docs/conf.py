"""Settings of the documentation: Sphinx, the pydata theme, and tutorials that run when it is built."""

from fmrifm import __version__

project = "fmrifm"
copyright = "the fmrifm developers"  # noqa: A001 (Sphinx's name for it)
release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
html_theme = "pydata_sphinx_theme"
html_title = "fmrifm"
html_theme_options = {"navigation_with_keys": False, "show_toc_level": 2}
exclude_patterns = ["_build", "tutorials/*.rst"]
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
}
