//! The tables, and how a database comes from an older version of them to the newest.
//!
//! Tables with much traffic are append-shaped: their key is an id that grows, so that the rows of
//! a group of commits share pages, whosever they are. An index costs a page per connection and
//! group instead, so each has to serve a look-up that is not rare. Deleting a connection, or the
//! tasks of a channel, is rare, and walks `task` and `callback` whole.
//!
//! Times are microseconds since 1970; documents are JSON text, to be read with standard tools.

use rusqlite::{Connection, TransactionBehavior};

use super::fail::Fail;

/// Tells our files from those of other programs: `Conn`.
pub(super) const APPLICATION_ID: i32 = 0x436f_6e6e;

/// The text of each step from one version to the next. A step that was released never changes.
const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE meta(
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE setting(
  name TEXT PRIMARY KEY,
  value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE connection(
  id INTEGER PRIMARY KEY,
  connector TEXT NOT NULL,
  owner TEXT NOT NULL,
  status TEXT NOT NULL,
  version INTEGER NOT NULL,
  doc TEXT NOT NULL
);
CREATE INDEX connection_owner ON connection(owner);

CREATE TABLE channel(
  connection_id INTEGER NOT NULL,
  id TEXT NOT NULL,
  saved INTEGER NOT NULL,
  version INTEGER NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY(connection_id, id)
) WITHOUT ROWID;

CREATE TABLE state(
  connection_id INTEGER NOT NULL,
  key TEXT NOT NULL,
  version INTEGER NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY(connection_id, key)
) WITHOUT ROWID;

CREATE TABLE callback(
  id INTEGER PRIMARY KEY,
  connection_id INTEGER NOT NULL,
  body BLOB NOT NULL
);
CREATE TABLE revoked(
  connection_id INTEGER NOT NULL,
  nonce TEXT NOT NULL,
  PRIMARY KEY(connection_id, nonce)
) WITHOUT ROWID;

CREATE TABLE task(
  id INTEGER PRIMARY KEY,
  connection_id INTEGER NOT NULL,
  run_at INTEGER,
  attempt INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  key TEXT,
  channel TEXT,
  priority INTEGER NOT NULL,
  every_ms INTEGER,
  payload BLOB NOT NULL,
  errors TEXT
);
CREATE INDEX task_due ON task(run_at) WHERE run_at IS NOT NULL;
CREATE UNIQUE INDEX task_key ON task(connection_id, key) WHERE key IS NOT NULL;

CREATE TABLE dead(
  id INTEGER PRIMARY KEY,
  connection_id INTEGER NOT NULL,
  run_at INTEGER,
  attempt INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  key TEXT,
  channel TEXT,
  priority INTEGER NOT NULL,
  every_ms INTEGER,
  payload BLOB NOT NULL,
  errors TEXT,
  died_at INTEGER NOT NULL
);
CREATE INDEX dead_connection ON dead(connection_id);

CREATE TABLE link(
  id INTEGER PRIMARY KEY,
  connection_id INTEGER NOT NULL,
  source TEXT NOT NULL,
  thread_id INTEGER NOT NULL,
  channel TEXT NOT NULL,
  type TEXT NOT NULL,
  status TEXT,
  occurred_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  archived INTEGER NOT NULL,
  version INTEGER NOT NULL,
  doc TEXT NOT NULL
);
CREATE UNIQUE INDEX link_source ON link(source, connection_id);
CREATE INDEX link_thread ON link(thread_id);
CREATE INDEX link_updated ON link(connection_id, updated_at);

CREATE TABLE note(
  id INTEGER PRIMARY KEY,
  connection_id INTEGER NOT NULL,
  link_id INTEGER NOT NULL,
  key TEXT,
  occurred_at INTEGER NOT NULL,
  version INTEGER NOT NULL,
  baseline TEXT,
  doc TEXT NOT NULL
);
CREATE UNIQUE INDEX note_key ON note(link_id, key);

CREATE TABLE source(
  source TEXT PRIMARY KEY,
  thread_id INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX source_thread ON source(thread_id);

CREATE TABLE thread_alias(
  from_id INTEGER PRIMARY KEY,
  into_id INTEGER NOT NULL
);
CREATE INDEX thread_alias_into ON thread_alias(into_id);

CREATE TABLE user_thread(
  thread_id INTEGER NOT NULL,
  user TEXT NOT NULL,
  unread INTEGER NOT NULL,
  todo INTEGER NOT NULL,
  todo_date TEXT,
  archived INTEGER NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY(thread_id, user)
) WITHOUT ROWID;

CREATE TABLE feed(
  position INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  connection_id INTEGER,
  ref TEXT NOT NULL
);

INSERT INTO meta(name, value) VALUES('next_id', 1), ('clean', 1);
",
    "
ALTER TABLE connection ADD COLUMN tenant TEXT;
CREATE INDEX connection_tenant ON connection(tenant, connector) WHERE tenant IS NOT NULL;

CREATE TABLE delivery(
  id INTEGER PRIMARY KEY,
  connection_id INTEGER NOT NULL,
  key TEXT,
  callback TEXT NOT NULL,
  channel TEXT,
  received_at INTEGER NOT NULL,
  task_id INTEGER NOT NULL,
  size INTEGER NOT NULL,
  request BLOB NOT NULL
);
CREATE UNIQUE INDEX delivery_key ON delivery(connection_id, key) WHERE key IS NOT NULL;
CREATE INDEX delivery_received ON delivery(received_at);
",
    // What has a column stands in the document no more.
    "
UPDATE link SET doc = json_remove(doc, '$.id', '$.thread', '$.source', '$.type', '$.channel', '$.status',
  '$.occurred_at', '$.updated_at', '$.archived');
",
    "
CREATE TABLE secret(
  name TEXT PRIMARY KEY,
  connection_id INTEGER,
  sealed TEXT NOT NULL,
  expires_at INTEGER,
  version INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX secret_connection ON secret(connection_id);

-- A connection held its credential within its row; it names it now.
INSERT INTO secret(name, connection_id, sealed, version)
SELECT 'credential/' || id, id, json_extract(doc, '$.credential'), 1 FROM connection
WHERE json_extract(doc, '$.credential') IS NOT NULL;
UPDATE connection SET doc = json_set(doc, '$.credential', 'credential/' || id)
WHERE json_extract(doc, '$.credential') IS NOT NULL;
",
    "
CREATE TABLE file(
  id INTEGER PRIMARY KEY,
  owner TEXT NOT NULL,
  name TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size INTEGER,
  created_at INTEGER NOT NULL,
  version INTEGER NOT NULL
);

CREATE TABLE file_chunk(
  file_id INTEGER NOT NULL,
  place INTEGER NOT NULL,
  bytes BLOB NOT NULL
);
CREATE UNIQUE INDEX file_chunk_place ON file_chunk(file_id, place);

-- Which notes have a file, so that it goes with the last of them.
CREATE TABLE note_file(
  note_id INTEGER NOT NULL,
  file_id INTEGER NOT NULL,
  PRIMARY KEY(note_id, file_id)
) WITHOUT ROWID;
CREATE INDEX note_file_file ON note_file(file_id);
",
    // Entries of one commit that are alike share a row: its position is that of the last of them.
    "
UPDATE feed SET ref = json_array(ref);
ALTER TABLE feed RENAME COLUMN ref TO refs;
",
    // How much a user has uploaded is counted at each upload.
    "
CREATE INDEX file_owner ON file(owner);
",
    // What no two connections have in common; and what disconnected connections left of their sources.
    "
CREATE TABLE claim(
  claim TEXT PRIMARY KEY,
  connection_id INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX claim_connection ON claim(connection_id);
DELETE FROM source WHERE NOT EXISTS (SELECT 1 FROM link WHERE link.thread_id = source.thread_id);
",
    // Idempotency keys are made of it. The runs that are stored here keep the keys that they have sent.
    "
ALTER TABLE task ADD COLUMN nonce BLOB;
ALTER TABLE dead ADD COLUMN nonce BLOB;
",
    // The index of searches, by the ids of links and notes; and the rows that are to be indexed. Those that were there
    // before, below the id in `search_below`, are indexed from the newest to the oldest while the host runs. The
    // tokenizer splits at spaces only what has been split into tokens before.
    "
CREATE VIRTUAL TABLE search USING fts5(tokens, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii');

CREATE TABLE search_due(
  seq INTEGER PRIMARY KEY,
  ids TEXT NOT NULL
);

INSERT INTO meta(name, value)
SELECT 'search_below', MAX(COALESCE((SELECT MAX(id) + 1 FROM link), 0), COALESCE((SELECT MAX(id) + 1 FROM note), 0));
",
];

/// The version that the migrations lead to.
pub(super) fn newest() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// The version of a database, zero for one without tables.
pub(super) fn version(connection: &Connection) -> Result<u32, Fail> {
    let tables: i64 = connection.query_row("SELECT COUNT(*) FROM sqlite_master", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(0);
    }
    let version: i64 =
        connection.query_row("SELECT value FROM meta WHERE name = 'schema_version'", [], |row| row.get(0))?;
    u32::try_from(version).map_err(|_| Fail::Damaged(format!("its schema version is {version}")))
}

/// Takes every step from one version up to another, each whole or not at all.
pub(super) fn migrate(connection: &mut Connection, steps: std::ops::Range<u32>) -> Result<(), Fail> {
    let wanted = MIGRATIONS.iter().zip(1_u32..).skip(steps.start as usize).take(steps.len());
    for (step, next) in wanted {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if next == 1 {
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        transaction.execute_batch(step)?;
        transaction.execute("INSERT OR REPLACE INTO meta(name, value) VALUES('schema_version', ?1)", [next])?;
        transaction.commit()?;
    }
    Ok(())
}
