"""The gateway under abuse: how it is started, what it holds, and whether others are served meanwhile.

What must hold: memory is the kernel's word (VmHWM, reset before each attack), not the process's own; the probe is a client
of its own, with a connection of its own for each request.
"""
import contextlib
import http.client
import json
import pathlib
import re
import subprocess
import threading
import time

MIB = 1 << 20
# The longest that anything is waited for beyond a limit; a failure, never a measure.
PATIENCE = 40
# Sockets that come and go by themselves: the mesh's, those of honest clients.
SPARE = 8

# Limits that cases reckon with. Times in seconds, sizes in bytes: the defaults of docs/config.toml, and small ones for speed.
DEFAULT = dict(head_timeout=10, body_idle=30, stream_idle=300, deadline=15, body_max=8 * MIB, websocket_frame_max=MIB)
SMALL = dict(head_timeout=1, body_idle=1, stream_idle=2, deadline=3, body_max=MIB, websocket_frame_max=64 << 10)


# name -> (what it is, MiB it may cost, settings of its own, the attack)
CASES = {}


def case(what, bound, **own):
    """Registers an attack: it gets the edge and a stack for its connections, and says how it was answered."""
    def add(attack):
        CASES[attack.__name__.replace("_", "-")] = (what, bound if callable(bound) else lambda _limits: bound, own, attack)
        return attack
    return add


class Failed(Exception):
    """What had to hold does not."""


def need(holds, text):
    if not holds:
        raise Failed(text)


def until(what, holds, patience=PATIENCE):
    """Waits for a condition; gives what it gave."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        got = holds()
        if got:
            return got
        time.sleep(0.02)
    raise Failed(f"{what}: not after {patience} s")



class Edge:
    """One gateway before the upstream, with these settings of section [gateway]."""

    def __init__(self, binary, folder, contract, upstream, limits, own):
        self.limits, self.folder = {**limits, **own}, pathlib.Path(folder)
        source = f'[{{upstream="lib",file={json.dumps(str(contract))},access="public"}}]'
        settings = {"gateway.listen": '"127.0.0.1:0"', "admin.listen": '"127.0.0.1:0"', "mesh.mode": '"sidecar"',
                    "mesh.addresses.lib": f'["127.0.0.1:{upstream}"]', "gateway.schema.compiled_in": "false",
                    "gateway.schema.sources": source, "data_dir": json.dumps(str(self.folder / "data")),
                    "engines.redis.url": '"redis://127.0.0.1:1"', "rpc.listen": '"127.0.0.1:0"', "engines.nats.url": '"nats://127.0.0.1:1"'}
        settings |= {f"gateway.rate_{name}": "100000000" for name in ("address", "read", "write", "heavy", "credential")}
        if limits is not DEFAULT:
            settings |= {f"gateway.{name}": self._said(name, limits[name]) for name in limits}
        settings |= {f"gateway.{name}": self._said(name, value) for name, value in own.items()}
        words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        self.log = open(self.folder / "gateway.log", "wb")
        self.process = subprocess.Popen([binary, *words, "serve"], stdout=self.log, stderr=self.log, cwd=folder)
        try:
            self.admin = until("the gateway tells its admin port", self._admin, 60)
            # The wanted address, with port 0, is shown until the socket is bound.
            self.address = until("the gateway listens", self._bound, 60)
            until("the gateway serves", lambda: self.ask() == 200, 60)
        except Exception:
            self.stop()
            raise

    @staticmethod
    def _said(name, value):
        if name in ("head_timeout", "body_idle", "stream_idle", "deadline", "keep_alive"):
            return f'"{value}s"'
        return f'"{value >> 10} KiB"' if name in ("body_max", "bodies_max", "websocket_frame_max") else str(value)

    def _admin(self):
        need(self.process.poll() is None, f"the gateway ended: {self.tail()}")
        found = re.search(r'"admin":"([^":]+):(\d+)"', (self.folder / "gateway.log").read_text())
        return found and (found[1], int(found[2]))

    def _bound(self):
        found = re.search(r'"address": "([^":]+):([1-9]\d*)"', self.page("/listeners"))
        return found and (found[1], int(found[2]))

    def tail(self):
        return (self.folder / "gateway.log").read_text()[-600:].strip()

    def page(self, path):
        connection = http.client.HTTPConnection(*self.admin, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read().decode()

    def listener(self):
        return json.loads(self.page("/listeners"))[0]

    def ask(self, timeout=PATIENCE):
        """One request of an honest client; the status of its answer."""
        connection = http.client.HTTPConnection(*self.address, timeout=timeout)
        with contextlib.closing(connection):
            connection.request("POST", "/v1/echo", b'{"text":"honest"}', {"content-type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
            return answer.status if answer.status != 200 or json.loads(body) == {"text": "honest"} else -1

    def memory(self, name="VmRSS"):
        """MiB."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) / 1024
        raise Failed(f"the gateway has ended: {self.tail()}")

    def descriptors(self):
        """Open files and sockets, by the kernel."""
        return len(list(pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def at_rest(self):
        """Nothing is open and nothing at work, by the admin pages."""
        listener = self.listener()
        gauge = re.search(r"^workos_gateway_requests_in_flight (\S+)", self.page("/metrics"), re.M)
        return listener["connections"]["open"] == 0 and listener["requests"]["at_work"] == 0 and gauge and float(gauge[1]) == 0

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


class Probe:
    """An honest client that asks again and again, each time anew."""

    def __init__(self, edge):
        self.edge, self.served, self.missed, self.slowest = edge, 0, [], 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._end.wait(0.03):
            begin = time.monotonic()
            try:
                status = self.edge.ask(timeout=15)
                if status != 200:
                    self.missed.append(f"status {status}")
            except OSError as error:
                status = None
                self.missed.append(f"{type(error).__name__}")
            except http.client.HTTPException as error:
                status = None
                self.missed.append(f"{type(error).__name__}")
            self.served += status == 200
            self.slowest = max(self.slowest, time.monotonic() - begin)

    def __enter__(self):
        self._thread.start()
        return self

    def satisfied(self):
        """Served three times more while the attack stands."""
        before = self.served
        until("honest clients are served", lambda: self.served >= before + 3 or self.missed)
        need(not self.missed, f"honest clients were not served: {len(self.missed)} of {len(self.missed) + self.served}, {self.missed[:1]}")

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()


