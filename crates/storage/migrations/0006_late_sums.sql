-- Sums are written some seconds after the entries that they are of, and what a start has to add to them stands here.

-- Entries that may not be in all sums yet: of each batch, the ids in the order in which they were written, sixteen bytes
-- each. A batch goes when it is in all of them.
CREATE TABLE unsummed (
    batch   INTEGER PRIMARY KEY,
    entries BLOB NOT NULL
) STRICT;

-- Sums are written a drawer at a time: entries by their terms, lines of model configs by their ids. A drawer has every
-- batch up to this one; where it has no row, no batch of those above.
CREATE TABLE summed (
    drawer INTEGER PRIMARY KEY,
    batch  INTEGER NOT NULL
) STRICT;
