"""From image files to windows in memory: grid, scans, sources, cleaning, store, windows, phantom."""
