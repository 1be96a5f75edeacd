"""One file a command: each stage takes its settings, leaves its files, and returns the path it wrote."""
