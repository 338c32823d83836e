"""Settings: safe defaults, one file, variables over it, and clear words for what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlprod_nb import settings
from mlprod_nb.errors import NotFound, UsageError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "mlprod.toml").write_text('name = "demo"\n', encoding="utf-8")
    return tmp_path


def test_defaults_are_safe(root: Path) -> None:
    loaded = settings.load(root)
    assert loaded.gateway.host == "127.0.0.1"
    assert loaded.name == "demo"


def test_a_variable_wins_over_the_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPROD_GATEWAY__PORT", "8123")
    assert settings.load(root).gateway.port == 8123


def test_a_misspelt_key_is_answered_by_the_right_one(root: Path) -> None:
    (root / "mlprod.toml").write_text("[gateway]\nprot = 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"gateway\.prot.*Did you mean 'port'"):
        settings.load(root)


def test_a_value_of_the_wrong_kind_names_its_key(root: Path) -> None:
    (root / "mlprod.toml").write_text('[gateway]\nport = "many"\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"gateway\.port"):
        settings.load(root)


def test_a_variable_that_sets_nothing_is_named_itself(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPROD_GATEWAY__PROT", "8123")
    with pytest.raises(UsageError, match=r"MLPROD_GATEWAY__PROT: .*Did you mean 'port'"):
        settings.load(root)


def test_broken_toml_names_the_file_and_the_place(root: Path) -> None:
    (root / "mlprod.toml").write_text("name = \n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"not valid TOML.*line 1"):
        settings.load(root)


def test_a_workspace_is_found_from_below(root: Path) -> None:
    below = root / "a" / "b"
    below.mkdir(parents=True)
    assert settings.open_root(below) == root.resolve()


def test_no_workspace_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="mlprod init"):
        settings.open_root(tmp_path)


def test_an_endpoint_s_table_is_known_by_its_name_and_misspelt_keys_are_answered(root: Path) -> None:
    (root / "mlprod.toml").write_text('[endpoints.flights]\ndurability = "process"\n', encoding="utf-8")
    loaded = settings.load(root)
    assert loaded.endpoints["flights"].durability == "process"
    assert loaded.endpoints["flights"].on_log_failure == "refuse"
    (root / "mlprod.toml").write_text('[endpoints.flights]\ndurabilty = "process"\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"endpoints\.flights\.durabilty.*Did you mean 'durability'"):
        settings.load(root)


def test_a_wrong_key_of_a_protected_alias_names_the_nearest(root: Path) -> None:
    (root / "mlprod.toml").write_text("[models.flights.protected.champion]\naproval = 2\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"protected\.champion\.aproval.*Did you mean 'approvals'"):
        settings.load(root)


def test_a_table_of_a_model_that_does_not_exist_names_the_nearest_that_does(root: Path) -> None:
    text = "[models.fligths.protected.champion]\n[models.delay.protected]\nchampion = {approvals = 2}\n"
    (root / "mlprod.toml").write_text(text, encoding="utf-8")
    found = settings.load(root)
    assert found.unknown_models(["flights", "delay"]) == [
        "mlprod.toml: [models.fligths] is about no model that is registered. Did you mean 'flights'?",
    ]
    assert found.model("fligths").protected["champion"].approvals == 1
    assert found.model("delay").protected["champion"].approvals == 2


def test_a_table_of_an_endpoint_that_does_not_exist_names_the_nearest_that_does(root: Path) -> None:
    (root / "mlprod.toml").write_text("[endpoints.fligths]\n[endpoints.delay]\n[endpoints.x]\n", encoding="utf-8")
    assert settings.load(root).strangers(["flights", "delay"]) == [
        "mlprod.toml: [endpoints.fligths] is about no endpoint that is deployed. Did you mean 'flights'?",
        "mlprod.toml: [endpoints.x] is about no endpoint that is deployed.",
    ]


def test_what_outlives_a_jobs_run_is_in_a_job_still_and_of_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.JOB not in settings.outliving()
    monkeypatch.setenv(settings.JOB, settings.job_mark(7, tmp_path))
    assert settings.job_run(tmp_path) == 7
    monkeypatch.setenv(settings.JOB, settings.outliving()[settings.JOB])
    assert settings.in_a_job()
    assert settings.job_run(tmp_path) is None


def test_a_word_that_is_none_of_the_known_ones_gets_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "mlprod.toml"
    file.write_text('[endpoints.flights.monitor]\non_drift = "retrian"\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"on_drift: 'retrian' is not 'alert', .* Did you mean 'retrain'\?"):
        settings.load(tmp_path)
    file.write_text('[endpoints.flights.monitor]\non_drift = "fallback"\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r'monitor: on_drift = "fallback" needs fallback = "MODEL/VERSION"\.'):
        settings.load(tmp_path)


def test_a_key_that_is_like_no_other_gets_all_that_there_are(tmp_path: Path) -> None:
    (tmp_path / "mlprod.toml").write_text('[endpoints.flights.monitor]\ndetectors = ["ks"]\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"detectors: there is no such key. There is: yearly_alpha, .*on_drift"):
        settings.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[gateway]\nport = "80a"', 'gateway.port: "80a" is not a whole number.'),
        ("[gateway]\nport = 99999", "gateway.port: 99999 is out of bounds: it must be 65535 or less."),
        ("[gateway]\nworkers = 0", "gateway.workers: 0 is out of bounds: it must be 1 or more."),
        ('[gateway]\ntls = "ja"', 'gateway.tls: "ja" is not true or false.'),
        ("gateway = 3", "gateway: 3 is not a table."),
        ("[endpoints]\nflights = 3", "endpoints.flights: 3 is not a table."),
        ("[endpoints.flights]\nmax_rows = 3", "endpoints.flights.max_rows: 3 is not a table."),
        ("[gateway]\nport = true", "gateway.port: true is not a whole number."),
        ("[endpoints.x.max_rows]\na = 0", "endpoints.x.max_rows.a: 0 is out of bounds: it must be more than 0."),
        (
            "[models.x.release]\nsteps = [50, 10]",
            "models.x.release.steps: steps are shares of the traffic in percent, rising, above 0 and up to 100.",
        ),
        (
            "[models.x.gates]\nof = 1",
            "models.x.gates: 'of' is neither a setting nor a table of a gate. Did you mean 'off'?",
        ),
        ("[log]\nreserve_mib = 1.5", "log.reserve_mib: 1.5 is not a whole number."),
        ("name = 3", 'name: 3 is not a text in quotes. Did you mean "3"?'),
        ("name = []", "name: [] is not a text in quotes."),
        ("[reports]\ntimeout_seconds = nan", "reports.timeout_seconds: NaN is out of bounds: it must be more than 0."),
        (
            '[reports]\ntimeout_seconds = "15m"',
            'reports.timeout_seconds: "15m" is not a number. Did you mean 900?',
        ),
        (
            '[endpoints.flights.monitor]\nsegments = "carrier"',
            'endpoints.flights.monitor.segments: "carrier" is not a list. Did you mean ["carrier"]?',
        ),
        (
            '[models.flights.release]\nhold = "10 mins"',
            "models.flights.release.hold: '10 mins' is not a duration. Write it like 90s, 15m, 12h, 7d or 1d12h.",
        ),
    ],
)
def test_a_wrong_value_is_told_with_what_it_must_be(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "mlprod.toml").write_text(f"{text}\n", encoding="utf-8")
    with pytest.raises(UsageError) as told:
        settings.load(tmp_path)
    assert str(told.value) == f"mlprod.toml: {words}"


def test_variables_which_are_texts_set_numbers_truths_and_lists_of_words(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPROD_GATEWAY__TLS", "True")
    monkeypatch.setenv("MLPROD_GATEWAY__TRACE_SHARE", "0.5")
    monkeypatch.setenv("MLPROD_ALERTS__URLS", "json://a json://b")
    found = settings.load(root)
    assert (found.gateway.tls, found.gateway.trace_share) == (True, 0.5)
    assert [url.value for url in found.alerts.urls] == ["json://a", "json://b"]


def test_settings_that_were_written_down_are_read_again_without_their_secrets(root: Path) -> None:
    text = (
        "[alerts]\nurls = ['json://secret']\n[models.m.gates]\noff = ['smoke']\n[models.m.gates.loads]\nseconds = 1\n"
    )
    (root / "mlprod.toml").write_text(text, encoding="utf-8")
    found = settings.load(root)
    written = json.dumps(found.to_dict())
    assert "secret" not in written + repr(found)
    again = settings.Settings.from_dict(json.loads(written))
    assert again.to_dict() == found.to_dict()
    assert again.model("m").gates == found.model("m").gates
    assert again.model("m").gates.options == {"loads": {"seconds": 1}}


def test_reading_settings_imports_nothing_that_checks_models(root: Path) -> None:
    code = "import sys; from pathlib import Path; from mlprod_nb import settings; settings.load(Path.cwd())"
    code += "; print([name for name in ('pydantic', 'sqlalchemy', 'numpy') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_a_variable_is_named_where_what_it_sets_is_wrong_deep_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlprod.toml").write_text("[gateway]\nport = 1\n", encoding="utf-8")
    monkeypatch.setenv("MLPROD_GATEWAY", "3")
    with pytest.raises(UsageError, match=r'^MLPROD_GATEWAY: "3" is not a table'):
        settings.load(tmp_path)
    monkeypatch.setenv("MLPROD_GATEWAY__PORT", "x")
    with pytest.raises(UsageError, match=r'^MLPROD_GATEWAY__PORT: "x" is not a whole number'):
        settings.load(tmp_path)


def test_a_key_outside_its_table_is_told_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "mlprod.toml").write_text("tls = true\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"tls: there is no such key. Did you mean '\[gateway\] tls'\?"):
        settings.load(tmp_path)
