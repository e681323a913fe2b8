"""Machinery that every live service uses, written once."""
