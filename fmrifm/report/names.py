"""Names of models and baselines as a person reads them."""

CLASSIFIER = "this classifier"
_NAMES = {
    "majority": "majority class",
    "site": "site only",
    "phenotype": "phenotype only",
    "motion": "motion only",
    "connectome": "connectome, correlation",
    "connectome_partial": "connectome, partial correlation",
    "connectome_tangent": "connectome, tangent space",
    "untrained": "encoder at random initialisation",
    "scratch": "network trained from scratch",
}
BASELINES = frozenset(_NAMES)
IMAGE_FREE = {"phenotype": "phenotype alone", "site": "site alone", "motion": "head motion alone"}
"""Baselines that read no brain signal, as a sentence names them."""
UNTRAINED = "untrained"


def model_name(name: str) -> str:
    """Name of a classifier or baseline for a table or a figure."""
    return _NAMES.get(name, name.replace("_", " "))


def in_text(name: str) -> str:
    """The same name among others of a sentence: without a comma of its own."""
    first, _, kind = model_name(name).partition(", ")
    return f"{first} ({kind})" if kind else first
