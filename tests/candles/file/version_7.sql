BEGIN TRANSACTION;
CREATE TABLE arrivals (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  start INTEGER NOT NULL,                   -- milliseconds since 1970 UTC, start of a bar
  "end" INTEGER NOT NULL,                   -- not included
  source TEXT NOT NULL,                     -- empty where nobody said
  began INTEGER NOT NULL,                   -- the store's revision that brought the first of them
  arrived INTEGER NOT NULL,                 -- and the last of them
  lags BLOB,                                -- of bars that came one by one: revision less began, 4 bytes each
  PRIMARY KEY (timeframe, symbol, start)
) STRICT, WITHOUT ROWID;
INSERT INTO "arrivals" VALUES('A','1m',1756684800000,1756685520000,'one',1756708800000,1756708800000,NULL);
INSERT INTO "arrivals" VALUES('V','1m',1756684800000,1756685160000,'one',1756708980000,1756708980000,NULL);
CREATE TABLE bucket_digests (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  bucket INTEGER NOT NULL,                  -- time over the span of 128 bars, both in milliseconds
  candles INTEGER,                          -- null: none, or not under a digest yet
  revisions INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (timeframe, symbol, bucket)
) STRICT, WITHOUT ROWID;
INSERT INTO "bucket_digests" VALUES('A','1m',228735,NULL,1027175636436702267);
INSERT INTO "bucket_digests" VALUES('V','1m',228735,NULL,46469531064669595);
CREATE TABLE calendars (
  pattern TEXT PRIMARY KEY,
  calendar TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE candles (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  timestamp INTEGER NOT NULL,               -- milliseconds since 1970 UTC, start of the bar
  open REAL NOT NULL,
  high REAL NOT NULL,
  low REAL NOT NULL,
  close REAL NOT NULL,
  volume REAL NOT NULL,
  PRIMARY KEY (symbol, timeframe, timestamp)
) STRICT, WITHOUT ROWID;
INSERT INTO "candles" VALUES('A','1m',1756684800000,10.0,12.0,9.0,11.0,1.5);
INSERT INTO "candles" VALUES('A','1m',1756684860000,10.25,12.25,9.25,11.25,2.5);
INSERT INTO "candles" VALUES('A','1m',1756684920000,10.5,12.5,9.5,11.5,3.5);
INSERT INTO "candles" VALUES('A','1m',1756684980000,10.0,12.5,9.0,11.5,2.0);
INSERT INTO "candles" VALUES('A','1m',1756685040000,10.25,12.75,9.25,11.75,3.0);
INSERT INTO "candles" VALUES('A','1m',1756685100000,10.5,13.0,9.5,12.0,4.0);
INSERT INTO "candles" VALUES('A','1m',1756685160000,10.0,12.25,9.0,11.25,1.75);
INSERT INTO "candles" VALUES('A','1m',1756685220000,10.25,12.5,9.25,11.5,2.75);
INSERT INTO "candles" VALUES('A','1m',1756685280000,10.5,12.75,9.5,11.75,3.75);
INSERT INTO "candles" VALUES('A','1m',1756685340000,12.25,14.25,11.25,13.25,10.5);
INSERT INTO "candles" VALUES('A','1m',1756685400000,12.5,14.5,11.5,13.5,11.5);
INSERT INTO "candles" VALUES('A','1m',1756685460000,12.75,14.75,11.75,13.75,12.5);
INSERT INTO "candles" VALUES('V','1m',1756684800000,10.0,12.0,9.0,11.0,1.5);
INSERT INTO "candles" VALUES('V','1m',1756684860000,10.0,12.0,9.0,11.0,1.5);
INSERT INTO "candles" VALUES('V','1m',1756684920000,10.0,13.0,9.0,12.0,2.5);
INSERT INTO "candles" VALUES('V','1m',1756684980000,10.25,13.25,9.25,12.25,3.5);
INSERT INTO "candles" VALUES('V','1m',1756685040000,10.75,12.75,9.75,11.75,4.5);
INSERT INTO "candles" VALUES('V','1m',1756685100000,11.25,13.25,10.25,12.25,6.5);
CREATE TABLE cells (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  start INTEGER NOT NULL,                   -- milliseconds since 1970 UTC
  "end" INTEGER NOT NULL,                   -- not included
  pack TEXT NOT NULL,                       -- the file's name, without its suffix
  batch INTEGER NOT NULL,                   -- the record batch in it
  "offset" INTEGER NOT NULL,                -- the cell's first row in the batch
  rows INTEGER NOT NULL,
  digests BLOB NOT NULL,                    -- XXH3, 8 bytes for each 4,096 rows
  used INTEGER NOT NULL,                    -- the hour (since 1970) of about the last read
  PRIMARY KEY (timeframe, symbol, start)
) STRICT, WITHOUT ROWID;
INSERT INTO "cells" VALUES('A','1m',1756684800000,1756685460001,'588af7f9c83d1089',0,0,12,X'13E757974224B67F',487974);
INSERT INTO "cells" VALUES('V','1m',1756684800000,1756685100001,'cefd580cabfadba7-2',0,0,6,X'2D134F2CFFDB7928',487974);
CREATE TABLE coverage (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  start INTEGER NOT NULL,                   -- milliseconds since 1970 UTC, start of a bar
  "end" INTEGER NOT NULL,                   -- not included
  reason TEXT NOT NULL,                     -- why bars are not there; unknown: asked, and none came
  source TEXT NOT NULL,                     -- who was asked or says so; empty where nobody said
  asked INTEGER NOT NULL,                   -- ms since 1970 UTC; of what was joined, the last of a day
  PRIMARY KEY (timeframe, symbol, start)
) STRICT, WITHOUT ROWID;
CREATE TABLE declared (
  name TEXT PRIMARY KEY,
  resample TEXT NOT NULL,                   -- how a longer bar has it
  source TEXT NOT NULL,                     -- what else it is called in data, a JSON list
  symbols TEXT NOT NULL,                    -- patterns (GLOB) of symbols that it is kept of; empty for all
  timeframes TEXT NOT NULL                  -- timeframes that it is kept of; empty for all
) STRICT;
INSERT INTO "declared" VALUES('value','sum','[]','[]','[]');
INSERT INTO "declared" VALUES('trades','sum','[]','[]','[]');
CREATE TABLE digests (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  whole INTEGER NOT NULL DEFAULT 1,         -- 0: some of its candles are not under a digest yet
  bucket INTEGER NOT NULL DEFAULT -9223372036854775807, -- the last that was written
  candles INTEGER NOT NULL DEFAULT 0,       -- over the candles of that bucket
  series INTEGER NOT NULL DEFAULT 0,        -- and over its rows in the table of each name
  cells INTEGER NOT NULL DEFAULT 0,
  coverage INTEGER NOT NULL DEFAULT 0,
  arrivals INTEGER NOT NULL DEFAULT 0,
  unfinished INTEGER NOT NULL DEFAULT 0,
  calendars INTEGER NOT NULL DEFAULT 0,
  quarantine INTEGER NOT NULL DEFAULT 0, declared INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (timeframe, symbol)
) STRICT, WITHOUT ROWID;
INSERT INTO "digests" VALUES('','',1,-9223372036854775807,0,0,0,0,0,0,0,0,3027158579328347286);
INSERT INTO "digests" VALUES('A','1m',1,228735,836352532316745839,1312672870290031966,4176139199972580581,0,2505264377318476142,0,0,0,0);
INSERT INTO "digests" VALUES('V','1m',1,228735,3721343730544143201,47753358013723194,242002457463692673,0,4401298836331349354,0,0,0,0);
CREATE TABLE extra_revisions (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  timestamp INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  source TEXT NOT NULL, "value" REAL, "trades" REAL,                     -- where the new values came from
  PRIMARY KEY (timeframe, symbol, timestamp, revision)
) STRICT, WITHOUT ROWID;
INSERT INTO "extra_revisions" VALUES('V','1m',1756684860000,1756709040000,'two',1.5,NULL);
INSERT INTO "extra_revisions" VALUES('V','1m',1756684920000,1756709040000,'two',2.5,NULL);
INSERT INTO "extra_revisions" VALUES('V','1m',1756684920000,1756709100000,'two',2.0,1.0);
INSERT INTO "extra_revisions" VALUES('V','1m',1756684980000,1756709040000,'two',3.5,NULL);
INSERT INTO "extra_revisions" VALUES('V','1m',1756684980000,1756709100000,'two',4.0,2.0);
INSERT INTO "extra_revisions" VALUES('V','1m',1756685040000,1756709040000,'two',4.5,NULL);
CREATE TABLE extras (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  timestamp INTEGER NOT NULL, "value" REAL, "trades" REAL,
  PRIMARY KEY (symbol, timeframe, timestamp)
) STRICT, WITHOUT ROWID;
INSERT INTO "extras" VALUES('V','1m',1756684800000,0.5,NULL);
INSERT INTO "extras" VALUES('V','1m',1756684860000,0.0,0.0);
INSERT INTO "extras" VALUES('V','1m',1756684920000,0.0,1.0);
INSERT INTO "extras" VALUES('V','1m',1756684980000,3.0,2.0);
INSERT INTO "extras" VALUES('V','1m',1756685040000,6.0,3.0);
INSERT INTO "extras" VALUES('V','1m',1756685100000,5.5,NULL);
CREATE TABLE leases (
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL,                      -- where the process is, its number, when it began, and a token
  beat INTEGER NOT NULL                     -- counted up while the holder is at work
) STRICT, WITHOUT ROWID;
CREATE TABLE quarantine (
  id INTEGER PRIMARY KEY,
  quarantined_at INTEGER NOT NULL,          -- milliseconds since 1970 UTC
  symbol TEXT,
  timeframe TEXT,
  row INTEGER NOT NULL,                     -- its number in the data of that call, from 0
  "column" TEXT NOT NULL,
  rule TEXT NOT NULL,
  value TEXT NOT NULL,
  record TEXT NOT NULL                      -- the row as JSON
) STRICT;
CREATE TABLE revision (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  revision INTEGER NOT NULL
, negative INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "revision" VALUES(1,1756709100000,-1756709100000);
CREATE TABLE revisions (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  timestamp INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  open REAL NOT NULL,
  high REAL NOT NULL,
  low REAL NOT NULL,
  close REAL NOT NULL,
  volume REAL NOT NULL,
  source TEXT NOT NULL,                     -- where the new values came from
  PRIMARY KEY (timeframe, symbol, timestamp, revision)
) STRICT, WITHOUT ROWID;
INSERT INTO "revisions" VALUES('A','1m',1756684980000,1756708860000,10.75,12.75,9.75,11.75,4.5,'two');
INSERT INTO "revisions" VALUES('A','1m',1756685040000,1756708860000,11.0,13.0,10.0,12.0,5.5,'two');
INSERT INTO "revisions" VALUES('A','1m',1756685100000,1756708860000,11.25,13.25,10.25,12.25,6.5,'two');
INSERT INTO "revisions" VALUES('A','1m',1756685160000,1756708860000,11.5,13.5,10.5,12.5,7.5,'two');
INSERT INTO "revisions" VALUES('A','1m',1756685160000,1756708920000,10.75,13.25,9.75,12.25,5.0,'three');
INSERT INTO "revisions" VALUES('A','1m',1756685220000,1756708860000,11.75,13.75,10.75,12.75,8.5,'two');
INSERT INTO "revisions" VALUES('A','1m',1756685220000,1756708920000,11.0,13.5,10.0,12.5,6.0,'three');
INSERT INTO "revisions" VALUES('A','1m',1756685280000,1756708920000,12.0,14.0,11.0,13.0,9.5,'three');
INSERT INTO "revisions" VALUES('V','1m',1756684860000,1756709040000,10.25,12.25,9.25,11.25,2.5,'two');
INSERT INTO "revisions" VALUES('V','1m',1756684920000,1756709040000,10.5,12.5,9.5,11.5,3.5,'two');
INSERT INTO "revisions" VALUES('V','1m',1756684920000,1756709100000,10.25,12.25,9.25,11.25,2.5,'two');
INSERT INTO "revisions" VALUES('V','1m',1756684980000,1756709040000,10.75,12.75,9.75,11.75,4.5,'two');
INSERT INTO "revisions" VALUES('V','1m',1756684980000,1756709100000,10.5,12.5,9.5,11.5,3.5,'two');
INSERT INTO "revisions" VALUES('V','1m',1756685040000,1756709040000,11.0,13.0,10.0,12.0,5.5,'two');
CREATE TABLE schema_version (
  version INTEGER PRIMARY KEY,
  applied_at INTEGER NOT NULL,              -- milliseconds since 1970 UTC
  description TEXT NOT NULL
) STRICT
;
INSERT INTO "schema_version" VALUES(1,1795677209299,'candles, series, revision, quarantine');
INSERT INTO "schema_version" VALUES(2,1795677209299,'cells');
INSERT INTO "schema_version" VALUES(3,1795677209299,'coverage, unfinished, arrivals, revisions, calendars');
INSERT INTO "schema_version" VALUES(4,1795677209300,'digests');
INSERT INTO "schema_version" VALUES(5,1795677209322,'declared columns');
INSERT INTO "schema_version" VALUES(6,1795677209322,'leases, usage');
INSERT INTO "schema_version" VALUES(7,1795677209322,'upkeep');
CREATE TABLE series (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  first INTEGER NOT NULL,                   -- start of the first bar, milliseconds since 1970 UTC
  last INTEGER NOT NULL,                    -- start of the last bar
  rows INTEGER NOT NULL,
  revision INTEGER NOT NULL, tail_start INTEGER, tail_source TEXT, tail_began INTEGER, tail_lags BLOB, extras TEXT NOT NULL DEFAULT '',                -- the store's revision when this series last changed
  PRIMARY KEY (symbol, timeframe)
) STRICT, WITHOUT ROWID;
INSERT INTO "series" VALUES('A','1m',1756684800000,1756685460000,12,1756708920000,NULL,NULL,NULL,NULL,'');
INSERT INTO "series" VALUES('V','1m',1756684800000,1756685100000,6,1756709100000,NULL,NULL,NULL,NULL,'value trades');
CREATE TABLE unfinished (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  timestamp INTEGER NOT NULL,
  PRIMARY KEY (timeframe, symbol, timestamp)
) STRICT, WITHOUT ROWID;
CREATE TABLE upkeep (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  at INTEGER NOT NULL,                      -- milliseconds since 1970 UTC
  record TEXT NOT NULL                      -- JSON
) STRICT;
CREATE TABLE usage (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  asks REAL NOT NULL,                       -- how often, what is long past counting less and less
  PRIMARY KEY (symbol, timeframe)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX quarantine_once ON quarantine (ifnull(symbol, ''), ifnull(timeframe, ''), rule, record);
CREATE INDEX upkeep_by_kind ON upkeep (kind, id);
COMMIT;
