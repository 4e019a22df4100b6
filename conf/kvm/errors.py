"""What keeps the CD from being made, in words."""


class CdError(Exception):
    """A package, a tool or a file is missing; the message says which, and what to do."""
