"""The layers: a folder each. They know flows, ops and HTTP; they know neither each other nor how a storage works."""
