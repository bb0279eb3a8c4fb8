"""Ports for one lab instance: a block that no other instance on this machine has.

Contract: `PortBlock.take()` returns a block whose lock this process holds until `free()` or its
end. All blocks are below the kernel's ephemeral range, so no outgoing socket takes one by chance.
"""

import fcntl
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.lab.root import LabError

FIRST, SIZE, BLOCKS = 12000, 1200, 16  # 12000..31199


@dataclass
class PortBlock:
    """base: SIP, +1: HTTP, +2: carrier, +3: load, +10..199: baresip, then Asterisk's RTP.

    1,000 ports of RTP: 500 legs at once.
    """

    base: int
    _lock: IO[str]

    @classmethod
    def take(cls) -> "PortBlock":
        folder = Path(tempfile.gettempdir()) / "sharedline-lab-ports"
        folder.mkdir(exist_ok=True)
        for base in range(FIRST, FIRST + SIZE * BLOCKS, SIZE):
            lock = (folder / str(base)).open("w")
            if _locked(lock) and _free(base):
                return cls(base, lock)
            lock.close()
        raise LabError(f"all {BLOCKS} port blocks are in use: stop another lab instance")

    @property
    def sip(self) -> int:
        return self.base

    @property
    def http(self) -> int:
        return self.base + 1

    @property
    def trunk(self) -> int:
        return self.base + 2

    @property
    def baresip(self) -> int:
        return self.base + 10

    @property
    def load(self) -> int:
        """The members of a load test."""
        return self.base + 3

    @property
    def rtp_start(self) -> int:
        return self.base + 200

    @property
    def rtp_end(self) -> int:
        return self.base + SIZE - 1

    def free(self) -> None:
        self._lock.close()


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _free(base: int) -> bool:
    """An Asterisk whose owner was killed may still be there, with no lock."""
    try:
        for port, kind in ((base, socket.SOCK_DGRAM), (base + 1, socket.SOCK_STREAM)):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
                probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
