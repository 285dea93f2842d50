"""PyTorch's side of ``python -m benchmarks gpu``, on the CPU: the step that
`tests/benchmarks/test_benchmarks.py` has compared.
"""

import pytest

from benchmarks.workloads import WORKLOADS

torch = pytest.importorskip("torch")


@pytest.fixture
def as_it_was():
    """Undo what the steps set for the whole process."""
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [flag.allow_tf32 for flag in flags], torch.backends.cudnn.benchmark
    yield
    for flag, value in zip(flags, before[0], strict=True):
        flag.allow_tf32 = value
    torch.backends.cudnn.benchmark = before[1]


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("toy", "float32"),
        ("digits", "float32"),
        ("mnist-dcgan", "tf32"),
        ("wgan-gp", "float32"),
        ("wgan-gp-ln", "tf32"),
        ("hinge-sn", "float32"),
        ("r1", "float32"),
        ("sngan-32-sn", "tf32"),
    ],
)
def test_the_step_on_a_gpu_is_that_on_the_cpu(name, precision, as_it_was):
    from benchmarks.rivals import torch_gpu, torch_step

    workload = WORKLOADS[name]
    there = torch_gpu.make(workload, batch=3, precision=precision, compiled=False, device="cpu")
    torch.manual_seed(1)
    there()
    options = {"channels_last": True, "adam": "fused", "together": workload.joint, "batch": 3}
    here = torch_step.Step(workload, **options)
    torch.manual_seed(1)
    here()
    assert (
        torch.backends.cuda.matmul.allow_tf32
        == torch.backends.cudnn.allow_tf32
        == (precision == "tf32")
    )
    for ours, theirs in ((there.g, here.g), (there.d, here.d)):
        for name_, p in theirs.named_parameters():
            torch.testing.assert_close(
                dict(ours.named_parameters())[name_], p, rtol=1e-4, atol=1e-6
            )
            assert p.requires_grad
    first = torch_step.Step(workload, **options)
    for moved, begun in ((there.g, first.g), (there.d, first.d)):
        before = dict(begun.named_parameters())
        stayed = [n for n, p in moved.named_parameters() if torch.equal(p, before[n])]
        # D's last bias cancels out where its loss is a difference.
        last = [n for n in before if n.endswith("bias")][-1:] if moved is there.d else []
        assert stayed in ([], last)


def test_samples_on_a_gpu_are_those_on_the_cpu(as_it_was):
    from benchmarks.rivals import torch_gpu, torch_step

    workload = WORKLOADS["sampling-digits"]
    there = torch_gpu.make(workload, batch=3, precision="tf32", compiled=False, device="cpu")
    here = torch_step.Sampling(workload, channels_last=True, batch=3)
    made = []
    for step in (there, here):
        torch.manual_seed(1)
        made.append(step())
    torch.testing.assert_close(*made)


@pytest.mark.parametrize("name", ["toy", "hinge-sn"])
def test_both_losses_are_compiled_whole(name, as_it_was, monkeypatch):
    """Traced, that is: the kernels would take a compiler and minutes."""
    from benchmarks.rivals import torch_gpu

    def traced(function, compiled):
        return torch.compile(function, backend="eager", fullgraph=True) if compiled else function

    monkeypatch.setattr(torch_gpu, "_compiled", traced)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: None)
    steps = [
        torch_gpu.make(WORKLOADS[name], batch=3, precision="tf32", compiled=c, device="cpu")
        for c in (True, False)
    ]
    for step in steps:
        torch.manual_seed(1)
        step()
    for ours, theirs in zip(steps[0].d.parameters(), steps[1].d.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_part_of_pytorch_is_measured_without_a_gpu(as_it_was):
    from benchmarks import gpu

    result = gpu.run_part(gpu.Part("step", "r1", 64, "float32", "PyTorch eager"), dry=True)
    assert result["ms"] > 0
    assert result["note"].endswith("median of 1")
