"""Numbers and names as people read them."""

__all__ = ["byte_size", "count", "printable", "share"]

_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


def count(number: int, noun: str) -> str:
    """Return a number of things: ``1 chunk``, ``12,000 chunks``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def byte_size(number: float) -> str:
    """Return a number of bytes with three digits: ``1.5 kB``, ``100 MB``."""
    if number < 1000:
        return count(round(number), "byte")
    value, unit = number / 1000, 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if value >= 99.95 else f"{value:.3g} {_UNITS[unit]}"


def share(part: int, whole: int) -> str:
    """Return a ratio as a percentage. A part that is not zero never rounds to 0 %."""
    if not whole:
        return "0 %"
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 9.95 or not part else f"{percent:.2g} %"


def printable(text: str) -> str:
    """Escape control characters, with which a name from a file could steer a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
