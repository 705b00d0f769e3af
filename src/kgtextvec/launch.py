"""`kgtextvec run` and `demo`: the workflow without a checkout."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn

from kgtextvec import __version__
from kgtextvec.errors import InputError
from kgtextvec.files import whole_file
from kgtextvec.locations import project_folder
from kgtextvec.progress import say
from kgtextvec.signals import STOPPING
from kgtextvec.snakemake_words import directory_in, option_in, value_of, with_words
from kgtextvec.versions import check_version
from kgtextvec.yaml_files import CONFIG_FILES, check_yaml_files, read_yaml

CONFIGS = ("config.yaml", "config/config.yaml")
# A remote job finds this file in the folder that it unpacks, and the workflow in its own package.
SNAKEFILE = Path(".kgtextvec/Snakefile")
LAUNCHER = """# Written by kgtextvec run: the workflow of the installed package.
from kgtextvec.launch import included_snakefile


include: included_snakefile("{version}")


rule default:
    default_target: True
    input:
        rules.all.input,
    localrule: True
"""
# Words that say how many jobs run at once; without any of them all cores are used.
SIZES = ("-c", "--cores", "-j", "--jobs", "--profile", "--workflow-profile", "-e", "--executor")
# Attempts of Snakemake's S3 plugin, a few minutes in all; by its default it gives up in 15 seconds.
S3_ATTEMPTS = 20
EXECUTORS = ("local", "dryrun", "touch")  # those without a plugin of their own
DEMO_RESULTS = (
    ("overview", "index.html"),
    ("vectors", "all-MiniLM-L6-v2/entities/pca64/embeddings.npy"),
    ("map", "all-MiniLM-L6-v2/entities/pca64/map.html"),
    ("notebook", "all-MiniLM-L6-v2/entities/pca64/explore.html"),
    ("quality", "texts/entities/quality.html"),
    ("comparison", "compare.html"),
)


def run(
    *snakemake: Annotated[
        str,
        "a config file as --config FILE (default: config.yaml or config/config.yaml of this"
        " folder), and any of snakemake's own options, which are passed on",
    ],
) -> None:
    """Run the workflow in this folder: snakemake with the Snakefile of the installed package.

    All cores are used unless an option says otherwise. Without --workflow-profile the package's
    profile `default` is used; its other profiles can be given by name (--workflow-profile slurm).
    Raises InputError when there is no config file.
    """
    words = with_config(snakemake)
    if not any(option_in(words, name) for name in SIZES):
        words = with_words(words, "--cores", "all")
    words = with_profile(words)
    check_yaml_files(words)
    check_plugins(words)
    check_bucket(words)
    start_snakemake(with_retries(words))


def demo(
    *snakemake: Annotated[str, "any of snakemake's own options, which are passed on"],
) -> None:
    """Run the complete workflow in this folder on the sample that comes with the package, offline.

    Maps and notebooks are made if their packages are installed (the extra `maps`).
    """
    words = with_words(snakemake, "--configfile", str(project_folder() / "config/demo.yaml"))
    if not any(option_in(words, name) for name in SIZES):
        words = with_words(words, "--cores", "all")
    made = [name for name, _ in DEMO_RESULTS]
    if not has_maps():
        say("maps and notebooks are left out: pip install 'kgtextvec[maps]' adds them")
        words = with_words(words, "--config", "report={maps: false, notebooks: false}")
        made = ["vectors", "quality", "comparison"]
    code = wait_for_snakemake(with_profile(words))
    if code:
        sys.exit(code)
    for name, path in DEMO_RESULTS:
        if name in made and (Path("results") / path).exists():
            say(f"{name + ':':12}results/{path}")


def has_maps() -> bool:
    """Return whether the packages for maps, which notebooks show, are installed."""
    return all(find_spec(name) for name in ("openTSNE", "umap", "pynndescent"))


def with_config(words: Sequence[str]) -> list[str]:
    """Return the words for snakemake, with the config file to use among them.

    --config FILE means --configfile FILE; snakemake's own --config KEY=VALUE stays.
    """
    found = list(words)
    for place, word in enumerate(found[:-1]):
        if word == "--config" and "=" not in found[place + 1]:
            found[place] = "--configfile"
    found = [
        word.replace("--config=", "--configfile=", 1)
        if word.startswith("--config=") and word.count("=") == 1
        else word
        for word in found
    ]
    if any(option_in(found, name) for name in CONFIG_FILES):
        return found
    for name in CONFIGS:
        if (directory_in(found) / name).is_file():
            return with_words(found, "--configfile", str(directory_in(found) / name))
    raise InputError(
        "no config.yaml in this folder. Write one with `kgtextvec init FILE…`, or name one with"
        " --config FILE."
    )


def with_profile(words: Sequence[str]) -> list[str]:
    """Return the words with the package's profile: `default`, or the one that is named.

    A folder of that name in the working directory comes first. Raises InputError when there is
    neither.
    """
    profiles = project_folder() / "profiles"
    found = list(words)
    if not option_in(found, "--workflow-profile"):
        if (directory_in(found) / "profiles/default").is_dir():
            profiles = directory_in(found) / "profiles"
        return with_words(found, "--workflow-profile", str(profiles / "default"))
    for place, word in enumerate(found):
        name, equals, value = word.partition("=")
        value = value if equals else "".join(found[place + 1 : place + 2])
        if name != "--workflow-profile" or Path(value).exists():
            continue
        if (profiles / value).is_dir():
            packaged = str(profiles / value)
            found[place : place + (1 if equals else 2)] = ["--workflow-profile", packaged]
        elif value != "none" and not Path("profiles", value).exists():
            # Snakemake would go on without it, on this machine.
            names = sorted(one.name for one in profiles.iterdir() if one.is_dir())
            raise InputError(
                f"--workflow-profile {value}: no such folder, and the package has no profile of"
                f" that name. Correct the path, or choose among {', '.join(names)}."
            )
    return found


def check_plugins(words: Sequence[str]) -> None:
    """Check that Snakemake's plugins for the executor and the storage are installed.

    Raises InputError that names the package; Snakemake would list its own options.
    """
    options = ("executor", "default-storage-provider")
    kinds = ("executor", "storage")
    for option, kind, plugin in zip(options, kinds, settings_of_run(words, *options), strict=True):
        if not plugin or plugin in EXECUTORS or plugin == "none":
            continue
        if find_spec(f"snakemake_{kind}_plugin_{plugin.replace('-', '_')}") is None:
            raise InputError(
                f"--{option} {plugin}: its plugin is not installed. Run pip install"
                f" snakemake-{kind}-plugin-{plugin}, or correct the name."
            )


def check_bucket(words: Sequence[str]) -> None:
    """Look once at the bucket of --default-storage-provider s3, if the package can.

    Raises InputError, one line, when it can't be reached or listed; Snakemake would print a
    traceback for every file.
    """
    names = ("default-storage-provider", "default-storage-prefix", "storage-s3-endpoint-url")
    provider, prefix, endpoint = settings_of_run(words, *names)
    if provider != "s3" or not prefix or "SNAKEMAKE_STORAGE_S3_ACCESS_KEY" in os.environ:
        return
    from kgtextvec.embed.bucket import open_bucket

    open_bucket(prefix, endpoint)


def with_retries(words: Sequence[str]) -> list[str]:
    """Return the words with more attempts at requests to S3, unless their number is given.

    A server that answers 503 SlowDown for a minute must not end a run.
    """
    names = ("default-storage-provider", "storage-s3-retries")
    provider, attempts = settings_of_run(words, *names)
    if provider != "s3" or attempts is not None:
        return list(words)
    return with_words(words, "--storage-s3-retries", str(S3_ATTEMPTS))


def settings_of_run(words: Sequence[str], *names: str) -> list[str | None]:
    """Return the values of options: of the words, else of the profile that they name."""
    profile = Path(value_of(words, "workflow-profile") or "") / "profile.yaml"
    of_profile = read_yaml(profile) if profile.is_file() else {}
    return [value_of(words, name) or of_profile.get(name) for name in names]


def snakemake_command(words: Sequence[str]) -> list[str]:
    """Return the command that runs the package's workflow; writes its Snakefile to this folder."""
    snakefile = directory_in(words) / SNAKEFILE
    check_last_version(snakefile)
    text = LAUNCHER.format(version=__version__)
    if not snakefile.is_file() or snakefile.read_text("utf-8") != text:
        with whole_file(snakefile) as part:
            part.write_text(text, "utf-8")
    module = "kgtextvec.start_snakemake"
    return [sys.executable, "-m", module, "--snakefile", str(snakefile), *words]


def check_last_version(snakefile: Path) -> None:
    """Raise InputError if a newer version has run the workflow in this folder.

    An older one would take the newer one's results for outdated, and make them all again.
    """
    text = snakefile.read_text("utf-8") if snakefile.is_file() else ""
    last = re.search(r'included_snakefile\("([\d.]+)"\)', text)
    if last and numbers_in(last[1]) > numbers_in(__version__):
        raise InputError(
            f"{snakefile}: the results here are of kgtextvec {last[1]}, and this is {__version__}."
            " Install that version or a newer one; or delete this file to make all results again."
        )


def numbers_in(version: str) -> list[int]:
    """Return the numbers of a version, which order it: 0.10.1 is [0, 10, 1]."""
    return [int(number) for number in re.findall(r"\d+", version)]


def start_snakemake(words: Sequence[str]) -> NoReturn:
    """Replace this process by snakemake, so that signals and the exit code are its own."""
    command = snakemake_command(words)
    sys.stdout.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # until it can answer
    os.execv(sys.executable, command)


def wait_for_snakemake(words: Sequence[str]) -> int:
    """Run snakemake as a child; return its exit code.

    A Ctrl-C in the terminal is for snakemake, which gets it too; SIGTERM is passed on.
    """
    command = snakemake_command(words)
    sys.stdout.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # until both can answer
    child = subprocess.Popen(command)  # noqa: S603 (our own command, as a list)
    for number in signal.sigpending() & {*STOPPING}:  # it came before there was a child
        child.send_signal(number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: child.send_signal(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    return abs(child.wait())


def included_snakefile(version: str) -> str:
    """Return the path of the installed package's Snakefile; exits with code 2 at another version.

    A run that another version started comes here on a remote machine whose image is older.
    """
    try:
        check_version(version)
    except InputError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        sys.exit(2)
    return str(project_folder() / "Snakefile")
