"""Small tables of made-up persons, as CSV text that tests can spoil."""

import csv
import io
import random

HEAD = ("patient", "hospital", "age", "lactate", "sex", "died")


def made_rows(*, sites=5, persons=30, rows=1, seed=0):
    """A list of rows below `HEAD`; each person has `rows` rows at one site."""
    rng = random.Random(seed)
    out, number = [], 0
    for site in range(sites):
        for _ in range(persons):
            number += 1
            for _ in range(rows):
                age, lactate = rng.uniform(20, 90), rng.uniform(0.5, 9)
                sick = rng.random() < 1 / (1 + 2.718 ** (6 - 0.06 * age - 0.6 * lactate))
                out.append(
                    [f"p{number}", f"Clinic {site}", f"{age:.0f}", f"{lactate:.2f}", rng.choice("fm"), str(int(sick))]
                )
    return out


def as_csv(rows, head=HEAD, delimiter=","):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()
