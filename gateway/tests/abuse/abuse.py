"""Abuses the running gateway, one case after another, each on a gateway of its own, and prints a table: `run.sh [--default] [CASE...]`.

What must hold in every case: the gateway's memory stays under the case's bound, honest clients are served while the attack
stands, the attack is answered or cut as the limits say, and afterwards connections, requests at work and memory return.
What is listed in known.txt fails for a reason that is known; it is told, and fails the run once it passes.
"""
import contextlib
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile

import bodies  # noqa: F401  (the cases register themselves)
import connections  # noqa: F401
import floods  # noqa: F401
import streams  # noqa: F401
from edge import CASES, DEFAULT, SMALL, SPARE, Edge, Failed, Probe, need, until

HERE = pathlib.Path(__file__).resolve().parent
# What the allocator may keep of an attack's memory.
KEPT_MIB = 32


def run(edge, name):
    """One attack; what it said, and the most memory it took."""
    _, bound, _, attack = CASES[name]
    until("the gateway is at rest", edge.at_rest)
    edge.forget_peak()
    edge.before, edge.files = edge.memory(), edge.descriptors()
    failures, said = [], ""
    with Probe(edge) as probe, contextlib.ExitStack() as hold:
        for step in (lambda: attack(edge, hold), probe.satisfied):
            try:
                said = step() or said
            except Failed as failed:
                failures.append(str(failed))
            except (OSError, EOFError) as error:
                failures.append(f"{type(error).__name__}: {error}")
    peak, limit = edge.memory("VmHWM") - edge.before, bound(edge.limits)
    if peak > limit:
        failures.append(f"memory grew by {peak:.0f} MiB, more than {limit:.0f}")
    try:
        until("connections, requests at work and their gauge return to zero", edge.at_rest, 90)
        until("sockets return", lambda: edge.descriptors() <= edge.files + SPARE)
        # The allocator gives back what is free when it is next at work.
        until(f"memory returns to within {KEPT_MIB} MiB", lambda: edge.ask() == 200 and edge.memory() < edge.before + KEPT_MIB)
    except Failed as failed:
        failures.append(f"{failed}; {edge.memory() - edge.before:.0f} MiB kept")
    return said, failures, f"{edge.before:.0f}", f"+{peak:.1f}", f"{limit:.0f}", f"+{edge.memory() - edge.before:.1f}", f"{probe.served} ({probe.slowest:.1f} s)"


def known(default):
    """Names with their reasons; `name@default` is known to fail only with the default limits."""
    lines = (HERE / "known.txt").read_text().splitlines()
    pairs = (line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith("#"))
    pairs = ((name.partition("@"), why) for name, why in pairs)
    return {name: why for (name, _, when), why in pairs if default or not when}


def contract(root, folder):
    """The descriptor set of abuse.proto."""
    out = pathlib.Path(folder) / "abuse.bin"
    words = [sys.executable, "-m", "grpc_tools.protoc", f"-I{HERE}", f"-I{root}/proto", "--include_imports", f"--descriptor_set_out={out}", "abuse.proto"]
    subprocess.run(words, check=True)
    return out


def judged(name, failures, excused):
    """The word of the table, and whether the run fails by it."""
    if failures:
        return ("known", False) if name in excused else ("FAILED", True)
    return ("PASSES, but is in known.txt", True) if name in excused else ("held", False)


def main(root, binary, words):
    limits = DEFAULT if "--default" in words else SMALL
    names = [word for word in words if not word.startswith("--")]
    need(set(names) <= set(CASES), f"no such case; known are: {' '.join(CASES)}")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    need(most >= 12_000, f"at most {most} open files are allowed here, 12,000 are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    excused, bad, counts = known(limits is DEFAULT), 0, {}
    with tempfile.TemporaryDirectory(prefix="workos-abuse-") as folder:
        set_ = contract(root, folder)
        upstream = subprocess.Popen([sys.executable, HERE / "upstream.py", set_], stdout=subprocess.PIPE, text=True)
        try:
            port = int(upstream.stdout.readline())
            print("case | verdict | MiB before | peak | bound | kept | honest served (slowest) | how it ended")
            for name in names or CASES:
                with tempfile.TemporaryDirectory(dir=folder) as own:
                    edge = Edge(binary, own, set_, port, limits, CASES[name][2])
                    try:
                        said, failures, *row = run(edge, name)
                    except Failed as failed:
                        said, failures, row = "", [str(failed)], ["-"] * 5
                    finally:
                        edge.stop()
                word, fails = judged(name, failures, excused)
                bad += fails
                counts[word] = counts.get(word, 0) + 1
                print(" | ".join((name, word, *row, "; ".join(failures) or said)), flush=True)
        finally:
            upstream.kill()
            upstream.wait()
    print(", ".join(f"{count} {word}" for word, count in counts.items()))
    return 1 if bad else 0


if __name__ == "__main__":
    # What was started is ended also when this is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
    except Failed as failed:
        sys.exit(f"abuse: {failed}")
