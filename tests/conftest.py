"""What all tests share: the data they read, and how long properties are tried."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

SAMPLES = Path(__file__).parent / "samples"
SHARED = "OPENBELL_SHARED_DATA"

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=60)
settings.register_profile("nightly", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# Whoever starts the tests in the background may have them ignore what our commands are told with.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

_left_out = pytest.StashKey[int]()


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of data carried in the repository, one folder per source."""
    return SAMPLES


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of data the repository cannot carry; a file missing there is a failure."""
    return Path(os.environ[SHARED])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get(SHARED):
        return
    left_out = [item for item in items if item.get_closest_marker("shared")]
    config.stash[_left_out] = len(left_out)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("shared")]


class Counter:
    """Carries the count from pytest-xdist's workers, which collect, to the process that reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._stash = config.stash

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object, error: object) -> None:
        output: dict[str, int] = getattr(node, "workeroutput", {})
        self._stash[_left_out] = output.get(SHARED, 0)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Counter(config))


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, int] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[SHARED] = session.config.stash.get(_left_out, 0)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if left_out := config.stash.get(_left_out, 0):
        terminalreporter.write_line(
            f"{left_out} tests deselected: they need data the repository cannot carry, "
            f"in the folder named by {SHARED}"
        )
