"""Lines of a test's own file, found by the comments at their ends."""

from pathlib import Path


def marked_line(file: Path, mark: str) -> int:
    """The number of the one line of a file that ends with a mark."""
    lines = file.read_text().splitlines()
    (found,) = [number for number, line in enumerate(lines, 1) if line.endswith(f"# {mark}")]
    return found
