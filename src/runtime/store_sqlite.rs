//! The store as an SQLite file.

use crate::store::schema::{PUT, REMOVE, SELECT, STEPS};
use crate::store::{Change, ContactRecord, Store, StoreError};
use rusqlite::{Connection, Row, params};
use std::path::Path;
use std::time::Duration;

/// The file in the state directory.
const FILE: &str = "ringway.db";
/// How long another gateway on the same directory is waited for at the start: one that ends.
const BUSY_WAIT: Duration = Duration::from_millis(500);

/// An open database. No other process can have it open at the same time.
pub struct SqliteStore {
    connection: Connection,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        StoreError(error.to_string())
    }
}

impl SqliteStore {
    /// Opens the database of a state directory, and makes both if they are not there.
    ///
    /// # Errors
    /// It cannot be read and written, is of a later version, or another gateway has it.
    pub fn open(directory: &Path) -> Result<SqliteStore, StoreError> {
        std::fs::create_dir_all(directory).map_err(|error| StoreError(error.to_string()))?;
        let mut connection = Connection::open(directory.join(FILE))?;
        connection.busy_timeout(BUSY_WAIT)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A crash of the machine may lose the last transactions, and never the file.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        migrate(&mut connection)?;
        Ok(SqliteStore { connection })
    }
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    // An exclusive lock from here on, so that a second gateway fails now and not later.
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > STEPS.len() {
        let message = format!(
            "the database is of version {version}, and this program knows {}",
            STEPS.len()
        );
        return Err(StoreError(message));
    }
    for step in &STEPS[version..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", STEPS.len() as i64)?;
    Ok(transaction.commit()?)
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Vec<ContactRecord>, StoreError> {
        let mut statement = self.connection.prepare(SELECT)?;
        let rows = statement.query_map([], read)?;
        let mut records = Vec::new();
        for row in rows {
            // A record that makes no sense is left out, rather than all the others with it.
            records.extend(row?);
        }
        Ok(records)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        {
            let mut put = transaction.prepare(PUT)?;
            let mut remove = transaction.prepare(REMOVE)?;
            for change in changes {
                match change {
                    Change::Put(record) => write(&mut put, record)?,
                    Change::Remove(id) => remove.execute(params![signed(*id)])?,
                };
            }
        }
        Ok(transaction.commit()?)
    }
}

fn write(put: &mut rusqlite::Statement<'_>, record: &ContactRecord) -> rusqlite::Result<usize> {
    let instance = record.instance.as_ref();
    put.execute(params![
        signed(record.id),
        record.aor,
        record.uri,
        record.q,
        instance.map(|(id, _)| id),
        instance.map(|(_, reg_id)| reg_id),
        record.path.join("\n"),
        record.call_id,
        record.cseq,
        record.user_agent,
        record.transport,
        record.source.to_string(),
        record.is_rewritten,
        record.granted_s,
        signed(record.expires_unix),
    ])
}

fn read(row: &Row<'_>) -> rusqlite::Result<Option<ContactRecord>> {
    let path: String = row.get(6)?;
    let source: String = row.get(11)?;
    let Ok(source) = source.parse() else {
        return Ok(None);
    };
    let instance: (Option<String>, Option<u32>) = (row.get(4)?, row.get(5)?);
    Ok(Some(ContactRecord {
        id: unsigned(row.get(0)?),
        aor: row.get(1)?,
        uri: row.get(2)?,
        q: row.get(3)?,
        instance: instance.0.zip(instance.1),
        path: path.lines().map(str::to_owned).collect(),
        call_id: row.get(7)?,
        cseq: row.get(8)?,
        user_agent: row.get(9)?,
        transport: row.get(10)?,
        source,
        is_rewritten: row.get(12)?,
        granted_s: row.get(13)?,
        expires_unix: unsigned(row.get(14)?),
    }))
}

/// SQLite's integers are signed; ids count up from 1 and seconds since 1970 are far below the limit.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: u64) -> ContactRecord {
        ContactRecord {
            id,
            aor: "6001".into(),
            uri: "sip:6001@192.168.1.10;transport=tcp".into(),
            q: Some("0.5".into()),
            instance: Some(("<urn:uuid:1>".into(), 2)),
            path: vec!["<sip:p1;lr>".into(), "<sip:p2;lr>".into()],
            call_id: "x".into(),
            cseq: 7,
            user_agent: "Desk's \"Phone\"".into(),
            transport: "udp".into(),
            source: "[2001:db8::1]:5060".parse().expect("an address"),
            is_rewritten: true,
            granted_s: u32::MAX,
            expires_unix: 1_800_000_000,
        }
    }

    #[test]
    fn what_is_put_is_loaded_after_a_restart() {
        let directory = tempfile::tempdir().expect("a folder");
        let place = directory.path().join("a/b");
        let plain = ContactRecord {
            q: None,
            instance: None,
            path: vec![],
            is_rewritten: false,
            ..record(2)
        };
        let moved = ContactRecord {
            source: "192.0.2.9:1".parse().expect("an address"),
            ..record(1)
        };
        let mut store = SqliteStore::open(&place).expect("it opens");
        let put = |record: &ContactRecord| Change::Put(Box::new(record.clone()));
        store
            .apply(&[
                put(&record(1)),
                put(&plain),
                put(&record(3)),
                Change::Remove(3),
            ])
            .expect("it is written");
        store
            .apply(&[put(&moved), Change::Remove(9)])
            .expect("it is written");
        drop(store);
        let mut store = SqliteStore::open(&place).expect("it opens again");
        let mut loaded = store.load().expect("it is read");
        loaded.sort_by_key(|record| record.id);
        assert_eq!(loaded, [moved, plain]);
    }

    #[test]
    fn two_gateways_cannot_have_one_directory() {
        let directory = tempfile::tempdir().expect("a folder");
        let first = SqliteStore::open(directory.path()).expect("it opens");
        let error = SqliteStore::open(directory.path())
            .err()
            .expect("it is in use");
        assert!(error.to_string().contains("locked"), "{error}");
        drop(first);
        assert!(SqliteStore::open(directory.path()).is_ok());
    }

    #[test]
    fn a_database_of_a_later_version_is_left_alone() {
        let directory = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(directory.path()).expect("it opens");
        store
            .connection
            .pragma_update(None, "user_version", 99)
            .expect("it is set");
        drop(store);
        let error = SqliteStore::open(directory.path())
            .err()
            .expect("it is refused");
        assert!(error.to_string().contains("version 99"), "{error}");
    }
}
