from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from clary.inference.batches import Group, groups, packed_batches, padded_batches

lengths = st.lists(st.integers(1, 60), max_size=50).map(lambda values: np.array(values, np.int64))


@given(lengths, st.integers(1, 120))
@pytest.mark.parametrize("plan", [packed_batches, padded_batches])
def test_every_text_is_in_one_batch_and_the_longest_come_first(plan, lengths, budget):
    planned = list(plan(lengths, budget))
    order = [index for batch in planned for index in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[index] for index in order] == sorted(lengths, reverse=True)
    assert all(len(batch) for batch in planned)


@given(lengths, st.integers(1, 120))
def test_a_packed_batch_keeps_its_tokens_below_the_budget(lengths, budget):
    planned = list(packed_batches(lengths, budget))
    assert all(lengths[batch].sum() <= budget or len(batch) == 1 for batch in planned)
    for batch, after in pairwise(planned):
        assert lengths[batch].sum() + lengths[after[0]] > budget  # full


@given(lengths, st.integers(1, 120))
def test_a_padded_batch_counts_its_padding(lengths, budget):
    for batch in padded_batches(lengths, budget):
        assert lengths[batch].max() * len(batch) <= budget or len(batch) == 1


def test_groups_are_runs_of_equal_length():
    found = groups([7, 7, 3, 1, 1, 1])
    assert found == [Group(0, 2, 7), Group(14, 1, 3), Group(17, 3, 1)]
    assert [group.end for group in found] == [14, 17, 20]
    assert groups([]) == []
