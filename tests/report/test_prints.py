import matplotlib
from matplotlib.figure import Figure
from matplotlib.image import imread

from fmrifm.report.content import Section
from fmrifm.report.prints import save_figures
from fmrifm.report.svg import FIRST, INK, STYLE, picture


@matplotlib.rc_context(STYLE)
def drawn(caption):
    figure = Figure(figsize=(2, 1))
    axes = figure.add_subplot()
    axes.axhspan(0, 1, color=FIRST)
    axes.set(xlabel="$x_y$", ylim=(0, 1))
    return picture(figure, alt="A bar.", caption=caption)


def test_every_picture_of_every_part_is_saved_under_its_section_and_caption(tmp_path):
    part = Section(title="Level 0.5", pictures=[drawn("One")])
    sections = [Section(title="Trial of masking", pictures=[drawn("AUC. Longer."), drawn("AUC: more")], parts=[part])]
    paths = save_figures(sections, tmp_path / "new" / "figures")
    stems = ["trial_of_masking-auc", "trial_of_masking-auc-2", "trial_of_masking-level_0_5-one"]
    assert [path.name for path in paths] == [f"{stem}{suffix}" for stem in stems for suffix in (".svg", ".png")]
    assert sorted(paths) == sorted((tmp_path / "new" / "figures").iterdir())


def test_the_files_have_white_paper_300_dpi_and_the_colours_of_print(tmp_path):
    shown = drawn("One")
    assert "var(--first)" in shown.svg
    svg, png = save_figures([Section(title="S", pictures=[shown])], tmp_path)
    text = svg.read_text(encoding="utf-8")
    assert FIRST in text
    assert INK in text
    assert "$x_y$" in text
    assert "var(" not in text
    pixels = imread(png)
    assert pixels.shape[:2] == (300, 600)
    assert (pixels[0, 0] == 1).all()
    assert tuple(round(255 * value) for value in pixels[150, 300, :3]) == tuple(bytes.fromhex(FIRST[1:]))


def test_hostile_captions_stay_inside_the_folder_and_its_limits(tmp_path):
    captions = ["../../etc/passwd", "<script>\"'&\x00", "脑" * 300, ""]
    paths = save_figures([Section(title="/", pictures=[drawn(caption) for caption in captions])], tmp_path)
    assert len(set(paths)) == 2 * len(captions)
    assert all(path.parent == tmp_path and path.is_file() for path in paths)


def test_the_same_figure_gives_the_same_file(tmp_path):
    sections = [Section(title="S", pictures=[drawn("One")])]
    first = [path.read_bytes() for path in save_figures(sections, tmp_path)]
    assert [path.read_bytes() for path in save_figures(sections, tmp_path)] == first
