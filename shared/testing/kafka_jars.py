"""Apache Kafka's jars for development and tests, brought by Maven once and kept in the checkout.

Run as a script it brings them, which `make setup-test` does; `kafka_missing` says why a machine cannot run Kafka.
UPSHOT_KAFKA_JARS names a folder of jars to use instead of Maven. Standard library only, for whoever has no .venv yet.
Next: `kafka.py`.
"""

import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
POM = ROOT / "deploy" / "kafka" / "pom.xml"
LOGGING = ROOT / "deploy" / "kafka" / "log4j2.properties"
CACHE = ROOT / ".kafka"
JARS_VARIABLE = "UPSHOT_KAFKA_JARS"
OLDEST_JAVA = 17
"""Brokers of Kafka 4 need it."""

_MAVEN_SECONDS = 900.0
_PROGRESS_EVERY = 20


class KafkaUnavailableError(Exception):
    """This machine cannot run Kafka; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaJars:
    """`jars` are Kafka's and its libraries'; `state` is ours: what was made from them once and serves every start."""

    java: str
    java_version: str
    jars: Path
    state: Path

    @property
    def class_archive(self) -> Path:
        """Kafka's classes as this very Java keeps them after reading: they need not be read and checked again."""
        return self.state / f"classes-{self.java_version}.jsa"

    @property
    def bootstrap(self) -> Path:
        """The metadata with which a cluster without users begins, as Kafka's storage tool wrote it."""
        return self.state / "bootstrap.checkpoint"

    @property
    def class_path(self) -> str:
        return ":".join(str(jar) for jar in sorted(self.jars.glob("*.jar")))


def kafka_missing() -> str | None:
    """Why Kafka cannot run here, as a sentence; None: it can. Brings the jars if they are not there yet."""
    try:
        prepare()
    except KafkaUnavailableError as error:
        return str(error)
    return None


@functools.cache
def prepare() -> KafkaJars:
    """The jars, brought now if need be; two processes never bring them at once. Raises KafkaUnavailableError."""
    java, version = _java()
    if not POM.exists():
        raise KafkaUnavailableError(
            "Kafka is not tested here: what it is made of is named in a checkout, not in a package"
        )
    given = os.environ.get(JARS_VARIABLE)
    state = CACHE / hashlib.sha256(f"{POM.read_text()}\n{given}".encode()).hexdigest()[:12]
    jars = Path(given).resolve() if given else state / "jars"
    with _locked():
        state.mkdir(exist_ok=True)
        if not given and not jars.is_dir():
            _bring(jars)
    if not any(jars.glob("kafka_*.jar")):
        raise KafkaUnavailableError(f"Kafka is not tested here: {JARS_VARIABLE}={given} holds no kafka_*.jar")
    return KafkaJars(java=java, java_version=version, jars=jars, state=state)


def _java() -> tuple[str, str]:
    """Its command and its full version."""
    java = shutil.which("java")
    if java is None:
        raise KafkaUnavailableError(
            f"Kafka is not tested here: it needs Java {OLDEST_JAVA} or newer, and there is none"
        )
    told = subprocess.run([java, "-version"], check=False, capture_output=True, text=True).stderr
    version = re.search(r'version "((\d+)[^"]*)"', told)
    if version is None or int(version[2]) < OLDEST_JAVA:
        first = told.strip().split("\n")[0]
        raise KafkaUnavailableError(f"Kafka is not tested here: it needs Java {OLDEST_JAVA} or newer; this is {first}")
    return java, version[1]


@contextmanager
def _locked() -> Iterator[None]:
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def _bring(jars: Path) -> None:
    """All or nothing: the folder appears when Maven has finished."""
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailableError(
            f"Kafka is not tested here: its jars come with Maven, and there is no mvn; or name a folder by {JARS_VARIABLE}"
        )
    _say("bringing the broker's jars with Maven")
    arriving = jars.with_name("arriving")
    shutil.rmtree(arriving, ignore_errors=True)
    command = [maven, "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    process = subprocess.Popen(
        [*command, f"-DoutputDirectory={arriving}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None  # asked for
    errors, fetched = [], 0
    for line in process.stdout:
        if line.startswith("Downloaded from"):
            fetched += 1
            if fetched % _PROGRESS_EVERY == 0:
                _say(f"{fetched} files fetched")
        elif line.startswith("[ERROR]"):
            errors.append(line.removeprefix("[ERROR]").strip())
    if process.wait(_MAVEN_SECONDS):
        raise KafkaUnavailableError(
            f"Kafka is not tested here: Maven could not bring its jars: {' '.join(errors)[:600]}"
        )
    arriving.rename(jars)
    _say(f"{sum(1 for _ in jars.iterdir())} jars are ready")


def _say(text: str) -> None:
    sys.stderr.write(f"kafka: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(kafka_missing())
