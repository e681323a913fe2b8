"""The records service: chunks come in, are stored for good, and any window of them goes out."""
