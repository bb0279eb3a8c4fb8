"""Load with SIPp: many callers at a given rate, and members that answer at once.

Contract: `run_callers(...)` blocks until its calls are over and returns what SIPp counted; within
`with auto_answer(asterisk, names):` the named phones answer at once. Each SIPp has no terminal, a
receive timeout and an outer deadline, and is ended by its pid.
"""

import contextlib
import csv
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.asterisk import AsteriskInstance
from tests.lab.root import LabError, ensure_packages, say

RECEIVE_TIMEOUT_MS = 20_000
STOP_DEADLINE_S = 5.0
SDP = """v=0
o=sipp 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000"""
ANSWER = """[last_Via:]
[last_From:]
[last_To:];tag=[pid]L[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port]>"""
REQUEST = """Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
From: <sip:+4917[call_number]@[local_ip]:[local_port]>;tag=[pid]C[call_number]
Call-ID: [call_id]
Contact: <sip:load@[local_ip]:[local_port]>
Max-Forwards: 70"""


@dataclass(frozen=True)
class LoadResult:
    """What SIPp counted; `answer_ms` are the times from INVITE to 200 of each answered call."""

    successful: int
    failed: int
    answer_ms: list[float] = field(default_factory=list, repr=False)

    def percentile(self, share: float) -> float:
        """E.g. 0.5 or 0.99, in milliseconds."""
        if not self.answer_ms:
            raise LabError("no call was answered: no percentile")
        ordered = sorted(self.answer_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def run_callers(
    asterisk: AsteriskInstance, number: str, *, rate: float, calls: int, hold_ms: int
) -> LoadResult:
    """`calls` callers at `rate` a second dial `number`, hold, and hang up."""
    ensure_packages(["sip-tester"])
    deadline_s = calls / rate + (hold_ms + 2 * RECEIVE_TIMEOUT_MS) / 1000
    with tempfile.TemporaryDirectory(prefix="sharedline-sipp-") as folder:
        scenario = _write(Path(folder), "caller.xml", _caller(hold_ms))
        command = [
            *_sipp(scenario),
            *("-s", number, "-r", str(rate), "-rp", "1000", "-m", str(calls)),
            *("-l", str(max(calls, 1)), "-trace_rtt", "-rtt_freq", "1"),
            *("-timeout", f"{int(deadline_s)}s", f"127.0.0.1:{asterisk.sip_port}"),
        ]
        say(f"{calls} calls at {rate:g}/s")
        process = _start(command, Path(folder))
        try:
            process.wait(deadline_s + STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            say("SIPp did not end in time, its counts are those of now")
        finally:
            _stop(process)
        return _result(Path(folder))


@contextlib.contextmanager
def auto_answer(
    asterisk: AsteriskInstance, names: Sequence[str], *, ring_ms: int = 0
) -> Iterator[None]:
    """These phones (made here, as pushed endpoints with a fixed contact) answer after `ring_ms`."""
    ensure_packages(["sip-tester"])
    with tempfile.TemporaryDirectory(prefix="sharedline-sipp-") as folder:
        scenario = _write(Path(folder), "member.xml", _member(ring_ms))
        port = asterisk.ports.load
        process = _start([*_sipp(scenario), "-p", str(port)], Path(folder))
        try:
            for name in names:
                asterisk.push_phone(name, contact=f"sip:{name}@127.0.0.1:{port}")
            if process.poll() is not None:
                raise LabError(f"SIPp did not start: {_tail(Path(folder))}")
            yield
        finally:
            _stop(process)
            for name in names:
                asterisk.remove_phone(name)


# -- SIPp itself


def _sipp(scenario: Path) -> list[str]:
    return [
        *("sipp", "-sf", str(scenario), "-i", "127.0.0.1", "-mi", "127.0.0.1", "-nostdin"),
        *("-trace_stat", "-stf", str(scenario.with_name("stat.csv")), "-fd", "1"),
        *("-recv_timeout", str(RECEIVE_TIMEOUT_MS)),
    ]


def _start(command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "sipp.log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _result(folder: Path) -> LoadResult:
    rows = _rows(folder / "stat.csv")
    if not rows:
        raise LabError(f"SIPp counted nothing: {_tail(folder)}")
    times = [row for path in folder.glob("*_rtt.csv") for row in _rows(path)]
    return LoadResult(
        successful=int(rows[-1]["SuccessfulCall(C)"]),
        failed=int(rows[-1]["FailedCall(C)"]),
        answer_ms=[float(row["response_time_ms"]) for row in times],
    )


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def _tail(folder: Path) -> str:
    text = (folder / "sipp.log").read_text(errors="replace").strip()
    return text[-200:] or "no output"


# -- scenarios


def _write(folder: Path, name: str, steps: str) -> Path:
    path = folder / name
    path.write_text(f'<?xml version="1.0"?>\n<scenario name="{name}">\n{steps}\n</scenario>\n')
    return path


def _send(start: str, headers: str, body: str = "", options: str = "") -> str:
    typed = "\nContent-Type: application/sdp" if body else ""
    text = f"{start}\n{headers}{typed}\nContent-Length: [len]\n\n{body}"
    return f"<send {options}><![CDATA[\n{text}\n]]></send>"


def _caller(hold_ms: int) -> str:
    number = "sip:[service]@[remote_ip]:[remote_port]"
    target = f"{number} SIP/2.0"
    fresh = f"{REQUEST}\nTo: <{number}>"
    known = f"{REQUEST}\nTo: <{number}>[peer_tag_param]"
    steps = [
        _send(f"INVITE {target}", f"{fresh}\nCSeq: 1 INVITE", SDP, 'retrans="500" start_rtd="1"'),
        *(f'<recv response="{code}" optional="true"/>' for code in (100, 180, 183)),
        '<recv response="200" rtd="1"/>',
        _send(f"ACK {target}", f"{known}\nCSeq: 1 ACK"),
        f'<pause milliseconds="{hold_ms}"/>',
        _send(f"BYE {target}", f"{known}\nCSeq: 2 BYE", options='retrans="500"'),
        '<recv response="200"/>',
    ]
    return "\n".join(steps)


def _member(ring_ms: int) -> str:
    ringing = [
        _send("SIP/2.0 180 Ringing", ANSWER),
        f'<pause milliseconds="{ring_ms}"/>',
    ]
    steps = [
        '<recv request="INVITE"/>',
        *(ringing if ring_ms else []),
        _send("SIP/2.0 200 OK", ANSWER, SDP, 'retrans="500"'),
        '<recv request="ACK"/>',
        # a call may last long: no receive timeout here
        '<recv request="BYE" timeout="3600000"/>',
        _send("SIP/2.0 200 OK", ANSWER.replace(";tag=[pid]L[call_number]", "")),
    ]
    return "\n".join(steps)
