"""How much memory this process has in use."""

import resource
import sys
from pathlib import Path


def peak_bytes() -> int:
    """The most memory that this process has ever had in use."""
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024


def resident_bytes() -> int:
    """Memory of this process that is in use now; the peak where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return peak_bytes()
    return pages * resource.getpagesize()
