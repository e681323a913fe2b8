"""The live side: long-running services, and what they are made of."""
