//! Reading every lease at the start, on two threads: one walks the file and then looks at its
//! structure, the other checks the rows and makes leases of them.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::{io, panic, thread};

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::embedded::{SetAside, WriteError, check_structure};
use super::row::{self, COLUMNS, Columns, Damage};
use crate::lease::Lease;

/// What all rows of a file came to.
#[derive(Debug)]
pub(super) struct Scan {
    /// The good rows.
    pub(super) leases: Vec<Lease>,
    /// The others.
    pub(super) aside: Vec<SetAside>,
    /// Whether the structure around the rows is sound.
    pub(super) structure: Result<(), WriteError>,
}

/// Why the rows cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("starting a thread: {0}")]
    Thread(io::Error),
}

/// Reads every row, the good ones apart from the others; `expected` is how many there should be.
pub(super) fn scan(connection: &Connection, expected: usize) -> Result<Scan, ScanError> {
    thread::scope(|scope| {
        let (batches, received) = mpsc::sync_channel(WAITING);
        let named = thread::Builder::new().name("rows".to_owned());
        let decoder = named.spawn_scoped(scope, move || decode_all(&received, expected));
        let decoder = decoder.map_err(ScanError::Thread)?;
        hand_over(connection, &batches)?;
        // That was all; the other thread has some of it before it still.
        drop(batches);
        let structure = check_structure(connection);
        let (leases, aside) = decoder.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        Ok(Scan { leases, aside, structure })
    })
}

/// Hands every row of the file to the other thread.
fn hand_over(connection: &Connection, batches: &SyncSender<Batch>) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(row::SELECT)?;
    let mut rows = statement.query([])?;
    let mut batch = Batch::default();
    while let Some(row) = rows.next()? {
        batch.push(&row::columns(row));
        // The other thread ends early only if it panics, and its panic is this thread's at the end.
        if batch.rows.len() >= ROWS && batches.send(std::mem::take(&mut batch)).is_err() {
            break;
        }
    }
    let _ = batches.send(batch);
    Ok(())
}

fn decode_all(batches: &Receiver<Batch>, expected: usize) -> (Vec<Lease>, Vec<SetAside>) {
    let mut leases: Vec<Lease> = Vec::with_capacity(expected);
    let mut aside = Vec::new();
    let mut names = row::Names::default();
    let mut is_ascending = true;
    for batch in batches {
        for row in batch.rows() {
            match names.decode(&row) {
                Ok(lease) => {
                    is_ascending &= leases.last().is_none_or(|last| last.key < lease.key);
                    leases.push(lease);
                }
                Err(damage) => aside.push(SetAside { damage, raw: row::raw(&row) }),
            }
        }
    }
    if !is_ascending {
        // A damaged key leads a search astray, so that another may have got in twice.
        let mut keys = HashSet::new();
        for lease in std::mem::take(&mut leases) {
            if keys.insert(lease.key.clone()) {
                leases.push(lease);
            } else {
                aside.push(SetAside { damage: Damage::Twice, raw: row::raw_of(&lease) });
            }
        }
    }
    (leases, aside)
}

/// Some rows, copied out of the file as they are.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    rows: Vec<[Column; COLUMNS]>,
}

/// One value; text and blobs are ranges of the batch's bytes.
#[derive(Debug)]
enum Column {
    Null,
    Integer(i64),
    Real(f64),
    Text(Range<usize>),
    Blob(Range<usize>),
}

impl Batch {
    fn push(&mut self, row: &Columns<'_>) {
        let columns = row.map(|column| match column {
            ValueRef::Null => Column::Null,
            ValueRef::Integer(number) => Column::Integer(number),
            ValueRef::Real(number) => Column::Real(number),
            ValueRef::Text(text) => Column::Text(self.keep(text)),
            ValueRef::Blob(blob) => Column::Blob(self.keep(blob)),
        });
        self.rows.push(columns);
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    fn rows(&self) -> impl Iterator<Item = Columns<'_>> {
        let kept = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        self.rows.iter().map(move |row| {
            row.each_ref().map(|column| match column {
                Column::Null => ValueRef::Null,
                Column::Integer(number) => ValueRef::Integer(*number),
                Column::Real(number) => ValueRef::Real(*number),
                Column::Text(range) => ValueRef::Text(kept(range)),
                Column::Blob(range) => ValueRef::Blob(kept(range)),
            })
        })
    }
}

/// How many rows go from thread to thread at once.
const ROWS: usize = 256;

/// How many batches may wait: enough that neither thread waits for the other's pauses.
const WAITING: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_gives_every_kind_of_value_back_as_it_was() {
        let rows: [Columns<'_>; 2] = [
            [
                ValueRef::Text(b"blue"),
                ValueRef::Text(b""),
                ValueRef::Blob(b"\xff\x00"),
                ValueRef::Integer(-1),
                ValueRef::Real(0.5),
                ValueRef::Null,
            ],
            [ValueRef::Text(b"red"); COLUMNS],
        ];
        let mut batch = Batch::default();
        for row in &rows {
            batch.push(row);
        }
        assert_eq!(batch.rows().collect::<Vec<_>>(), rows);
    }
}
