"""The page of a results folder: whole, self-contained, sortable, and its figures."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from builders.phones import CLASSES39
from probes import ProbeError
from probes.__main__ import main
from probes.class_figures import class_scores, confusion_matrix
from probes.methods import paragraph, settings
from probes.phone_order import groups, ordered
from probes.report import report
from probes.results import Results
from probes.software import made_with, versions
from tests.probes.test_probe_results import example, row

VOID = {"meta", "input", "br", "img", "link", "hr", "path", "use", "rect", "image", "stop"}


class Page(HTMLParser):
    """Collects the elements of a page and checks that they nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.mark.parametrize("label", ["$x_{$", "b$y^", "\x00a", "\x1b[0m", "\ufffe", "<b>&"])
def test_any_label_can_be_drawn(label, tmp_path):
    """Dollar signs are no formulas, and what XML does not allow is spelt out."""
    other = {"truth": [label, label, "b"], "answer": [label, "b", "b"], "count": [3, 1, 4]}
    known = {"encoder": "log_mel", "init": "none", "layer": "mel"}
    counted = pa.table({**{name: [value] * 3 for name, value in known.items()}, **other})
    made = example()
    Results(made.table, None, counted).save(tmp_path)
    files = report([tmp_path], tmp_path / "page.html")
    Page(files[0].read_text(encoding="utf-8"))
    pictures = [path for path in files if path.suffix == ".svg"]
    texts = [text.strip() for path in pictures for text in ET.parse(path).getroot().itertext()]
    shown = {"\x00a": "\\x00a", "\x1b[0m": "\\x1b[0m", "\ufffe": "\\xfffe"}.get(label, label)
    assert pictures and shown in texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Results of linear probes with confusions, RSA of layers and similarity of pairs of layers."""
    path = tmp_path_factory.mktemp("results") / "toy <1>"
    results = example().to_pandas()
    rsa = [row("whisper-tiny.en", init, f"block{n}", n, 0.1 * n - 0.05, metric="pearson_r", probe="rsa", classes=None)
           for init in ("trained", "random0") for n in range(4)]  # fmt: skip
    pairs = [
        {**row("w", "trained", f"b{i}", i, 1 - abs(i - j) / 4, metric="cka", probe="similarity"),
         "other_encoder": "w", "other_init": "trained", "other_layer": f"b{j}"}
        for i in range(3) for j in range(3)
    ]  # fmt: skip
    table = pa.Table.from_pandas(pd.concat([results, pd.DataFrame(rsa), pd.DataFrame(pairs)]), preserve_index=False)
    path.mkdir()
    pyarrow.parquet.write_table(table, path / "results.parquet")
    draw, counted = np.random.default_rng(0), []
    keys = results[(results.metric == "accuracy") & (results.encoder != "majority")]
    for encoder, init, layer in keys[["encoder", "init", "layer"]].itertuples(index=False):
        counts = draw.poisson(0.5, (39, 39)) + np.diag(draw.integers(5, 80, 39))
        names = {"encoder": encoder, "init": init, "layer": layer}
        counted += [{**names, "truth": CLASSES39[t], "answer": CLASSES39[p], "count": int(counts[t, p])}
                    for t, p in zip(*counts.nonzero(), strict=True)]  # fmt: skip
    pyarrow.parquet.write_table(pa.Table.from_pylist(counted), path / "confusions.parquet")
    return path


@pytest.fixture(scope="module")
def written(folder, tmp_path_factory):
    return report([folder], tmp_path_factory.mktemp("page") / "page.html", corpora=["timit"])


def test_the_page_is_whole_and_needs_nothing_else(written):
    text = written[0].read_text(encoding="utf-8")
    page = Page(text)
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
        assert tag not in ("link", "iframe", "object")
    assert "@import" not in text and "default-src 'none'" in text
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = {a[n][1:] for _, a in page.elements for n in ("href", "xlink:href") if a.get(n, "").startswith("#")}
    assert used <= set(ids)
    assert any(a.get("name") == "viewport" for _, a in page.elements)


def test_it_shows_figures_table_methods_versions_and_citations(written):
    text = written[0].read_text(encoding="utf-8")
    assert "toy &lt;1&gt;" in text and "toy <1>" not in text
    for shown in ("frame accuracy (%)", "random weights, seed 0", "Pearson r", "cka", "What was answered for each",
                  "F1 of each class", "vowels", "cross-validation over 5 groups", "No speaker is in two", "Seed 0",
                  "mlx ", "@software{phonelayers", "Garofolo", "Hewitt"):  # fmt: skip
        assert shown in text, shown
    assert text.count("<tr><td>") - text.count('<td class="wrap">') == 17 + 8 + 9
    assert "best at block3, accuracy 0.750 [0.730 0.770]; the same layer with random weights 0.440" in text


def test_figures_are_png_and_svg(written):
    names = sorted(path.name for path in written[1:])
    assert len(names) == len(set(names)) and len(names) % 2 == 0
    assert {"linear-phones.layers.accuracy.png", "linear-phones.layers.accuracy.svg"} <= set(names)
    for path in written[1:]:
        assert (
            path.read_bytes().startswith(b"\x89PNG") if path.suffix == ".png" else ET.parse(path).getroot() is not None
        )


def test_class_scores_equal_scikit_learn():
    draw = np.random.default_rng(0)
    truth, answer = draw.integers(0, 4, 300), draw.integers(0, 4, 300)
    names = ["d", "a", "c", "b"]
    frame = pd.DataFrame({"truth": [names[t] for t in truth], "answer": [names[a] for a in answer], "count": 1})
    counts = confusion_matrix(frame, names)
    assert counts[1, 2] == ((truth == 1) & (answer == 2)).sum()
    scores = class_scores(counts, names)
    np.testing.assert_allclose(scores.f1, f1_score(truth, answer, average=None))
    np.testing.assert_allclose(scores.recall, recall_score(truth, answer, average=None))
    np.testing.assert_allclose(scores.precision, precision_score(truth, answer, average=None))


def test_phones_are_ordered_by_class_and_other_labels_are_left_alone():
    names = ordered(CLASSES39)
    assert sorted(names) == sorted(CLASSES39)
    kinds = [kind for kind, _, _ in groups(names)]
    assert kinds == ["vowels", "semivowels", "nasals", "fricatives", "affricates", "stops", "silence"]
    assert ordered(["zero", "one"]) == ["zero", "one"] and groups(["zero", "one"]) == []


def test_methods_name_every_setting():
    options = '{"decays": [1.0, 0.1], "hidden": 512}'
    rows = [row("w", "trained", "l", 0, 0.5, note="at most 80 frames per utterance")]
    frame = Results.from_rows(rows).to_pandas().assign(options=options)
    assert "at most 80 frames per utterance" in paragraph(frame)
    assert "out of [1.0, 0.1] (chosen: 0.01" in paragraph(frame)
    told = dict(settings(frame))
    assert (told["folds"], told["seed"], told["classes"], told["option hidden"]) == ("5", "0", "39", "512")


def test_results_say_what_they_were_made_with(tmp_path):
    parquet, csv = example().save(tmp_path)
    assert made_with(parquet) == versions() and made_with(csv) is None
    assert "of the machine that wrote this page" in report([csv], tmp_path / "p.html")[0].read_text()


def test_command_and_mistakes(folder, tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "no results at" in capsys.readouterr().err
    with pytest.raises(ProbeError, match="no rows"):
        report([Results.from_rows([]).save(tmp_path)[0]], tmp_path / "p.html")
    example().save(tmp_path / "one")
    assert main(["report", str(tmp_path / "one")]) == 0
    assert f"page: {tmp_path / 'one' / 'report.html'}" in capsys.readouterr().out


SCRIPT = """<script>
const cells = (n) => [...document.querySelectorAll("#table tbody tr")].map((r) => r.cells[n].textContent);
const head = [...document.querySelectorAll("#table th")].find((h) => h.textContent === "value");
head.querySelector("button").click(); const up = cells(head.cellIndex).map(Number);
head.querySelector("button").click(); const down = cells(head.cellIndex).map(Number);
const box = document.querySelector("#filter"); box.value = "mfcc accuracy"; box.dispatchEvent(new Event("input"));
document.body.innerHTML = "<p id=found>" + JSON.stringify({
  up: up.every((v, i) => !i || up[i - 1] <= v), down: down.every((v, i) => !i || down[i - 1] >= v), rows: up.length,
  sorted: head.getAttribute("aria-sort"), shown: document.querySelectorAll("#table tbody tr:not([hidden])").length,
}).replaceAll('"', "'") + "</p>";
</script></body>"""


@pytest.mark.slow
def test_a_browser_sorts_and_filters(written, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium")
    page = tmp_path / "page.html"
    page.write_text(written[0].read_text(encoding="utf-8").replace("</body>", SCRIPT), encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
               "--virtual-time-budget=5000", "--dump-dom", page.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "'up':true,'down':true,'rows':34,'sorted':'descending','shown':1" in done.stdout
