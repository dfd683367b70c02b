"""A party reads its own folder; its policy decides before any record is read; what is unsound is a numbered error."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from fedmeta_crypto.identities import Identity
from secure_fedmeta.cli import main
from secure_fedmeta.datasets.described import Column, Description
from secure_fedmeta.datasets.own import records_of
from secure_fedmeta.datasets.table import Table, TableError
from secure_fedmeta.errors import FileError, IdentityRefused, PolicyRefused, SettingError
from secure_fedmeta.federation.exchange import Exchange, Refused
from secure_fedmeta.flower import certificates, enrol, hello
from secure_fedmeta.flower.loopback import Loopback
from secure_fedmeta.flower.places import read_place, read_server
from secure_fedmeta.flower.policy import Policy
from tests.support.own_tables import HEAD, made_rows


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "federation"
    assert main(["new", str(folder), "--flower", "--clients", "4", "--rounds", "2"]) == 0
    return folder


@pytest.fixture
def place(federation, tmp_path):
    import shutil

    shutil.copytree(federation, tmp_path / "federation")
    return tmp_path / "federation"


def homes(place):
    return sorted((place / "sites").iterdir())


def test_what_new_writes_is_read_by_every_party(place):
    server = read_server(place / "server")
    parts = [read_place(home) for home in homes(place)]
    assert [each.number for each in parts] == [1, 2, 3, 4] and len(server.names) == 4
    assert {each.schedule.behaviour_hash(b"") for each in parts} == {server.schedule.behaviour_hash(b"")}
    assert all((home / "identity.key").stat().st_mode & 0o77 == 0 for home in homes(place))
    packed = [path.name for path in (place / "app").rglob("*") if path.is_file()]
    assert sorted(packed) == ["__init__.py", "client.py", "pyproject.toml", "server.py"]  # no key goes to anybody
    assert Loopback(place).environment["FLWR_TELEMETRY_ENABLED"] == "0"


def test_a_second_one_in_the_same_place_is_refused(place, capsys):
    assert main(["new", str(place), "--flower"]) == 1
    assert "something is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "limit"),
    [
        ("least_sites = 5", "least_sites"),
        ("least_survivors = 5", "least_survivors"),
        ("most_epsilon = 2.9", "most_epsilon"),
        ("most_delta = 1e-9", "most_delta"),
        ("most_rounds = 1", "most_rounds"),
        ('algorithms = ["fomaml"]', "algorithms"),
        ('strengths = ["semi-honest"]', "strengths"),
        ('aggregations = ["rlwe32"]', "aggregations"),
        ('units = ["client"]', "units"),
        ("most_parameters = 30", "most_parameters"),
        ('architecture = "00"', "architecture"),
    ],
)
def test_a_site_s_administrator_decides(place, line, limit, monkeypatch):
    home = homes(place)[0]
    (home / "policy.toml").write_text(line)
    monkeypatch.setattr("secure_fedmeta.flower.places._records", lambda *_: pytest.fail("records were read"))
    with pytest.raises(PolicyRefused, match=f"SFM-124: {limit}"):
        read_place(home)


def test_an_empty_policy_allows_and_a_missing_one_does_not(place):
    home = homes(place)[0]
    (home / "policy.toml").write_text("")
    assert read_place(home).number == 1
    (home / "policy.toml").unlink()
    with pytest.raises(FileError, match="SFM-103: cannot read the site's policy"):
        read_place(home)


@pytest.mark.parametrize("text", ["least = 3", "least_sites = true", 'algorithms = "maml"', "most_epsilon = -1", "[["])
def test_policies_that_are_none(tmp_path, text):
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(FileError, match="SFM-103"):
        Policy.read(path)


def test_without_noise_a_bound_on_epsilon_refuses(place):
    text = (place / "pilot.toml").read_text()
    (place / "pilot.toml").write_text(text.replace("epsilon = 3.0", 'epsilon = "none"'))
    with pytest.raises(PolicyRefused, match="most_epsilon: there is no bound"):
        read_place(homes(place)[0])


def test_strangers_and_wrong_keys(place):
    home, other = homes(place)[:2]
    (home / "site.toml").write_text((home / "site.toml").read_text().replace("hospital-01", "hospital-99"))
    with pytest.raises(IdentityRefused, match="is not on the list"):
        read_place(home)
    (home / "site.toml").write_text((home / "site.toml").read_text().replace("hospital-99", "hospital-01"))
    (home / "identity.key").unlink()
    (home / "identity.key").write_bytes((other / "identity.key").read_bytes())
    (home / "identity.key").chmod(0o600)
    with pytest.raises(IdentityRefused, match="is not this site's"):
        read_place(home)


@pytest.mark.parametrize("text", ["", 'name = "x"', 'name = 3\nplan = "p"\nallow_list = "a"', "\x00"])
def test_site_files_that_are_none(place, text):
    home = homes(place)[0]
    (home / "site.toml").write_text(text)
    with pytest.raises(FileError, match="SFM-103"):
        read_place(home)


def test_a_plan_for_more_sites_than_are_listed(place):
    text = (place / "pilot.toml").read_text()
    (place / "pilot.toml").write_text(text.replace("clients = 4", "clients = 5"))
    with pytest.raises((SettingError, IdentityRefused)):
        read_server(place / "server")


def test_who_is_there_is_proved(place):
    parts, server = read_place(homes(place)[1]), read_server(place / "server")
    people, asked = server.credentials.people, hello.question(bytes(32))
    told = hello.answer(asked, 2, parts.schedule, unspent=True, identity=parts.credentials.identity)
    assert hello.is_question(asked) and hello.read_answer(asked, told, server.schedule, people) == (2, True)
    for bad in (
        told[:-1],
        told[:11] + b"\x03" + told[12:],  # as another site
        hello.answer(asked, 2, parts.schedule, unspent=False, identity=parts.credentials.identity)[:16] + told[16:],
        hello.answer(asked, 2, parts.schedule, unspent=True, identity=Identity(bytes(32))),
        hello.answer(asked, 9, parts.schedule, unspent=True, identity=parts.credentials.identity),
        hello.answer(hello.question(bytes([1] * 32)), 2, parts.schedule, unspent=True, identity=None),
    ):
        assert hello.read_answer(asked, bad, server.schedule, people) is None


def test_enrolment_makes_a_party_and_shows_its_public_half(tmp_path, capsys):
    plan, listed = tmp_path / "pilot.toml", tmp_path / "allow-list.toml"
    arguments = ["--plan", str(plan), "--allow-list", str(listed)]
    assert enrol.main([str(tmp_path / "north"), "--name", "north", *arguments, "--data", str(tmp_path / "n.csv")]) == 0
    assert enrol.main([str(tmp_path / "server"), "--server", *arguments]) == 0
    said = capsys.readouterr().out
    key = (tmp_path / "north" / "identity.key").read_bytes()
    assert Identity(key).public.hex() in said and key.hex() not in said and said.count("[[site]]") == 1
    assert 'data = "../n.csv"' in (tmp_path / "north" / "site.toml").read_text()
    (tmp_path / "north" / "policy.toml").write_text("least_sites = 3")
    enrol.main([str(tmp_path / "north"), "--name", "north", *arguments])
    assert (tmp_path / "north" / "policy.toml").read_text() == "least_sites = 3"  # what was there stays
    assert (tmp_path / "north" / "identity.key").read_bytes() == key


def test_a_site_of_an_own_table_reads_its_own_rows_alone():
    rows = [row for row in made_rows(sites=3, persons=30) if row[1] == "Clinic 1"]
    features = (Column("age", low=0, high=120), Column("sex", values=("f", "m")))
    described = Description("died", "1", "hospital", "patient", features)
    table = Table.of({name: [row[i] for row in rows] for i, name in enumerate(HEAD)})
    settings = {"outside": "refuse", "key": bytes(32), "repeat": False}
    held = records_of(table, described, site="Clinic 1", **settings)
    assert held.name == "Clinic-1" and 12 <= len(held.ids) < 30
    with pytest.raises(TableError, match="30 rows are of another site"):
        records_of(table, described, site="Clinic 2", **settings)


def test_certificates_of_all_and_once(tmp_path):
    into = tmp_path / "certificates"
    assert certificates.main(["link.example.org", "north", "south", "--into", str(into)]) == 0
    authority = x509.load_pem_x509_certificate((into / "ca.crt").read_bytes())
    link = x509.load_pem_x509_certificate((into / "superlink" / "tls.crt").read_bytes())
    link.verify_directly_issued_by(authority)
    names = link.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "link.example.org"]
    assert all((into / each).stat().st_mode & 0o77 == 0 for each in ("ca.key", "north/node.key", "north/tls.key"))
    public = serialization.load_ssh_public_key((into / "north" / "node.pub").read_bytes())
    assert public.curve.name == "secp384r1"
    before = (into / "north" / "node.key").read_bytes()
    certificates.make(into, "link.example.org", ["north", "east"])
    assert (into / "north" / "node.key").read_bytes() == before and (into / "east" / "tls.crt").is_file()
    (into / "ca.key").write_text("nonsense")
    with pytest.raises(FileError, match="no key or certificate of ours"):
        certificates.make(into, "link.example.org", ["west"])


def test_an_exchange_drops_nobody_by_chance(place):
    from secure_fedmeta.errors import RunError

    parts = read_server(place / "server")
    with pytest.raises(RunError, match="drops sites out by chance"):
        Exchange(parts.pilot.schedule_for(parts.plan.changed(dropout=0.1)), (1, 2, 3, 4), None)
    assert Refused("x").text == "x"
