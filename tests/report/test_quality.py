"""The quality page over a small store with planted faults."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fmrifm.atlas import Atlas
from fmrifm.data.grid import Grid
from fmrifm.data.store import Store
from fmrifm.data.store_writer import StoreWriter
from fmrifm.report.document import document
from fmrifm.report.quality import store_page

N = 12
TITLES = ["Cohort", "Coverage", "Measures by site", "Outliers", "Worst scans", "Filtering", "Refused scans"]
Make = Callable[..., Store]


@pytest.fixture
def make(tmp_path: Path, grid: Grid, atlas: Atlas) -> Make:
    """Write a store of twelve scans at two sites; columns by name, a value a scan."""

    def _make(name: str = "c", **columns: list[object]) -> Store:
        rng, n_voxels = np.random.default_rng(0), len(grid.voxels)
        path = tmp_path / f"{name}.zarr"
        cleaning = {"high_pass_hz": 0.01}
        with StoreWriter(path, grid=grid, atlas=atlas, settings={"cleaning": cleaning}, name="<b>Ours</b>") as writer:
            for number in range(N):
                row = {"scan": f"s{number:02d}", "subject": f"s{number:02d}", "site": "AB"[number % 2], "tr_s": 2.0}
                values = {column: of_scan[number] for column, of_scan in columns.items()}
                covered = np.arange(n_voxels) >= number
                signal = rng.standard_normal((9, n_voxels)) * covered
                writer.add({**row, **values}, signal, 100.0 * covered, 1.0 * covered)
        return Store(path)

    return _make


def with_regions(make: Make, covered: list[list[int]]) -> Store:
    return make(region_coverage=covered, coverage=[0.9] * N, spectrum=["unfiltered"] * N)


def test_a_store_without_measures_says_that_they_are_not_known(make: Make) -> None:
    page = document(store_page(make(), None))
    assert "each region the scans cover is not known" in page
    for name in ("temporal SNR", "mean framewise displacement", "variance in linear drift", "volumes that are spikes"):
        assert f"The {name} is known of no scan." in page
    assert "Whether the scans came filtered is not known" in page
    assert "refusals are not known" in page
    assert "No scan stands out of its site" in page
    assert 'role="alert"' not in page


def test_every_section_stands_in_order_and_names_are_escaped(make: Make) -> None:
    page = document(store_page(make(), None))
    places = [page.index(f">{title}</h2>") for title in TITLES]
    assert places == sorted(places)
    assert "&lt;b&gt;Ours&lt;/b&gt;" in page
    assert "<b>Ours" not in page
    assert "research tool" in page
    assert "high_pass_hz" in page


def test_risks_and_mixed_filters_are_alarms(make: Make) -> None:
    dx, spectrum = [0, 1] * 6, ["unfiltered"] * 10 + ["band-passed"] * 2
    page = document(store_page(make(dx=dx, spectrum=spectrum), None))
    alarm = page[page.index('role="alert"') :].split("</div>")[0]
    assert "Site alone predicts dx" in alarm
    assert "100% of 6 at B, 0% of 6 at A" in alarm
    assert "10 unfiltered and 2 band-passed" in alarm


def test_regions_bare_in_most_scans_of_a_site_are_named(make: Make) -> None:
    # Regions by value: 3, 41, 95, 128, 170, 255 are A to F. At site A the second is bare in 4 of 6, the third in 3.
    covered = [[100] * 6 for _ in range(N)]
    for scan in (0, 2, 4, 6):
        covered[scan][1] = 20
    for scan in (0, 2, 4):
        covered[scan][2] = 20
    page = document(store_page(with_regions(make, covered), None))
    caption = "Regions less than half covered in more than half of a site&#39;s scans."
    table = page[page.index(f"<span>{caption}") :].split("</table>")[0]
    rows = table.split("<tbody>")[1]
    assert "A</th><td>1</td><td>B</td>" in rows
    assert rows.count("<tr>") == 1


def test_the_map_weighs_regions_by_their_voxels(make: Make, atlas: Atlas) -> None:
    covered = [[0, 100, 100, 100, 100, 100] for _ in range(N)]  # system x is regions 3 and 41
    sizes = [int((atlas.labels == value).sum()) for value in (3, 41)]
    assert sizes[0] != sizes[1]
    page = document(store_page(with_regions(make, covered), None))
    assert f"A {100 * sizes[1] / sum(sizes):.0f} % (x); B" in page


def test_outliers_are_named_and_only_the_worst_scans_are_read(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    spikes, fd, drift = [1] * N, [0.1] * N, [0.01] * N
    spikes[3], spikes[4], fd[4], fd[5], drift[7] = 60, 9, 0.9, 0.5, 0.4  # two of s04, 59 of s03, 40 of s05, 390 of s07
    store, read = make(n_spikes=spikes, mean_fd=fd, drift=drift), []
    window = Store.window
    monkeypatch.setattr(Store, "window", lambda self, scan: read.append(scan) or window(self, scan))
    page = document(store_page(store, None))
    assert read == ["s04", "s07", "s03"]
    assert "<td>mean framewise displacement</td><td>0.90 mm</td><td>0.10 mm</td>" in page
    assert "Scan s04. Stands out by mean framewise displacement 0.90 mm and volumes that are spikes 9." in page
    assert "84 voxels by 9 volumes" not in page
    assert "96 voxels by 9 volumes" in page  # s04 does not cover the first 4 of 100


def test_refused_scans_are_listed_with_their_reasons(make: Make) -> None:
    refused = pd.DataFrame({"path": ["/a/<x>.nii"], "reason": ["is empty"]})
    page = document(store_page(make(), refused))
    assert "/a/&lt;x&gt;.nii</th><td>is empty</td>" in page
    assert "No scan was refused." in document(store_page(make("d"), refused.iloc[:0]))
