"""Circuits of the cerebellum: a recurrent scan head and its credit, prediction, and counterfactual control."""
