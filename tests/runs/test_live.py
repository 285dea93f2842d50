"""A notebook executed in real Jupyter: the live figure, and what is shown of things."""

import base64
import io

import numpy
import pytest
from PIL import Image

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

CELLS = (
    "import minigan\n"
    "run = minigan.train('digits', steps=4, batch_size=8, frames=0, say=lambda words: None)",
    "run",
    "run.show()",
    "run.generator",
    "minigan.data.load('digits')",
    "run.losses()['step'].tolist()",
)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The outputs of each cell."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    client = nbclient.NotebookClient(
        notebook, timeout=240, kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}},
    )  # fmt: skip
    client.execute()
    return [cell.outputs for cell in notebook.cells]


def pixels(output):
    with Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))) as picture:
        return numpy.asarray(picture.convert("RGB"))


def test_training_shows_one_figure_in_place_and_no_bar(outputs):
    (figure,) = outputs[0]
    assert figure.output_type == "display_data"
    shown = pixels(figure)
    assert shown.shape[0] > 300
    assert len(numpy.unique(shown.reshape(-1, 3), axis=0)) > 50


def test_a_run_a_figure_a_net_and_data_show_themselves(outputs):
    _, run, figure, net, dataset, losses = (cell[-1].data if cell else {} for cell in outputs)
    assert "base64" in run["text/html"]
    assert run["text/plain"].startswith("Run('runs/digits': digits, step 4 of 4")
    assert "image/png" in figure
    assert "Linear(64, 1024" in net["text/html"]
    assert "image/png" in dataset
    assert losses["text/plain"] == "[1.0, 2.0, 3.0, 4.0]"
