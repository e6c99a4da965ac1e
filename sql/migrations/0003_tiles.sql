-- Tiles of the Merkle trees.

CREATE TABLE projections.tiles (
    version    integer NOT NULL,
    ledger_id  integer NOT NULL,
    level      smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    index      bigint NOT NULL CHECK (index >= 0),
    root       bytea NOT NULL CHECK (length(root) = 32),
    hashes     bytea NOT NULL CHECK (length(hashes) = 256 * 32),
    PRIMARY KEY (version, ledger_id, level, index)
) PARTITION BY LIST (version);
ALTER TABLE projections.tiles ALTER hashes SET STORAGE EXTERNAL;
COMMENT ON TABLE projections.tiles IS
    'Completed tiles (C2SP tlog-tiles): 256 neighbouring hashes of a level of the tree, and the root over them.';
COMMENT ON COLUMN projections.tiles.root IS
    'The hash of this tile in the level above: a tile there that is not complete yet is read as these.';

SELECT projections.take_in('projections.tiles');
