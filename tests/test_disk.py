"""What a run says of the disk before it begins, and what a job says of it."""

import gzip
import json
import re
import shutil
from pathlib import Path

import pytest
from tiny_models import tiny_bert
from workflow_run import ROOT, Project, entities

from kgtextvec.disk import disk, expected_sizes
from kgtextvec.errors import InputError
from kgtextvec.files import need_space


def places(folder):
    return [folder / name for name in ("store", "downloads", "resources", "results")]


def plan(file, **more):
    return {
        "tables": {"entities": str(file)},
        "models": {"m": {"kind": "transformer", "dims": 768}},
        "spaces": ["full", "pca100"],
        "exports": ["npy", "tsv"],
    } | more


@pytest.mark.parametrize("name", ["table.tsv", "table.tsv.gz"])
def test_sizes_are_those_of_the_files_to_come(tmp_path, name):
    """1,000 rows of 768 numbers, and of 100: worked out by hand."""
    text = "id\tname\tlabel\n" + "".join(f"{i}\tx\ty\n" for i in range(1000))
    with (gzip.open if name.endswith("gz") else open)(tmp_path / name, "wt") as file:
        file.write(text)
    store, downloads, resources, results = places(tmp_path)
    sizes = expected_sizes(plan(tmp_path / name), store, downloads, resources, results)
    assert sizes[store] == 1000 * (768 * 4 + 41)
    shards = 1000 * 768 * 4
    npy = 1000 * (768 + 100) * 4
    tsv = 1000 * (768 + 100) * 11
    assert npy + tsv + shards <= sizes[results] <= 1.1 * (npy + tsv + shards)
    bert_base = 110e6 * 4
    assert 0.9 * bert_base <= sizes[downloads] <= 1.1 * bert_base


def test_a_model_on_this_machine_is_not_downloaded_and_is_as_large_as_its_files(tmp_path):
    store, downloads, resources, results = places(tmp_path)
    here = plan(tmp_path / "none", models={"m": {"kind": "words", "dims": 200, "bytes": 35_000}})
    sizes = expected_sizes(here, store, downloads, resources, results)
    assert (sizes[downloads], sizes[resources]) == (0, 70_000)


def test_word_vectors_of_probes_are_counted_until_they_are_there(tmp_path):
    """6,000 bytes of corpora are about 1,000 words; BERT-base has 13 layers, BioELMo 3."""
    places_of = places(tmp_path)
    (tmp_path / "train.tsv").write_bytes(b"abcd\n\n" * 1000)
    corpora = {"files": [str(tmp_path / "train.tsv"), str(tmp_path / "none")], "stored": "float16"}

    def more(kind, dims, corpora):
        given = plan(tmp_path / "none", models={"m": {"kind": kind, "dims": dims}})
        with_probe = expected_sizes(given | {"probes": {"ner": corpora}}, *places_of)
        return with_probe[places_of[2]] - expected_sizes(given, *places_of)[places_of[2]]

    assert more("transformer", 768, corpora) == 1000 * 13 * 768 * 2
    assert more("transformer", 768, corpora | {"stored": "float32"}) == 1000 * 13 * 768 * 4
    assert more("elmo", 1024, corpora) == 1000 * 3 * 1024 * 2
    (places_of[2] / "tokens/m").mkdir(parents=True)
    (places_of[2] / "tokens/m/ner.npy").touch()
    assert more("transformer", 768, corpora) == 0


def test_what_is_there_is_not_counted(tmp_path):
    project = Project(
        tmp_path / "project",
        {
            "tables": {"entities": {"file": "entities.tsv", "kind": "entities"}},
            "models": ["cased"],
            "spaces": ["full"],
            "exports": ["npy", "tsv"],
            "catalogue": {"cased": {"source": "path:raw/cased"}},
            "evaluate": {"scores": []},
            "report": {"maps": False, "notebooks": False},
        },
    )
    tiny_bert(project.folder / "raw/cased")
    project.write_entities(entities(30))
    first = project.run()
    told = re.findall(r"^disk: .*$", first.text, re.M)
    assert len(told) == 1, "told once, by the run and not by its jobs"
    free = shutil.disk_usage(tmp_path).free
    assert (
        0.5 * free < float(re.search(r"([\d.,]+) GB are free", told[0])[1].replace(",", "")) * 1e9
    )
    assert ".kgtextvec/store" in told[0]
    assert "downloads" not in told[0], "the model is in a folder here"
    (project.folder / "results/cased/entities/full/embeddings.tsv").unlink()
    again = project.run()
    assert re.findall(r"^disk: about 0 MB to come \(results 0 MB\)", again.text, re.M)
    assert "disk:" not in project.run("--dry-run").text, "a dry run is not held up"


def test_too_little_room_is_warned_of(tmp_path, capfd):
    file = tmp_path / "table.tsv"
    file.write_text("id\n" * 3000)
    names = ["store", "downloads", "resources", "results"]
    huge = {"m": {"dims": 2_000_000_000}}
    disk(json.dumps(plan(file, models=huge)), **dict(zip(names, places(tmp_path), strict=True)))
    assert "WARNING: disk: that may not suffice" in capfd.readouterr().err
    disk(json.dumps(plan(file)), **dict(zip(names, places(tmp_path), strict=True)))
    assert "WARNING" not in capfd.readouterr().err


def test_a_table_that_is_not_there_is_left_to_the_step_that_reads_it(tmp_path):
    store, *others = places(tmp_path)
    assert expected_sizes(plan(tmp_path / "none.tsv"), store, *others)[store] == 0


@pytest.mark.parametrize("given", ["[]", '{"tables": {}, "models": {}}'])
def test_a_plan_that_lacks_a_part_is_one_line(given):
    with pytest.raises(InputError, match=r"^the plan: .*spaces, exports missing\. Add what"):
        disk(given)


def test_a_file_that_cannot_fit_is_refused(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    need_space({tmp_path / "new/file": free // 2})
    with pytest.raises(InputError, match=r"needs .* GB of disk, .* GB are free; free some space"):
        need_space({tmp_path / "new/file": free * 2})
    with pytest.raises(InputError, match="needs"):  # together on one file system
        need_space({tmp_path / "a": free * 2 // 3, tmp_path / "b": free * 2 // 3})


def test_the_engine_reports_without_any_package_but_the_settings_own(tmp_path):
    """Before conda has made an environment there is what the workflow itself needs: msgspec."""
    import subprocess
    import sys

    import msgspec

    (tmp_path / "site").mkdir()
    (tmp_path / "site/msgspec").symlink_to(Path(msgspec.__file__).parent)

    done = subprocess.run(
        [sys.executable, "-S", "-I", "-c",
         "import sys; sys.path[:0] = [sys.argv.pop(1), sys.argv.pop(1)];"
         "from kgtextvec.__main__ import main; sys.exit(main())", str(ROOT / "src"),
         str(tmp_path / "site"), "disk",
         json.dumps(plan(tmp_path / "none.tsv"))],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "are free" in done.stderr
