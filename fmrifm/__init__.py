"""fmrifm: masked pretraining of foundation models on 4D resting-state fMRI."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmrifm.estimators import Classifier, Embedder
    from fmrifm.hub import from_pretrained, publish, push_to_hub

__version__ = "0.1.0"
__all__ = ["Classifier", "Embedder", "__version__", "from_pretrained", "publish", "push_to_hub"]

_HOME = {
    "Classifier": "fmrifm.estimators",
    "Embedder": "fmrifm.estimators",
    "from_pretrained": "fmrifm.hub",
    "publish": "fmrifm.hub",
    "push_to_hub": "fmrifm.hub",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: `fmrifm --help` need not load PyTorch."""
    if name not in _HOME:
        raise AttributeError(f"module 'fmrifm' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """List them before they are imported, for completion in a notebook."""
    return sorted({*globals(), *__all__})
