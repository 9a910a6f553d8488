"""Becomes another program that dies with its parent: `launch.py PARENT_PID PROGRAM ARGUMENT...`.

A supervisor killed by SIGKILL can't stop anybody, so the kernel does it (Linux: PR_SET_PDEATHSIG, which survives exec).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Make the pact, then exec; a parent that died before the pact is noticed by its id."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL):
        sys.exit("prctl refused the parent-death signal")
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    os.execvp(program[0], program)  # noqa: S606  the supervisor's own argument list


if __name__ == "__main__":
    main()
