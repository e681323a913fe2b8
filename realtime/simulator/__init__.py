"""Stand-ins for hardware: they send what a device would."""
