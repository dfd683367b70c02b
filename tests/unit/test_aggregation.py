# SPDX-License-Identifier: Apache-2.0
"""The plan's word for how uploads are added: rings, refusals, and which epsilon each word claims."""

import math

import pytest

from fedmeta_crypto.homomorphic.rlwe import PRESETS
from fedmeta_crypto.homomorphic.trust import TrustModel
from fedmeta_privacy.errors import SurplusRefused
from fedmeta_privacy.ledger import canonical
from secure_fedmeta.aggregation import (
    EXPOSED,
    LATTICE,
    SPLIT,
    SUM_ONLY,
    WORDS,
    foundation,
    ring_bits,
    scheme_of,
    trust_of,
)
from secure_fedmeta.cli import main
from secure_fedmeta.errors import AggregationRefused, SettingError
from secure_fedmeta.federation.accounts import Accounts
from secure_fedmeta.guarantee import encryption_line, guarantee_sentence, protocol_line, worst_case_lines
from secure_fedmeta.plan import Plan
from secure_fedmeta.schedule import make_schedule

COHORT = tuple(range(1, 11))
ENCRYPTED = sorted(LATTICE | SPLIT)


def made(word="mask", *, clients=10, dimension=31, **settings):
    return make_schedule(Plan.make({"aggregation": word} | settings), clients=clients, dimension=dimension)


def spent_of(schedule, rounds=1):
    books = Accounts(schedule, COHORT)
    for _ in range(rounds):
        books.record(uploaded=frozenset(COHORT), survivors=frozenset(COHORT))
    return books, books.spent()


# -- words and rings -----------------------------------------------------------------------------------


def test_every_word_runs():
    assert set(PRESETS) == LATTICE and set(WORDS) == SUM_ONLY | EXPOSED and not SUM_ONLY & EXPOSED
    for word in WORDS:
        assert made(word).masked == (word in SUM_ONLY)


def test_an_unknown_word_is_a_setting_error():
    with pytest.raises(SettingError, match="SFM-101: aggregation = 'he'"):
        Plan.make({"aggregation": "he"})


@pytest.mark.parametrize("n", [3, 4, 10, 16, 17, 50, 64, 200, 500, 2000])
def test_the_ring_has_sixteen_bits_a_value_or_what_the_preset_opens(n):
    bits = ring_bits("rlwe32", clients=n, dimension=1000)
    wanted = 16 + math.ceil(math.log2(n))
    opens = PRESETS["rlwe32"].most_clients
    assert bits <= wanted and opens(modulus_bits=bits, dimension=1000) >= n
    assert bits == wanted or opens(modulus_bits=bits + 1, dimension=1000) < n
    assert ring_bits("rlwe32", clients=n, dimension=1000, stated=11) == 11


def test_masks_and_rlwe64_keep_thirty_two_bits_and_a_stated_ring_stays():
    assert [made(word).encoding.modulus_bits for word in ("mask", "none", "rlwe64", "rlwe32", "bfv")] == [
        32,
        32,
        32,
        20,
        22,
    ]
    assert made("bfv", clients=65, delta=1e-6).encoding.modulus_bits == 32  # one value to a word
    assert {made(word, modulus_bits=21).encoding.modulus_bits for word in WORDS} == {21}


def test_the_session_carries_the_secret_and_not_the_vector():
    for word, degree in (("rlwe32", 2048), ("rlwe64", 4096)):
        schedule = made(word)
        assert (schedule.session_length, schedule.length) == (degree, 31)
        assert 2 ** (schedule.session_modulus_bits - 1) > 10 * 87  # the sum of ten centred secrets does not wrap
    assert (made().session_length, made().session_modulus_bits) == (31, 32)


@pytest.mark.parametrize(("n", "bits", "word"), [(64, 22, "rlwe32"), (10, 30, "rlwe32"), (3, 32, "rlwe32")])
def test_what_does_not_fit_the_preset_is_refused_by_number(n, bits, word):
    most = PRESETS[word].most_clients(modulus_bits=bits, dimension=31) if bits < 32 else 0
    assert most < n
    with pytest.raises(AggregationRefused, match=rf'SFM-148: aggregation = "{word}": .*at most {most} clients'):
        made(word, clients=n, modulus_bits=bits, delta=1e-6)
    assert scheme_of("rlwe64", clients=n, bits=bits, dimension=31) is not None  # the wider one has room


def test_refusals_reach_the_command_line(tmp_path, capsys):
    options = ("--aggregation", "bfv", "--strength", "semi-honest")
    assert main(["run", "hospital", "--rounds", "1", "--out", str(tmp_path / "run"), *options]) != 0
    said = capsys.readouterr().err
    assert "SFM-148" in said and "Remedy" in said and not (tmp_path / "run").exists()


def test_the_check_verb_calls_unmasked_encryption_a_leak(tmp_path, capsys):
    (tmp_path / "plan.toml").write_text('pilot = "hospital"\naggregation = "ckks"\n')
    main(["check", str(tmp_path / "plan.toml")])
    said = capsys.readouterr().out
    assert "SFM-552" in said and 'aggregation = "ckks"' in said


# -- behaviour -----------------------------------------------------------------------------------------


def test_masked_plans_behave_as_they_did():
    """Digests of the release before encryption: the same masks, and ledgers that still follow."""
    old = {
        (): "5ba5f7657b99c7f7ac4ffd3fe83a20689371a7aba5c437758c71520853517f73",
        (("aggregation", "none"),): "3715152586aa1a19eb311cd7b9cdff8a549c5489af3d5ec8ed90428d19ed1c44",
        (
            ("strength", "semi-honest"),
            ("dropout_noise", "surplus"),
            ("modulus_bits", 24),
        ): "c3e289f11d378d816ec9bad951167ab708d07ed72acaf1566f7f25232132a139",
    }
    for settings, digest in old.items():
        schedule = make_schedule(Plan.make(dict(settings)), clients=10, dimension=31)
        assert schedule.behaviour_digest.hex() == digest
        assert "scheme" not in schedule.behaviour()


def test_the_scheme_is_bound_into_the_behaviour():
    bodies = {word: made(word, modulus_bits=20).behaviour() for word in ("mask", "bfv", "rlwe32", "rlwe64")}
    assert len({canonical(body) for body in bodies.values()}) == 4
    for word in ENCRYPTED:
        scheme = scheme_of(word, clients=10, bits=20, dimension=31)
        assert bodies[word]["scheme"] == scheme.digest.hex() and bodies[word]["aggregation"] == word
    assert made("rlwe32", modulus_bits=20).behaviour_digest == made("rlwe32").behaviour_digest  # stated or not


# -- claims --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ENCRYPTED)
def test_encryption_claims_the_epsilon_of_masks_and_not_less(word):
    mask, encrypted = made("mask", modulus_bits=20), made(word, modulus_bits=20)
    assert encrypted.noise == mask.noise and encrypted.limit == mask.limit
    assert encrypted.floor_shift == mask.floor_shift and encrypted.planned_shift == mask.planned_shift
    assert spent_of(encrypted, 5)[1] == spent_of(mask, 5)[1]
    assert encrypted.hiding.trust is trust_of(word) and encrypted.hiding.trust.sum_only


def test_only_words_of_the_sum_alone_count_others_noise():
    for word in WORDS:
        schedule = made(word)
        trust = trust_of(word)
        assert trust is None or trust.sum_only == schedule.masked
        _, spent = spent_of(schedule)
        if schedule.masked:
            assert schedule.honest(10) == 9 and spent.server < spent.local
        else:
            assert schedule.honest(10) == 1 and spent.server == spent.local
    assert made("none").scale > 2 * made("mask").scale  # each upload by itself


def test_a_trust_model_that_shows_uploads_claims_the_epsilon_of_bare_ones():
    assert trust_of("ckks") is TrustModel.SPLIT and not TrustModel.SPLIT.sum_only
    ckks, bare = made("ckks", modulus_bits=28), made("none", modulus_bits=28)
    assert ckks.noise == bare.noise and spent_of(ckks, 3)[1] == spent_of(bare, 3)[1]
    assert ckks.behaviour_digest != bare.behaviour_digest
    with pytest.raises(SurplusRefused):
        made("ckks", dropout_noise="surplus")
    sentence = guarantee_sentence(ckks, spent_of(ckks)[1])
    assert "each site's upload included" in sentence and "could read each" in sentence
    assert "Li and Micciancio" in sentence and "of a step before it is rounded" in sentence


@pytest.mark.parametrize("word", ENCRYPTED)
def test_sentences_name_who_could_decrypt_what(word):
    schedule = made(word)
    books, spent = spent_of(schedule)
    sentence = guarantee_sentence(schedule, spent)
    trust = trust_of(word)
    assert trust.who_could_read in sentence and ("Research grade" in sentence) == (word in LATTICE)
    assert f"{foundation(schedule.scheme)}." in sentence and ", 128 bits by" in sentence
    assert "the sum over at least 9 sites" in sentence and "e^3 " in sentence
    line = protocol_line(schedule)
    assert line.startswith(f"{word} ({trust.value}), ring 2^") and "SFM-SecAgg/1" in line
    assert worst_case_lines(schedule, books) and encryption_line(made("mask")) == ""
    assert "encrypted" not in guarantee_sentence(made("mask"), spent_of(made("mask"))[1])


@pytest.mark.parametrize("word", ENCRYPTED)
@pytest.mark.parametrize("settings", [{"epsilon": None}, {"insecure_reproducible": True}])
def test_without_noise_or_with_a_seed_encryption_claims_nothing(word, settings):
    schedule = made(word, **settings)
    _, spent = spent_of(schedule)
    assert not schedule.private and guarantee_sentence(schedule, spent).startswith("No privacy guarantee")
    assert all(math.isinf(value) for value in spent.as_views().values())
