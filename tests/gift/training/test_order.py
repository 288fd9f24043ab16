"""The order of examples: every epoch sees each once, differently, and the same for the same seed."""

from gift.training.order import batch_indices


def test_an_epoch_sees_every_example_once_and_the_next_one_in_another_order() -> None:
    batches = [batch_indices(10, 4, step, seed=0) for step in range(5)]
    stream = [index for batch in batches for index in batch]
    assert sorted(stream[:10]) == sorted(stream[10:]) == list(range(10))
    assert stream[:10] != stream[10:]


def test_the_seed_decides_and_a_batch_may_exceed_the_data() -> None:
    assert batch_indices(100, 8, 3, seed=1) == batch_indices(100, 8, 3, seed=1) != batch_indices(100, 8, 3, seed=2)
    assert sorted(batch_indices(2, 6, 0, seed=0)) == [0, 0, 0, 1, 1, 1]
