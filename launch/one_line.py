"""Text for a terminal, which obeys some of what it is sent."""


def one_line(text: str) -> str:
    """What is not printable, such as the line ends or colours in a file's name, is shown as an escape."""
    shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)
