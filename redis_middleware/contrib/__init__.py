"""Limits on single views, for each framework: the decorator or dependency `limit`. It runs the same layer as the edges do."""
