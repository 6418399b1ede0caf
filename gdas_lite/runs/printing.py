"""The one place that prints: a line reaches every terminal, file and pipe, whatever code page that has.

Python writes to a redirected stdout in the code page of the system (cp1252, cp932, ascii ...) and raises
UnicodeEncodeError at the first sign that it lacks. No run may end for a sign in its progress line.
"""

import sys
from typing import TextIO

PLAIN = {"·": "-", "±": "+-", "×": "x", "–": "-", "…": "...", "’": "'", "µ": "u"}     # else a question mark


def say(text: object, stream: TextIO | None = None, end: str = "\n") -> None:
    """Writes a line at once, as print does. stream: None is stdout."""
    stream = sys.stdout if stream is None else stream
    if stream is not None:      # there is none in a program without console
        stream.write(printable(f"{text}{end}", stream))
        stream.flush()


def printable(text: str, stream: TextIO) -> str:
    """Returns the text with every sign that the stream cannot hold put in plain letters."""
    encoding, errors = getattr(stream, "encoding", None), getattr(stream, "errors", None) or "strict"
    if not encoding or _holds(text, encoding, errors):
        return text
    return "".join(sign if _holds(sign, encoding, errors) else PLAIN.get(sign, "?") for sign in text)


def _holds(text: str, encoding: str, errors: str) -> bool:
    try:
        text.encode(encoding, errors)
    except (UnicodeEncodeError, LookupError) as problem:
        return isinstance(problem, LookupError)     # of a stream that is no file, under a name of its own
    return True


def counted(epochs: int) -> str:
    """Returns "1 epoch", "2 epochs"."""
    return f"{epochs} epoch" if epochs == 1 else f"{epochs} epochs"


def duration(seconds: float) -> str:
    """Returns seconds in two units at most: "2 d 3 h", "21 h 40 min", "4 min 05 s", "12 s"; below 0 they are 0."""
    whole = max(0, round(seconds))
    for large, long, small, short, form in (
            ("d", 86400, "h", 3600, "d"), ("h", 3600, "min", 60, "02d"), ("min", 60, "s", 1, "02d")):
        if whole >= long:
            return f"{whole // long} {large} {whole % long // short:{form}} {small}"
    return f"{whole} s"
