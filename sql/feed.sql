-- The event log beyond a seq, filtered, as ledger/feed.py reads it: by pages that are bounded in events looked at,
-- events wanted and bytes. Run as daybook_reader. Rows without a body only say how far the page has looked.

-- name: head_seq
SELECT seq FROM daybook.heads WHERE ledger_id = %(ledger_id)s;

-- name: log_page
SELECT seq, CASE WHEN wanted THEN leaf END, CASE WHEN wanted THEN body END
  FROM (SELECT seq, leaf, body, wanted,
               count(*) FILTER (WHERE wanted) OVER earlier AS events,
               coalesce(sum(length(body)) FILTER (WHERE wanted) OVER earlier, 0) AS bytes,
               seq = max(seq) OVER () AS last
          FROM (SELECT seq, leaf, body, %(types)s::text[] IS NULL OR type = ANY (%(types)s) AS wanted
                  FROM daybook.events WHERE ledger_id = %(ledger_id)s AND seq > %(after)s
                 ORDER BY ledger_id, seq LIMIT %(scan)s) AS scanned
        WINDOW earlier AS (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS page
 WHERE events < %(limit)s AND bytes < %(bytes)s AND (wanted OR last) ORDER BY seq;

-- name: stream_page
-- The same of one stream. Where the stream has no more, the head's row says that all was looked at.
WITH scanned AS (
    SELECT e.seq, e.leaf, e.body, %(types)s::text[] IS NULL OR e.type = ANY (%(types)s) AS wanted
      FROM (SELECT seq FROM daybook.event_streams
             WHERE ledger_id = %(ledger_id)s AND stream = %(stream)s AND seq > %(after)s
             ORDER BY ledger_id, stream, version LIMIT %(scan)s) AS s
     CROSS JOIN LATERAL (
        SELECT * FROM daybook.events WHERE ledger_id = %(ledger_id)s AND seq = s.seq OFFSET 0) AS e
), looked AS (
    SELECT * FROM scanned
     UNION ALL
    SELECT h.seq, NULL, NULL, false FROM daybook.heads h
     WHERE h.ledger_id = %(ledger_id)s AND h.seq > %(after)s AND (SELECT count(*) FROM scanned) < %(scan)s
       AND NOT EXISTS (SELECT FROM scanned s WHERE s.seq = h.seq)
)
SELECT seq, CASE WHEN wanted THEN leaf END, CASE WHEN wanted THEN body END
  FROM (SELECT seq, leaf, body, wanted,
               count(*) FILTER (WHERE wanted) OVER earlier AS events,
               coalesce(sum(length(body)) FILTER (WHERE wanted) OVER earlier, 0) AS bytes,
               seq = max(seq) OVER () AS last
          FROM looked WINDOW earlier AS (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS page
 WHERE events < %(limit)s AND bytes < %(bytes)s AND (wanted OR last) ORDER BY seq;
