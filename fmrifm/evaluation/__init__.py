"""Evaluation that can say no: splits by subject, intervals, baselines on the same folds."""
