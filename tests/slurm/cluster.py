"""A Slurm of our own on this host: munged, slurmctld and two nodes, all children of the test run.

Needs root, and Debian's slurm-wlm and munge. Everything lies in one scratch folder but
/etc/slurm/{slurm,gres}.conf: Snakemake's plugin strips SLURM_CONF from the environment. A
configuration there that isn't ours is left alone, and then there is no cluster. GPUs are pretended
on devices such as /dev/null, so that Slurm really hands out CUDA_VISIBLE_DEVICES.
"""

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ETC = Path("/etc/slurm")
MARK = "# made by the tests of kgtextvec\n"
PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel")
CONFIG = """
ClusterName=kgtextvec
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=50000
KillWait=5
MinJobAge=600
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
NodeName=cpu0 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=16 RealMemory=200000
NodeName=gpu0 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=16 RealMemory=200000 \
Gres=gpu:4
PartitionName=cpu Nodes=cpu0 Default=YES PriorityTier=10
PartitionName=gpu Nodes=gpu0 PriorityTier=10
PartitionName=scavenge Nodes=gpu0 PriorityTier=1
"""
GRES = "".join(
    f"NodeName=gpu0 Name=gpu File=/dev/{name}\n" for name in ("null", "zero", "full", "random")
)


def what_is_missing() -> str:
    """Say why there can be no cluster here; nothing if there can."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian: slurm-wlm munge)"
    if os.geteuid():
        return "Slurm's daemons need root"
    config = ETC / "slurm.conf"
    if config.exists() and not config.read_text().startswith(MARK):
        return f"{config} belongs to a Slurm that is not ours"
    return ""


class Cluster:
    """Starts on entering, stops on leaving; whatever still runs then is cancelled."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kgtextvec-slurm-"))
        self.daemons: list[subprocess.Popen] = []

    def __enter__(self) -> "Cluster":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()

    def start(self) -> None:
        self.folder.chmod(0o755)
        for name in ("state", "spool-cpu0", "spool-gpu0"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        at = self.folder
        self.daemon(
            "munged", "--foreground", "--force", f"--key-file={key}",
            f"--socket={at}/munge.socket", f"--pid-file={at}/munged.pid",
            f"--log-file={at}/munged.log", f"--seed-file={at}/munged.seed",
        )  # fmt: skip
        self.wait_for("munged", lambda: (at / "munge.socket").exists())
        host = socket.gethostname().split(".")[0]
        ETC.mkdir(exist_ok=True)
        config = CONFIG.format(host=host, folder=at, ports=free_ports(3))
        (ETC / "slurm.conf").write_text(MARK + config)
        (ETC / "gres.conf").write_text(MARK + GRES)
        self.daemon("slurmctld", "-D", "-c")
        self.wait_for("slurmctld", lambda: "is UP" in say("scontrol", "ping"))
        for node in ("cpu0", "gpu0"):
            self.daemon("slurmd", "-D", "-N", node)
        self.wait_for("nodes", lambda: say("sinfo", "-hN", "-o", "%t").split() == ["idle"] * 3)

    def stop(self) -> None:
        if len(self.daemons) > 1:
            say("scancel", "--full", "--signal=KILL", "--user=root")
            say("scancel", "--user=root")
            until = time.monotonic() + 20
            while say("squeue", "-h").strip() and time.monotonic() < until:
                time.sleep(0.2)
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in reversed(self.daemons):
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for name in ("slurm.conf", "gres.conf"):
            config = ETC / name
            if config.exists() and config.read_text().startswith(MARK):
                config.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def daemon(self, name: str, *words: str) -> None:
        path = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
        program = shutil.which(name, path=path)
        assert program is not None
        with (self.folder / f"{name}.out").open("a") as out:
            self.daemons.append(
                subprocess.Popen(
                    [program, *words],
                    stdout=out,
                    stderr=out,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,  # a Ctrl-C is for the tests, which then stop all this
                    preexec_fn=die_with_parent,
                )
            )

    def wait_for(self, what: str, ready: Callable[[], bool], seconds: float = 30.0) -> None:
        until = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > until or any(d.poll() is not None for d in self.daemons):
                told = [f"{p.name}: {p.read_text()[-800:]}" for p in self.folder.glob("*.out")]
                raise AssertionError(f"{what} did not come up\n" + "\n".join(told))
            time.sleep(0.1)


def say(*words: str) -> str:
    """Run one of Slurm's commands; returns what it prints, whatever comes of it."""
    return subprocess.run(words, capture_output=True, text=True, timeout=60).stdout


def die_with_parent() -> None:
    """Let the kernel end a daemon when the test run ends, killed or not."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def free_ports(n: int) -> list[int]:
    """Ports of the loopback that nothing listens on."""
    sockets = [socket.socket() for _ in range(n)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
