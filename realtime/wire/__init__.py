"""The messages of the live services, one file for each."""
