"""fmrifm: masked pretraining of foundation models on 4D resting-state fMRI."""

__version__ = "0.1.0"
