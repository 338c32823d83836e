from __future__ import annotations

import sys
import threading

import pytest
from IPython.core.completer import CompletionContext, provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell


@pytest.mark.parametrize("prefix", ["%mlprod ", "x = %mlprod ", "a.b['c'] = %mlprod ", "y = 1\n%mlprod ", "%%mlprod "])
def test_tab_completes_wherever_the_magic_can_stand(shell: InteractiveShell, prefix: str) -> None:
    def texts(text: str) -> list[str]:
        with provisionalcompleter():
            return [c.text for c in shell.Completer.completions(text, len(text)) if c.type != "path"]

    shell.user_ns["april_flights"] = 1
    assert texts(f"{prefix}depl") == ["deploy"]
    assert texts(f"{prefix}abtest pl") == ["plan"]
    assert texts(f"{prefix}deploy flights --dr") == ["--dry-run"]
    assert texts(f"{prefix}predict flights --data $ap") == ["$april_flights"]
    assert "$april_flights" in texts(f"{prefix}predict flights --data ")


def test_tab_never_waits_for_the_grammar_to_load(shell: InteractiveShell) -> None:
    magics = shell.magics_manager.registry["MLProd"]
    context = CompletionContext("dep", "%mlprod dep", 11, 0, 100)
    loaded = threading.Event()
    magics._loader = threading.Thread(target=loaded.wait, daemon=True)
    magics._loader.start()
    assert magics.complete(context)["completions"] == []
    loaded.set()
    magics._loader.join(10)
    assert [c.text for c in magics.complete(context)["completions"]] == ["deploy"]


def test_the_grammar_loads_after_the_cell_that_loaded_the_extension(shell: InteractiveShell) -> None:
    magics = shell.magics_manager.registry["MLProd"]
    magics._loader = None
    shell.run_cell("%reload_ext mlprod_nb")
    magics = shell.magics_manager.registry["MLProd"]
    assert magics._loader is not None
    magics._loader.join(60)
    assert magics._grammar() is sys.modules["mlprod_nb.commands"]


def test_a_line_waits_for_a_grammar_that_is_loading(shell: InteractiveShell) -> None:
    magics = shell.magics_manager.registry["MLProd"]
    loaded = threading.Event()
    magics._loader = threading.Thread(target=loaded.wait, daemon=True)
    magics._loader.start()
    threading.Timer(0.1, loaded.set).start()
    shell.run_line_magic("mlprod", "--help")
    assert not magics._loader.is_alive()


def test_tab_offers_what_fits_before_options_and_in_that_order(shell: InteractiveShell) -> None:
    magics = shell.magics_manager.registry["MLProd"]
    magics._load().join(60)
    shell.user_ns["zebra"] = 1
    found = magics.complete(CompletionContext("", "%mlprod predict flights --data ", 31, 0, 100))
    assert found["ordered"]
    line = "%mlprod report flights "
    texts = [c.text for c in magics.complete(CompletionContext("", line, len(line), 0, 100))["completions"]]
    assert texts[-1] == "--help"
    assert not any(text.startswith("--") for text in texts[: texts.index("drift") + 1])


@pytest.mark.parametrize(
    "line",
    [
        "%mlprod nothingsuch",
        "x = %mlprod monitor flights --zz",
        "%mlprod monitor flights --since ",
        "%mlprod deploy flights@champion --reason 'why ",
        "%mlprod predict flights --data $zzz",
        "y = 1\n%mlprod nothingsuch",
        "%%mlprod register flights --model $clf --data $X\nThe note is lo",
        "%%mlprod promote flights/2\nBetter. See %mlprod depl",
    ],
)
def test_where_we_have_nothing_to_offer_python_s_words_are_not_offered_either(
    shell: InteractiveShell, line: str
) -> None:
    shell.magics_manager.registry["MLProd"]._load().join(60)
    with provisionalcompleter():
        assert list(shell.Completer.completions(line, len(line))) == []


def test_jedi_is_never_asked_in_a_line_of_ours(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(*_: object, text: str, **__: object) -> list[object]:
        asked.append(text)
        return []

    monkeypatch.setattr(type(shell.Completer), "_jedi_matches", ask)
    shell.magics_manager.registry["MLProd"]._load().join(60)
    with provisionalcompleter():
        for line in ("%mlprod ", "x = %mlprod ", "%mlprod nothingsuch", "%%mlprod depl", "%mlprod status --zz"):
            list(shell.Completer.completions(line, len(line)))
        assert asked == []
        list(shell.Completer.completions("zebr", 4))
    assert asked == ["zebr"]


def test_tab_elsewhere_is_left_alone(shell: InteractiveShell) -> None:
    with provisionalcompleter():
        texts = [c.text for c in shell.Completer.completions("depl", 4)]
    assert "deploy" not in texts
