"""Speed and memory of the main path, measured and held against what was promised."""
