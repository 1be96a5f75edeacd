"""One self-contained HTML page over run folders: text, tables and figures, nothing loaded from elsewhere."""
