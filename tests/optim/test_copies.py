"""Copies of nets together with what trains them: deep copies and pickles train, and alone."""

import copy
import pickle

import numpy
import pytest

from minigan import losses, nn, optim

every_way = pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))],
    ids=["copy", "pickle"],
)
MAKERS = {
    "SGD": lambda net: optim.SGD(net, lr=0.1, momentum=0.9),
    "RMSprop": lambda net: optim.RMSprop(net, lr=0.01, momentum=0.5),
    "Adam": lambda net: optim.Adam(net, lr=0.01),
}
every_optimizer = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def small_net(seed=0):
    rng = numpy.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(3, 8, rng=rng), nn.BatchNorm(8), nn.Tanh(), nn.Linear(8, 1, rng=rng)
    )


def train(net, optimizer, steps, seed=0):
    rng = numpy.random.default_rng(seed)
    for _ in range(steps):
        x = rng.standard_normal((16, 3)).astype("float32")
        optimizer.zero_grad()
        y, cache = net.forward(x, train=True)
        net.backward(losses.mse(y, x[:, :1])[1], cache, input_grad=False)
        optimizer.step()


def same_state(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    for name in a:
        numpy.testing.assert_array_equal(a[name], b[name], err_msg=name)


@every_way
@every_optimizer
def test_the_copy_of_a_net_and_its_optimizer_trains_by_itself(copied, make):
    net = small_net()
    optimizer = make(net)
    train(net, optimizer, 3)
    weights, memory = net.state_dict(), optimizer.state_dict()
    net_copy, optimizer_copy = copied((net, optimizer))
    same_state(optimizer_copy, optimizer)
    train(net_copy, optimizer_copy, 4, seed=1)
    for before, after in ((weights, net.state_dict()), (memory, optimizer.state_dict())):
        for name in before:
            numpy.testing.assert_array_equal(before[name], after[name], err_msg=name)
    train(net, optimizer, 4, seed=1)
    same_state(net_copy, net)
    same_state(optimizer_copy, optimizer)


@every_way
def test_the_copy_keeps_one_flat_vector_and_its_gradients(copied):
    net = small_net()
    adam = optim.Adam(net)
    adam.flat.grad[...] = 3
    net_copy, adam_copy = copied((net, adam))
    assert net_copy.flat() is adam_copy.flat
    assert adam_copy.flat.holds(list(net_copy.parameters().values()))
    assert not numpy.shares_memory(adam_copy.flat.value, adam.flat.value)
    numpy.testing.assert_array_equal(adam_copy.flat.grad, adam.flat.grad)
    assert net.flat() is adam.flat, "the original keeps its own"


@every_way
def test_the_order_of_the_copied_things_does_not_matter(copied):
    net = small_net()
    adam_copy, net_copy = copied((optim.Adam(net), net))
    assert net_copy.flat() is adam_copy.flat
    train(net_copy, adam_copy, 1)


@every_way
def test_one_optimizer_over_two_nets(copied):
    nets = [small_net(1), small_net(2)]
    (first, second), adam = copied((nets, optim.Adam(nets)))
    adam.zero_grad()
    assert adam.flat.holds([*first.parameters().values(), *second.parameters().values()])
    adam.step()


@every_way
def test_an_average_is_copied_with_the_net_that_it_follows(copied):
    net = small_net()
    adam, average = optim.Adam(net), optim.ExponentialMovingAverage(net, decay=0.9, warmup=2)
    for seed in range(3):
        train(net, adam, 1, seed)
        average.update()
    net_copy, adam_copy, average_copy = copied((net, adam, average))
    assert average_copy.source is net_copy
    before = average.state_dict()
    for seed in range(3, 6):
        train(net_copy, adam_copy, 1, seed)
        average_copy.update()
    for name, array in average.state_dict().items():
        numpy.testing.assert_array_equal(array, before[name], err_msg=name)
    for seed in range(3, 6):
        train(net, adam, 1, seed)
        average.update()
    same_state(average_copy, average)


@every_way
def test_all_that_trains_a_net_is_copied_together(copied):
    net = small_net()
    adam = optim.Adam(net, lr=0.1)
    scheduler = optim.Scheduler(adam, optim.schedules.parse("warmup:2+linear"), steps=8)

    def run(net, adam, scheduler, steps):
        for seed in range(steps):
            train(net, adam, 1, seed)
            scheduler.step()

    run(net, adam, scheduler, 3)
    copies = copied((net, adam, scheduler))
    run(*copies, 5)
    assert (copies[1].lr, adam.t, scheduler.t) == (0, 3, 3)
    run(net, adam, scheduler, 5)
    for mine, other in zip(copies, (net, adam, scheduler), strict=True):
        same_state(mine, other)
