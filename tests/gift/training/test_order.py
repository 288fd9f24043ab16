"""The order of examples: every epoch sees each once, differently, and the same for the same seed."""

from gift.training.order import batch_indices, derived_seed, example_stream


def test_an_epoch_sees_every_example_once_and_the_next_one_in_another_order() -> None:
    batches = [batch_indices(10, 4, step, seed=0) for step in range(5)]
    stream = [index for batch in batches for index in batch]
    assert sorted(stream[:10]) == sorted(stream[10:]) == list(range(10))
    assert stream[:10] != stream[10:]


def test_the_seed_decides_and_a_batch_may_exceed_the_data() -> None:
    assert batch_indices(100, 8, 3, seed=1) == batch_indices(100, 8, 3, seed=1) != batch_indices(100, 8, 3, seed=2)
    assert sorted(batch_indices(2, 6, 0, seed=0)) == [0, 0, 0, 1, 1, 1]


def test_the_streams_of_all_ranks_are_the_batches_dealt_out() -> None:
    streams = [example_stream(10, seed=3, rank=rank, ranks=2) for rank in range(2)]
    dealt = [next(streams[position % 2]) for position in range(12)]
    assert dealt == [index for step in range(3) for index in batch_indices(10, 4, step, seed=3)]


def test_a_derived_seed_belongs_to_its_purpose() -> None:
    seeds = {derived_seed(0, "rollout", step, rank) for step in range(20) for rank in range(4)}
    assert len(seeds) == 80
    assert derived_seed(0, "rollout", 1, 0) == derived_seed(0, "rollout", 1, 0)
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_other_ranks_go_on_after_what_was_taken() -> None:
    whole = [index for step in range(5) for index in batch_indices(10, 4, step, seed=3)]
    streams = [example_stream(10, seed=3, rank=rank, ranks=3, start=8) for rank in range(3)]
    assert [next(streams[position % 3]) for position in range(12)] == whole[8:]


def test_a_stream_goes_on_where_it_was_left() -> None:
    whole, rest = example_stream(10, seed=3, rank=1, ranks=2), example_stream(10, seed=3, rank=1, ranks=2, taken=7)
    assert [next(whole) for _ in range(20)][7:] == [next(rest) for _ in range(13)]
