"""What `sharedline doctor` finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. `todo` is empty when all is well."""

    check: str
    says: str
    todo: str = ""


def from_error(check: str, error: Exception, otherwise: str) -> Finding:
    """Our own errors mostly end with what to do, after a colon."""
    says, _, todo = str(error).rpartition(": ")
    if todo.startswith(("run ", "restore ", "upgrade ", "set ", "use ")):
        return Finding(check, says, todo)
    return Finding(check, str(error), otherwise)
