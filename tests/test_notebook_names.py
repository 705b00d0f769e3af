"""--named of render-notebook: names in a list, whatever is in them."""

from kgtextvec.__main__ import main
from kgtextvec.settings.base import settings_of, value_of_word
from kgtextvec.settings.spaces import Examples


def test_names_are_split_so_that_a_comma_may_be_part_of_one():
    def names_in(word: str) -> object:
        return value_of_word(settings_of(Examples)["named"], word)

    assert names_in("TP53, aspirin") == ["TP53", "aspirin"]
    assert names_in("TP53 | Anemia, Sickle Cell") == ["TP53", "Anemia, Sickle Cell"]
    assert names_in('["Anemia, Sickle Cell", "a|b"]') == ["Anemia, Sickle Cell", "a|b"]
    assert names_in("") == []


def test_names_that_are_no_json_are_refused(tmp_path, capsys):
    words = ["--template", "t", "--out-notebook", "n", "--out-html", "h", "--named", '["TP53"']
    assert main(["render-notebook", str(tmp_path), *words]) == 2
    assert "--named: not readable" in capsys.readouterr().err
