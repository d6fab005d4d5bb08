"""How strategies are found, described and set, and how a run is configured."""

import json
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest

from openbell.backtest.catalog import built_in, from_instance, load_strategy
from openbell.backtest.config import Costs, RunConfig
from openbell.backtest.strategy import Strategy, param
from openbell.market.errors import BadDataError, UsageError
from tests.backtest.test_run import notebook_class

ONE = """
from openbell.backtest.strategy import Strategy, param


class One(Strategy):
    length: int = param(3, "bars", low=2, high=9)
"""
TWO = ONE + "\n\nclass Two(Strategy):\n    pass\n"


def wrote(folder: Path, text: str) -> str:
    path = folder / "mine.py"
    path.write_text(text)
    return str(path)


# Built in


def test_every_built_in_is_found_by_its_names() -> None:
    for name, cls in built_in().items():
        for ref in (name, name.replace("_", "-"), name.upper(), *cls.names):
            loaded = load_strategy(ref, {})
            assert type(loaded.strategy) is cls
            assert (loaded.name, loaded.ref) == (name, name)
            assert len(loaded.sources) == len(loaded.code.files) == 1


def test_every_example_and_default_fits_its_strategy() -> None:
    for name, cls in built_in().items():
        assert load_strategy(name, {}).strategy.parameters == {
            k: p.default for k, p in cls.describe().items()
        }
        assert cls.examples or name == "buy_and_hold"
        for values in cls.examples.values():
            strategy = load_strategy(name, values).strategy
            assert strategy.parameters == {**load_strategy(name, {}).strategy.parameters, **values}
        for parameter in cls.describe().values():
            assert parameter.about
            assert parameter.check(parameter.default) == parameter.default


def test_a_misspelt_strategy_gets_a_hint() -> None:
    with pytest.raises(UsageError, match="there is no strategy `ema-corss`") as raised:
        load_strategy("ema-corss", {})
    assert "did you mean `ema-cross`?" in raised.value.hint
    with pytest.raises(UsageError) as raised:
        load_strategy("zzz", {})
    assert "buy-and-hold" in raised.value.hint


# Files


def test_a_file_with_one_strategy_needs_no_name(tmp_path: Path) -> None:
    loaded = load_strategy(wrote(tmp_path, ONE), {"length": 4})
    assert (loaded.name, loaded.strategy.parameters) == ("One", {"length": 4})
    assert loaded.sources == {"mine.py": ONE}
    again = load_strategy(loaded.ref, loaded.strategy.parameters)
    assert again.code == loaded.code
    changed = load_strategy(wrote(tmp_path, ONE + "\n# changed\n"), {})
    assert changed.code.hash != loaded.code.hash


def test_a_file_with_several_strategies_needs_a_name(tmp_path: Path) -> None:
    path = wrote(tmp_path, TWO)
    with pytest.raises(UsageError, match="has several strategies") as raised:
        load_strategy(path, {})
    assert raised.value.hint == f"name one: {path}:One"
    assert load_strategy(f"{path}:Two", {}).name == "Two"
    with pytest.raises(UsageError, match="has no strategy `Three`") as raised:
        load_strategy(f"{path}:Three", {})
    assert raised.value.hint == "it has One, Two"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("class X(:\n", BadDataError, r"mine.py is not Python: line 1: invalid syntax"),
        ("x = '\0'", BadDataError, r"mine.py is not Python: .*null bytes"),
        ("import not_there", BadDataError, "mine.py cannot be run: ModuleNotFoundError: No module"),
        ("1 / 0", BadDataError, "mine.py cannot be run: ZeroDivisionError: division by zero"),
        ("x = 1", UsageError, "mine.py has no strategy"),
        ("from openbell.backtest.strategy import Strategy", UsageError, "has no strategy"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as raised:
        load_strategy(wrote(tmp_path, text), {})
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file") as raised:
        load_strategy(str(tmp_path / "gone.py"), {})
    assert "strategy new" in raised.value.hint


def test_a_class_without_a_file_has_no_ref_but_a_code(tmp_path: Path) -> None:
    loaded = from_instance(notebook_class()())
    assert (loaded.ref, loaded.name) == ("", "Typed")
    assert list(loaded.sources) == ["Typed.py"]


# Parameters


class Base(Strategy):
    aliases: ClassVar = {"len": "length"}
    length: int = param(3, "bars", low=2, high=9)
    rate: float = param(0.5, low=0.0)
    word: str = param("a", choices=("a", "b"))
    on: bool = False


class Plain(Base):
    length = 5
    extra: int = 1


def test_parameters_are_described_in_order_and_may_be_set_by_a_subclass() -> None:
    found = Plain.describe()
    assert list(found) == ["length", "rate", "word", "on", "extra"]
    assert Plain().parameters == {"length": 5, "rate": 0.5, "word": "a", "on": False, "extra": 1}
    assert (found["length"].low, found["length"].high, found["length"].about) == (2, 9, "bars")
    assert found["length"].bounds == "from 2 to 9"
    assert found["rate"].bounds == "0 or more"

    class Wrong(Base):
        length = 10

    with pytest.raises(UsageError, match="length is 10"):
        Wrong()


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"lenght": 3}, "Base has no parameter `lenght`", "did you mean `length`?"),
        ({"zzz": 3}, "Base has no parameter `zzz`", "it has length, rate, word, on"),
        ({"length": 1}, "length is 1", "it must be from 2 to 9"),
        ({"len": 10}, "length is 10", "it must be from 2 to 9"),
        ({"length": 2.5}, "length is 2.5", "it must be int"),
        ({"length": True}, "length is True", "it must be int"),
        ({"length": "3"}, "length is '3'", "it must be int"),
        ({"rate": -0.1}, "rate is -0.1", "it must be 0 or more"),
        ({"word": "c"}, "word is 'c'", "use one of a, b"),
        ({"on": 1}, "on is 1", "it must be bool"),
    ],
)
def test_values_that_do_not_fit_are_refused(given: Any, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        Base(**given)
    assert (raised.value.message, raised.value.hint) == (message, hint)


def test_numbers_are_taken_as_the_type_that_is_meant() -> None:
    assert Base(length=4.0, rate=1, len=4).parameters["length"] == 4
    assert isinstance(Base(length=4.0).parameters["length"], int)
    assert isinstance(Base(rate=1).parameters["rate"], float)


# The configuration of a run


def test_a_configuration_survives_json() -> None:
    config = RunConfig(
        "ema-cross", ("XNYS:SPY/1m@1",), {"fast": 3, "short": True}, start="2011-03-07",
        costs=Costs(fee_rate=0.001), lot=0.1, derived=("5m",), sizing="percent", size=0.9,
    )  # fmt: skip
    for text in (json.dumps(config.to_dict()), orjson.dumps(config.to_dict())):
        assert RunConfig.from_dict(json.loads(text)) == config


def test_the_requirements_form_is_taken() -> None:
    config = RunConfig.from_dict(
        {
            "strategy_type": "moving_average_crossover",
            "parameters": {"short_window": 5, "long_window": 20},
            "position_sizing": "percentage",
            "position_size": 0.5,
            "initial_capital": 5000,
            "start_date": "2011-03-07",
            "end_date": "2011-03-12",
            "commission": 0.001,
            "on": "XNYS:SPY/1m",
        }
    )
    assert config == RunConfig(
        "moving_average_crossover", ("XNYS:SPY/1m",), {"short_window": 5, "long_window": 20},
        start="2011-03-07", end="2011-03-12", cash=5000.0, sizing="percent", size=0.5,
        costs=Costs(fee_rate=0.001),
    )  # fmt: skip
    loaded = load_strategy(config.strategy, config.parameters)
    assert (loaded.name, loaded.strategy.parameters["fast"]) == ("sma_cross", 5)


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("bollinger_bands", {"bb_period": 30, "bb_std_dev": 2.5, "bb_position": "breakout"},
         {"period": 30, "deviations": 2.5, "direction": "breakout"}),
        ("rsi_strategy", {"rsi_period": 7, "oversold": 20}, {"period": 7, "oversold": 20.0}),
        ("macd_strategy", {"histogram_threshold": 0.1}, {"threshold": 0.1}),
        ("simple_buy_hold", {"entry_delay": 3}, {"entry_delay": 3}),
        ("moving_average_crossover", {"ma_type": "ema"}, {"average": "ema"}),
    ],
)  # fmt: skip
def test_the_requirements_names_are_known(name: str, given: Any, wanted: Any) -> None:
    found = load_strategy(name, given).strategy.parameters
    assert {k: found[k] for k in wanted} == wanted


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"on": []}, "a run needs data"),
        ({"cash": 0}, "cash is 0"),
        ({"size": -1}, "size is -1"),
        ({"leverage": 0}, "leverage is 0"),
        ({"min_quality": 1.5}, "min_quality is 1.5"),
        ({"history": 0}, "history is 0"),
        ({"lot": 0}, "lot is 0"),
        ({"fill": "lucky"}, "unknown fill `lucky`"),
        ({"sizing": "all in"}, "unknown sizing `all in`"),
        ({"hours": "night"}, "unknown hours `night`"),
        ({"costs": {"fee_rate": -1}}, "fee_rate is -1"),
        ({"costs": {"fees": 1}}, "the configuration does not fit"),
        ({"colour": "red"}, "unknown settings: colour"),
        ({"strategy_type": "x"}, "both strategy_type and strategy are given"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RunConfig.from_dict({"strategy": "ema-cross", "on": ["XNYS:SPY/1m"], **changes})
    with pytest.raises(UsageError, match="missing settings: on, strategy"):
        RunConfig.from_dict({})


def test_a_file_that_exits_is_an_error_and_does_not_end_the_program(tmp_path: Path) -> None:
    path = tmp_path / "leaves.py"
    path.write_text("raise SystemExit(3)\n")
    with pytest.raises(BadDataError, match="cannot be run: SystemExit: 3"):
        load_strategy(str(path), {})
