"""Keys are made once, private, and never shown; the allow-list is checked before anybody believes it."""

import copy
import pickle
import tomllib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from small_runs import arrays_plan, credentials_of, key_of, small_book, small_records

from fedmeta_crypto import SERVER
from secure_fedmeta.errors import IdentityRefused
from secure_fedmeta.federation.identities import (
    credentials_in_memory,
    own_identity,
    read_allow_list,
    write_allow_list,
)
from secure_fedmeta.run import federate
from secure_fedmeta.schedule import make_schedule

COHORT = (1, 2, 3)


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path):
    first = own_identity(tmp_path / "site")
    file = tmp_path / "site" / "identity.key"
    assert file.stat().st_mode & 0o777 == 0o600 and file.stat().st_size == 32
    assert (tmp_path / "site").stat().st_mode & 0o777 == 0o700
    assert own_identity(tmp_path / "site").public == first.public
    assert own_identity(tmp_path / "other").public != first.public


def test_a_key_that_others_may_read_is_refused(tmp_path):
    own_identity(tmp_path)
    (tmp_path / "identity.key").chmod(0o640)
    with pytest.raises(IdentityRefused, match=r"^SFM-112: others may read this key .*Remedy: "):
        own_identity(tmp_path)


def pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def test_pem_is_read_as_well(tmp_path):
    key = Ed25519PrivateKey.generate()
    (tmp_path / "identity.key").write_bytes(pem(key))
    (tmp_path / "identity.key").chmod(0o600)
    assert own_identity(tmp_path).public == key.public_key().public_bytes_raw()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(31),
        bytes(33),
        b"-----BEGIN PRIVATE KEY-----\n",
        pem(X25519PrivateKey.generate()),
        pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"word")),
    ],
)
def test_other_files_are_refused_and_not_shown(tmp_path, content):
    (tmp_path / "identity.key").write_bytes(content)
    (tmp_path / "identity.key").chmod(0o600)
    with pytest.raises(IdentityRefused, match="SFM-112") as caught:
        own_identity(tmp_path)
    assert len(content) < 20 or content.hex()[:16] not in str(caught.value)
    assert (tmp_path / "identity.key").read_bytes() == content


def listed(path):
    write_allow_list(path, key_of(SERVER).public, {i: (f"clinic-{i}", key_of(i).public) for i in COHORT})
    return path.read_text()


def test_the_list_is_read_back(tmp_path):
    listed(tmp_path / "a.toml")
    people = read_allow_list(tmp_path / "a.toml", COHORT)
    assert people.digest(COHORT) == credentials_of(1, COHORT).people.digest(COHORT)
    assert 'name = "clinic-2"' in (tmp_path / "a.toml").read_text()


@pytest.mark.parametrize(
    ("bend", "why"),
    [
        (lambda t: t.replace("id = 2", "id = 1"), "twice"),
        (lambda t: t.replace("clinic-2", "clinic-1"), "twice"),
        (lambda t: t.replace(key_of(2).public.hex(), key_of(1).public.hex()), "listed twice"),
        (lambda t: t.replace(key_of(2).public.hex(), key_of(SERVER).public.hex()), "listed twice"),
        (lambda t: t.replace("id = 2", "id = 9"), "not a site of this run"),
        (lambda t: t[: t.rindex("[[site]]")], "no key for the sites \\[3\\]"),
        (lambda t: t.replace(key_of(2).public.hex(), "00" * 32), "weak"),
        (lambda t: t.replace(key_of(2).public.hex(), "zz" * 32), "hex digits"),
        (lambda t: t.replace(key_of(2).public.hex(), "00"), "hex digits"),
        (lambda t: t.replace("server = ", "servant = "), "nothing else"),
        (lambda t: t.replace("id = 2", 'id = "2"'), "integer"),
        (lambda t: t.replace("id = 2", "id = true"), "integer"),
        (lambda t: t + "more = 1\n", "an id, a name and a key"),
        (lambda t: "server =", "not a TOML file"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path, bend, why):
    text = listed(tmp_path / "a.toml")
    (tmp_path / "a.toml").write_text(bend(text))
    with pytest.raises(IdentityRefused, match=why):
        read_allow_list(tmp_path / "a.toml", COHORT)


def test_a_missing_list_is_refused(tmp_path):
    with pytest.raises(IdentityRefused, match="SFM-112"):
        read_allow_list(tmp_path / "a.toml", COHORT)


def test_keys_in_memory_are_fresh_and_stay_there():
    schedule = make_schedule(arrays_plan(), clients=3, dimension=4)
    one, two = (credentials_in_memory(schedule, COHORT) for _ in range(2))
    assert len({c.identity.public for keys in (one, two) for c in keys.values()}) == 8
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="copied"):
            attempt(one[1])
    seeded = make_schedule(arrays_plan(insecure_reproducible=True), clients=3, dimension=4)
    a, b = (credentials_in_memory(seeded, COHORT) for _ in range(2))
    assert {i: c.identity.public for i, c in a.items()} == {i: c.identity.public for i, c in b.items()}


@pytest.mark.parametrize("strength", ["malicious", "semi-malicious"])
def test_no_secret_key_byte_is_anywhere_but_in_its_own_file(tmp_path, strength, capsys):
    run = federate(arrays_plan(strength=strength), small_records(4), small_book(), out=tmp_path / "run")
    keys = sorted(tmp_path.rglob("identity.key"))
    assert [str(k.parent.relative_to(tmp_path)) for k in keys] == [
        "run-server",
        *(f"run-sites/clinic-{i}" for i in (1, 2, 3, 4)),
    ]
    assert {k.stat().st_mode & 0o777 for k in keys} == {0o600}
    secrets = [key.read_bytes() for key in keys]
    assert len(set(secrets)) == 5 and all(len(secret) == 32 for secret in secrets)
    captured = capsys.readouterr()
    texts = [repr(run), captured.out, captured.err]
    blobs = [f.read_bytes() for f in tmp_path.rglob("*") if f.is_file() and f.name != "identity.key"]
    blobs += [text.encode() for text in texts]
    for secret in secrets:
        for form in (secret, secret.hex().encode(), secret.hex().upper().encode()):
            assert not any(form in blob or form[:12] in blob for blob in blobs)
    people = read_allow_list(tmp_path / "run" / "allow-list.toml", range(1, 5))
    assert people.public(SERVER) == own_identity(tmp_path / "run-server").public
    assert people.public(2) == own_identity(tmp_path / "run-sites" / "clinic-2").public


def test_unsigned_runs_make_no_keys(tmp_path):
    for name, settings in (("a", {"strength": "semi-honest"}), ("b", {"aggregation": "none"})):
        federate(arrays_plan(**settings), small_records(4), small_book(), out=tmp_path / name)
    assert not list(tmp_path.rglob("identity.key")) and not list(tmp_path.rglob("allow-list.toml"))


def test_a_link_in_the_place_of_a_key_is_not_followed(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "identity.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="File exists"):
        own_identity(tmp_path / "site")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["Klinikum Süd", "\U0001f3e5 north", 'quoted "one"', "back\\slash", "tab\tdel\x7f"])
def test_any_name_is_read_back(tmp_path, name):
    path = tmp_path / "allow-list.toml"
    write_allow_list(path, key_of(SERVER).public, {1: (name, key_of(1).public)})
    assert 1 in read_allow_list(path, (1,))
    assert tomllib.loads(path.read_text(encoding="utf-8"))["site"][0]["name"] == name
