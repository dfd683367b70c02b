"""The soft prompt as a network of a federation: ids through the codebook, frozen weights in the digest."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_prompts import LETTERS, TINY, book, encoded_task, tiny_prompt, tiny_transformer, windows_of

from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.maml import Maml
from secure_fedmeta.engines.loop import LoopEngine
from secure_fedmeta.engines.vmap import VmapEngine
from secure_fedmeta.errors import ModelRefused, PromptRefused
from secure_fedmeta.parameters import bind
from secure_fedmeta.prompts.soft_prompt import SoftPrompt, character_codebook, character_ids
from secure_fedmeta.tasks import Task


@pytest.mark.parametrize(("window", "letters"), [(1, 2), (6, 80), (80, 80), (500, 4096)])
def test_ids_pass_the_codebook_unchanged(window, letters):
    rng = np.random.default_rng(0)
    ids = rng.integers(0, letters, (50, window))
    ids[0], ids[1] = 0, letters - 1  # the longest rows: still within the bound, so never projected
    rows = character_codebook(window, letters).encode(ids.astype(float))
    assert (np.linalg.norm(rows, axis=1) <= 1).all()
    for dtype in (torch.float64, torch.float32):
        back = character_ids(torch.from_numpy(rows[:, :-1].copy()).to(dtype), letters=letters)
        assert (back.numpy() == ids).all()


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=6, max_size=6))
def test_whatever_a_row_holds_ids_are_in_range(values):
    ids = character_ids(torch.tensor([values], dtype=torch.float64), letters=LETTERS)
    assert (ids >= 0).all() and (ids < LETTERS).all()


def test_only_the_prompt_is_learned_and_the_given_transformer_stays_as_it_was():
    transformer = tiny_transformer()
    module = SoftPrompt.from_text(transformer, "Ho!")
    bound = bind(module)
    assert (bound.names, bound.shapes, bound.dimension) == (("prompt",), ((3, TINY.width),), 24)
    assert len(bound.frozen) == len(list(transformer.parameters()))
    assert all(p.requires_grad for p in transformer.parameters())
    transformer.places.data += 1.0
    assert bind(module).digest == bound.digest
    bound.check_fits(TINY.window, LETTERS)


def test_outputs_are_the_frozen_transformers_at_the_last_place():
    module, (features, _) = tiny_prompt(), windows_of(1, 9)
    rows = torch.from_numpy(book().encode(features)[:, :-1].copy()).float()
    expected = module.transformer(torch.from_numpy(features).long(), module.prompt)[:, -1]
    assert torch.equal(module(rows), expected)


def test_one_bit_of_the_transformer_changes_the_digest_the_learned_prompt_does_not():
    module = tiny_prompt()
    before = bind(module).digest
    module.prompt.data += 1
    assert bind(module).digest == before
    weight = module.transformer.blocks[0].widen.weight
    weight.data.view(torch.int32)[1, 2] ^= 1
    assert bind(module).digest != before


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (torch.zeros(3, 7), r"shape \(3, 7\)"),
        (torch.zeros(0, 8), r"shape \(0, 8\)"),
        (torch.zeros(8), r"shape \(8,\)"),
        (torch.full((3, 8), math.nan), "finite"),
        (torch.zeros(3, 8, dtype=torch.long), "finite real"),
    ],
)
def test_prompts_that_do_not_fit(start, why):
    with pytest.raises(PromptRefused, match=why):
        SoftPrompt(tiny_transformer(), start)


def test_rows_of_another_width_are_refused():
    with pytest.raises((PromptRefused, ModelRefused), match="rows of 7"):
        bind(tiny_prompt()).check_fits(7, LETTERS)


def test_a_units_wild_rows_leave_the_others_bits_alone():
    """In the batch of `vmap` a bad index would end the call for all; in any engine each unit stands alone."""
    bound, wild = bind(tiny_prompt()), np.full((3, TINY.window), 1e300)
    wild[1] = -1e300
    good = encoded_task(1, 3, 3)
    bad = Task(wild, np.zeros(3), wild, np.zeros(3))
    rule = Maml(GradientSteps(1.0, 1), first_order=True)
    for engine in (f(bound, rule, loss="cross-entropy") for f in (LoopEngine, VmapEngine)):
        beside = engine.contributions(bound.start, [good, bad])
        assert np.isfinite(beside).all()
        np.testing.assert_allclose(beside[0], engine.contributions(bound.start, [good, good])[0], rtol=1e-12)
