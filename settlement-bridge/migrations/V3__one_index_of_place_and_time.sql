-- A range index of two columns finds rows by either, and a row is told to it once: PostgreSQL looks an index's map up for
-- every row that is appended.

CREATE INDEX transfers_seq_at ON transfers USING brin (seq, at);
DROP INDEX transfers_seq;
DROP INDEX transfers_at;
CREATE INDEX rejects_seq_at ON rejects USING brin (seq, at);
DROP INDEX rejects_seq;
DROP INDEX rejects_at;
