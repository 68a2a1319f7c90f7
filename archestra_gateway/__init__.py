"""The one local daemon through which a person's AI talks to the world."""

__version__ = "0.1.0"
