"""What can go wrong with a run, in words."""


class MachineError(Exception):
    """The run cannot go on; the message says why."""


class TimeUp(MachineError):
    """What was waited for did not come within its limit."""


class MachineEnded(MachineError):
    """The machine or its emulator ended while something was still expected of it."""


def tail(text: str, lines: int = 12) -> str:
    """The last lines of a log, indented for an error message."""
    return "\n".join("    | " + line for line in text.rstrip().split("\n")[-lines:])
