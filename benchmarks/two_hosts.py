"""Two hosts on one machine: trains across two network namespaces, kills one side, and goes on from the checkpoint.

    sudo python benchmarks/two_hosts.py            # needs the command `ip` and the right to make namespaces

Each "host" is a namespace with an address of its own; a pair of virtual network cards is all that joins them, so that
nothing but the network carries what they say to each other. What is shown: that the two train, how long the survivor
takes to notice that the other was killed and what it says, how long when the link is cut instead, and that resuming on
both ends where an uninterrupted run in one process ends, in double precision.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file

HOSTS = ("cardigan-a", "cardigan-b")
ADDRESSES = ("10.77.0.1", "10.77.0.2")
PORT = 29517
CARDIGAN = [sys.executable, "-m", "cardigan"]
BATCH = 32
ENGINE = ["engine.device=cpu", "engine.precision=fp64", "engine.matmul=highest", "engine.threads=1"]
RECIPE = ["digits", f"training.batch={BATCH}", "health.interval=null", "records.first_grid=100M", *ENGINE]


def main() -> None:
    """Show it, and end with an error where something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=3_200, help="budget; a checkpoint at every eighth of it")
    parser.add_argument("--timeout", type=float, default=20, help="engine.timeout, for the link that is cut")
    given = parser.parse_args()
    with namespaces(), tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        options = [*RECIPE, f"training.samples={given.samples}", f"records.checkpoint={given.samples // 8}"]
        alone = subprocess.run([*CARDIGAN, "train", *options, "--out", str(folder / "alone")], check=False)
        assert alone.returncode == 0
        killed = folder / "killed"
        interrupted(killed, "killed", options, given.timeout, kill)
        finish(killed)
        compare(folder / "alone", killed)
        cut = folder / "cut"
        interrupted(cut, "cut off", options, given.timeout, unplug)
        subprocess.run(["ip", "-n", HOSTS[1], "link", "set", "eth", "up"], check=True)
        finish(cut)
        compare(folder / "alone", cut)


@contextmanager
def namespaces() -> Iterator[None]:
    """Two network namespaces, joined by a pair of virtual cards named eth; removed afterwards."""
    try:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "add", host], check=True)
        a, b = HOSTS
        subprocess.run(
            f"ip link add eth netns {a} type veth peer name eth netns {b}".split(),
            check=True,
        )
        for host, address in zip(HOSTS, ADDRESSES, strict=True):
            subprocess.run(f"ip -n {host} addr add {address}/24 dev eth".split(), check=True)
            for card in ("lo", "eth"):
                subprocess.run(["ip", "-n", host, "link", "set", card, "up"], check=True)
        yield
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "del", host], check=False)


def started(host: int, *arguments: str) -> "subprocess.Popen[str]":
    """`cardigan` on one of the hosts, as somebody logged in there would start it."""
    told = {
        "MASTER_ADDR": ADDRESSES[0],
        "MASTER_PORT": str(PORT),
        "NODE_RANK": str(host),
        "GLOO_SOCKET_IFNAME": "eth",
        "OMP_NUM_THREADS": "1",
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # namespaces have no names for their addresses, of which torch warns
    }
    command = ["ip", "netns", "exec", HOSTS[host], *CARDIGAN, *arguments]
    return subprocess.Popen(command, env={**os.environ, **told}, stderr=subprocess.PIPE, text=True)


def kill(second: "subprocess.Popen[str]") -> None:
    """The second host's process is gone."""
    second.kill()


def unplug(second: "subprocess.Popen[str]") -> None:
    """Nothing reaches the second host any more, and nobody is told."""
    subprocess.run(["ip", "-n", HOSTS[1], "link", "set", "eth", "down"], check=True)


def interrupted(
    folder: Path, what: str, options: list[str], timeout: float, harm: Callable[["subprocess.Popen[str]"], None]
) -> None:
    """Train into `folder` on both hosts until the second checkpoint; then `harm` one, and see what the other says."""
    arguments = ["train", *options, "--out", str(folder), "engine.nodes=2", f"engine.timeout={timeout}"]
    hosts = [started(host, *arguments) for host in range(2)]
    while len(list((folder / "checkpoints").glob("0*"))) < 2:
        assert hosts[0].poll() is None, hosts[0].communicate()[1]
        time.sleep(0.05)
    began = time.monotonic()
    harm(hosts[1])
    said = hosts[0].communicate(timeout=10 * timeout)[1]
    took = time.monotonic() - began
    print(f"{what}: the first host ended after {took:.1f} s, saying")
    print("   ", said.strip())
    assert hosts[0].returncode == 2 and said.count("\n") == 1, said
    hosts[1].communicate(timeout=10 * timeout)  # cut off, it ends likewise


def finish(folder: Path) -> None:
    """Resume the run in `folder` on both hosts."""
    hosts = [started(host, "resume", str(folder)) for host in range(2)]
    said = [host.communicate()[1] for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0], said


def compare(alone: Path, both: Path) -> None:
    """Print how far apart the weights of two runs lie."""
    apart = 0.0
    newest = [max((each / "checkpoints").glob("0*")) / "players.safetensors" for each in (alone, both)]
    one, two = (load_file(each) for each in newest)
    for name, value in one.items():
        apart = max(apart, float((value.double() - two[name].double()).abs().max()))
    print(f"{both.name}: resumed on both, weights at most {apart:.1e} from those of one process that was left alone")
    assert newest[0].parent.name == newest[1].parent.name and apart < 1e-9 and torch.tensor(apart).isfinite()


if __name__ == "__main__":
    main()
