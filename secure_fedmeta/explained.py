# SPDX-License-Identifier: Apache-2.0
"""Meanings of numbers and words that have no class of their own: data errors, audit checks, exit statuses."""

from __future__ import annotations

# number: (classes that carry it, meaning, cause, remedy)
DATA_CODES: dict[str, tuple[str, str, str, str]] = {
    "SFM-130": (
        "RecordsError",
        "Arrays that do not make a site's records.",
        "Features, labels and ids of different lengths, labels that the loss does not take, or an id twice.",
        "Pass features (n, p), a label and a stable id for each row; `rows_repeat=True` where a person has several.",
    ),
    "SFM-131": (
        "CodebookError",
        "A codebook that cannot be read.",
        "The file is no TOML, has a key or table that is missing or unknown, or ranges are not pairs.",
        "Correct the file at the place named; `Codebook.from_ranges([(low, high), ...])` needs no file.",
    ),
    "SFM-132": (
        "CodebookError",
        "A codebook whose columns are impossible.",
        "An unknown transform, low not below high, a weight that is not positive, or a logarithm below zero.",
        "Correct the column named. Limits are public: never take them from the records.",
    ),
    "SFM-133": (
        "CodebookError, TaskError",
        "Arrays of the wrong type or shape.",
        "Strings, None, complex numbers or masked entries, rows of different lengths, or no rows at all.",
        "Pass one numeric array with a row for each sample, and one label for each row.",
    ),
    "SFM-134": (
        "CodebookError, TaskError",
        "NaN or infinity among the values.",
        "Missing entries that were read as NaN, or a division by zero before.",
        "Impute or remove these rows on the site; the text names the column and no value.",
    ),
    "SFM-135": (
        "CodebookError",
        "Values outside their public range.",
        "Another unit than the codebook's (mmol/l for mg/dl), an outlier, or a range that is too narrow.",
        'Correct the unit, agree on a wider public range, or clip on the site with `outside = "clip"`.',
    ),
    "SFM-136": (
        "CodebookError",
        "An unknown word for what happens to values outside their range.",
        "`on_outside` is neither 'refuse' nor 'clip'.",
        "Use 'refuse' (the default) or 'clip'.",
    ),
    "SFM-137": (
        "RecordsError, TaskError",
        "A setting of a data set or of its tasks is out of bounds.",
        "A count below one, a negative seed, a fraction outside its range, or the name of a set that is not known.",
        "Follow the remedy in the message: it names the setting and what it may be.",
    ),
    "SFM-138": (
        "TaskError",
        "Too few samples or classes for what was asked.",
        "More ways than classes, more shots than samples of a class, or a client with a single sample.",
        "Lower the counts, pool small clients or leave them out.",
    ),
    "SFM-139": (
        "LeafError",
        "A file of a LEAF set that is not in LEAF's layout.",
        "A missing field, samples and labels that differ in number, a file cut off, or another set than was named.",
        "Make the file again with LEAF's own scripts, or leave out the user that is named.",
    ),
    "SFM-150": (
        "TableError",
        "Somebody's own table, or a real file for a pilot, that no records can be made of.",
        "Missing cells, text among numbers, one class, a person twice, tiny sites, a column that tells the target.",
        "Correct what the message names; `secure-fedmeta check pilot.toml` lists all that is wrong at once.",
    ),
}

# exit status of `audit`: (verdict in words, meaning, cause, remedy)
EXITS: dict[int, tuple[str, str, str, str]] = {
    0: (
        "ok",
        "Every check was made, and none found anything.",
        "The ledger, the sites' heads and the keys from outside agree, and every epsilon was recomputed.",
        "Nothing; read what no audit of these files can show (docs/auditing.md).",
    ),
    1: (
        "no verdict",
        "There is nothing to judge; a numbered error says why.",
        "The ledger is unreadable, damaged or of another version, or a file that was named is missing.",
        "Explain the number that was printed, and get the whole folder again from the operator.",
    ),
    3: (
        "tampered",
        "Lines, signatures, models or sites' files contradict each other.",
        "A line was edited, dropped, moved or forged, a model was exchanged, or sites kept other heads.",
        "Do not rely on the run. Compare each site's heads with the ledger from the first line that differs.",
    ),
    4: (
        "claim too small",
        "What is stated is less than what follows from the rounds.",
        "An epsilon below the recomputed one, other noise than was stated, amplification for cohorts that are known.",
        "Use the recomputed epsilon, printed beside the stated one, and ask the operator where the other comes from.",
    ),
    5: (
        "incomplete",
        "Something could not be checked; it is named.",
        "Keys taken from the run itself, no heads from the sites, or no end line: interrupted or cut off.",
        "Get allow-list and heads from the sites, then audit with --roster and --heads.",
    ),
}

# check of `audit`: (looks at, a finding means)
AUDIT_CHECKS: dict[str, tuple[str, str]] = {
    "chain": (
        "Each line names the hash of the one before; one run line, rounds without gaps, one end line.",
        "Lines were dropped, repeated, moved or edited (3), or the end is missing: interrupted, or cut off (5).",
    ),
    "roster": (
        "Where the keys come from.",
        "They are the run's own (5): signatures then show only that one hand wrote all of it.",
    ),
    "signatures": (
        "The server's on every line, at least t sites' on every opened sum.",
        "One does not verify (3), or too few sites vouch for a sum (5).",
    ),
    "terms": (
        "Noise, clipping, sensitivity and thresholds, worked out anew from the stated settings.",
        "A round ran under other terms than were stated (4), or another accountant computed its epsilon (5).",
    ),
    "participation": (
        "Who was asked, answered and is in the sum; the books of every site, kept anew.",
        "Honest noises or charges are not what follows from who took part (4).",
    ),
    "noise": (
        "Each survivor's commitment to the key of its noise.",
        "A key was used twice: a difference of sums shows data (4); one is missing (5).",
    ),
    "epsilon": (
        "Every view in every line, by the exact bound and by a second accountant.",
        "The stated number is below the recomputed one (4), or written so that readers differ (5).",
    ),
    "sampling": (
        "That no amplification is claimed.",
        "Amplification was claimed for cohorts that the ledger names (4).",
    ),
    "statements": (
        "The first and the last line, which no site countersigns, and fields that no release writes.",
        "A guarantee, unit, delta or view in them does not follow (4), or is unknown here (5).",
    ),
    "heads": (
        "What sites kept, against the ledger.",
        "A fork, a cut tail, a round left out, a journal put back (3); files that are missing or empty (5).",
    ),
    "models": (
        "Every file of the folder.",
        "A model that no line names, or another one released (3); files that may hold models (5).",
    ),
}
