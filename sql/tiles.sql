-- The tiles of a ledger's Merkle tree: filling them as daybook_projector, reading them as daybook_reader.

-- name: leaf_tiles
-- The hashes of some tiles of level 0, all complete, from the events.
SELECT (seq - 1) / 256, string_agg(leaf, ''::bytea ORDER BY seq) FROM daybook.events
 WHERE ledger_id = %(ledger_id)s AND seq > %(first)s * 256 AND seq <= %(last)s * 256
 GROUP BY 1 ORDER BY 1;

-- name: upper_tiles
-- The same of a level above, from the roots of the level below.
SELECT index / 256, string_agg(root, ''::bytea ORDER BY index) FROM projections.tiles
 WHERE version = %(version)s AND ledger_id = %(ledger_id)s AND level = %(level)s - 1
   AND index >= %(first)s * 256 AND index < %(last)s * 256
 GROUP BY 1 ORDER BY 1;

-- name: insert_tile
INSERT INTO projections.tiles (version, ledger_id, level, index, root, hashes)
VALUES (%(version)s, %(ledger_id)s, %(level)s, %(index)s, %(root)s, %(hashes)s);

-- name: tile
-- A completed tile of the live version, if it is there.
SELECT t.hashes FROM projections.versions v JOIN projections.tiles t ON t.version = v.version
 WHERE v.projection = 'tiles' AND v.state = 'live'
   AND t.ledger_id = %(ledger_id)s AND t.level = %(level)s AND t.index = %(index)s;

-- name: roots
-- The roots of neighbouring tiles, as many of the first ones as are there.
SELECT t.index, t.root FROM projections.versions v JOIN projections.tiles t ON t.version = v.version
 WHERE v.projection = 'tiles' AND v.state = 'live'
   AND t.ledger_id = %(ledger_id)s AND t.level = %(level)s AND t.index >= %(first)s AND t.index < %(last)s
 ORDER BY t.index;

-- name: leaves
SELECT string_agg(leaf, ''::bytea ORDER BY seq) FROM daybook.events
 WHERE ledger_id = %(ledger_id)s AND seq > %(first)s AND seq <= %(last)s;

-- name: bodies
SELECT body FROM daybook.events
 WHERE ledger_id = %(ledger_id)s AND seq > %(first)s AND seq <= %(last)s ORDER BY seq;
