# SPDX-License-Identifier: Apache-2.0
"""Build a peer's own virtual environment under .peers/, apart from the project's: their pins exclude each other.

python benchmarks/peers/build.py flower torchopt

Needs a package index that carries the versions in <peer>.txt. A complete environment is left as it is; one that cannot
be built ends the command with the reason on stderr and a non-zero exit status. Standard library only.
"""

import argparse
import email
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / ".peers"


@dataclass(frozen=True)
class Peer:
    """What to install and how to see that it works."""

    package: str
    loosened: tuple[str, ...]  # dependencies whose required versions are not published: any version will do
    proof: str  # Python that runs in the finished environment
    beside: tuple[str, ...] = ()  # installed before it: what its benchmark needs, and the CPU build of what it wants


PEERS = {
    "flower": Peer(
        package="flwr==1.42.0",
        loosened=("certifi",),  # root certificates of a network connection, which no benchmark opens
        proof="from flwr.client.mod import secaggplus_mod; from flwr.server.workflow import SecAggPlusWorkflow",
    ),
    "nvflare": Peer(
        package="nvflare==2.9.0",
        loosened=(),
        proof="import tenseal; from nvflare.app_opt.he.model_encryptor import HEModelEncryptor",
        beside=("torch==2.13.0", "tenseal==0.3.18", "numpy"),
    ),
    "pfl": Peer(
        package="pfl==0.6.0",
        loosened=(),
        proof="import pfl.model.pytorch, pfl.aggregate.simulate, sklearn",
        beside=("torch==2.13.0", "scikit-learn"),
    ),
    "torchopt": Peer(
        package="torchopt==0.7.3",
        loosened=("functorch",),  # part of torch since 2.0
        proof="import torchopt; torchopt.MetaSGD; torchopt.extract_state_dict",
    ),
}


class NotBuiltError(Exception):
    """The environment cannot be built; the message says why."""


def run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise NotBuiltError(f"`{' '.join(map(str, command))}` ended with {done.returncode}:\n{said}")


def requirements(metadata: str, loosened: tuple[str, ...]) -> list[str]:
    """A wheel's dependencies without its extras', the loosened ones by their bare name."""
    wanted = []
    for line in email.message_from_string(metadata).get_all("Requires-Dist", []):
        if "extra ==" in line:
            continue
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        wanted.append(name if name.lower() in loosened else line)
    return wanted


def metadata_of(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return archive.read(name).decode()


def build(name: str) -> Path:
    """Return the environment's Python, having built the environment if it is missing or its pins have changed."""
    peer, pins, folder = PEERS[name], HERE / f"{name}.txt", ENVIRONMENTS / name
    python, stamp = folder / "bin" / "python", folder / "complete"
    state = hashlib.sha256(f"{peer} {sys.version}".encode() + pins.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == state:
        return python
    if folder.exists():
        shutil.rmtree(folder)
    print(f"building {folder} with {peer.package} (a minute or two) ...", file=sys.stderr)
    run(sys.executable, "-m", "venv", folder)
    pip = (python, "-m", "pip", "--disable-pip-version-check", "-q")
    if peer.beside:
        run(*pip, "install", "-c", pins, *peer.beside)
    with tempfile.TemporaryDirectory() as held:
        run(*pip, "download", "--no-deps", "--only-binary", ":all:", "-d", held, peer.package)
        (wheel,) = Path(held).glob("*.whl")
        # pip refuses the wheel's own dependencies where a loosened one is among them: first they, then the wheel alone.
        run(*pip, "install", "-c", pins, *requirements(metadata_of(wheel), peer.loosened))
        run(*pip, "install", "--no-deps", wheel)
    run(python, "-c", peer.proof)
    stamp.write_text(state)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="+", choices=PEERS)
    failed = []
    for name in parser.parse_args().peers:
        try:
            print(build(name))
        except (NotBuiltError, OSError) as reason:
            failed.append(name)
            print(f"\n{'!' * 80}\nNOT BUILT: the environment of {name}\n{reason}\n{'!' * 80}", file=sys.stderr)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
