"""Thin Lightning parts around plain models: modules, data, optimiser, checkpoints."""
