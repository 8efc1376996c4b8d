use std::cell::RefCell;

use rusqlite::{Connection, OptionalExtension, Params, Row, Statement};

use super::fail::Fail;

/// The statements of one connection, each planned once.
///
/// A statement is found by the address of its text, which is a literal: a cache by text would hash
/// and copy the text at each use, which costs as much as running a short statement.
pub(super) struct Statements<'c> {
    connection: &'c Connection,
    planned: RefCell<Vec<(&'static str, Option<Statement<'c>>)>>,
}

impl<'c> Statements<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, planned: RefCell::new(Vec::new()) }
    }

    /// The connection, for what is no statement.
    pub(super) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Lends the statement to `run`. Within it, other statements can be used; the same one would be planned again.
    fn with<T, E: From<rusqlite::Error>>(
        &self,
        sql: &'static str,
        run: impl FnOnce(&mut Statement<'c>) -> Result<T, E>,
    ) -> Result<T, E> {
        let place = self.planned.borrow().iter().position(|(text, _)| std::ptr::eq(*text, sql));
        let held = place.and_then(|place| self.planned.borrow_mut().get_mut(place).and_then(|(_, held)| held.take()));
        let mut statement = match held {
            Some(statement) => statement,
            None => self.connection.prepare(sql)?,
        };
        let done = run(&mut statement);
        let mut planned = self.planned.borrow_mut();
        match place.and_then(|place| planned.get_mut(place)) {
            Some((_, held)) => *held = Some(statement),
            None => planned.push((sql, Some(statement))),
        }
        done
    }

    /// Runs a statement that gives no rows; how many it changed.
    pub(super) fn run(&self, sql: &'static str, values: impl Params) -> Result<usize, rusqlite::Error> {
        self.with(sql, |statement| statement.execute(values))
    }

    /// Whether it gives a row.
    pub(super) fn exists(&self, sql: &'static str, values: impl Params) -> Result<bool, rusqlite::Error> {
        self.with(sql, |statement| statement.exists(values))
    }

    /// The number in the first column of its first row.
    pub(super) fn number(&self, sql: &'static str, values: impl Params) -> Result<Option<i64>, rusqlite::Error> {
        self.with(sql, |statement| statement.query_row(values, |row| row.get(0)).optional())
    }

    /// Its first row.
    pub(super) fn first<T>(
        &self,
        sql: &'static str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, Fail>,
    ) -> Result<Option<T>, Fail> {
        self.with(sql, |statement| statement.query(values)?.next()?.map(read).transpose())
    }

    /// Changes one row at most and gives it back.
    pub(super) fn change<T>(
        &self,
        sql: &'static str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, Fail>,
    ) -> Result<Option<T>, Fail> {
        self.with(sql, |statement| {
            let mut found = statement.query(values)?;
            let row = found.next()?.map(read).transpose()?;
            // Only when it is asked for what follows the last row, the statement has ended.
            if row.is_some() {
                found.next()?;
            }
            Ok(row)
        })
    }

    /// All of its rows.
    pub(super) fn all<T>(
        &self,
        sql: &'static str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> Result<T, Fail>,
    ) -> Result<Vec<T>, Fail> {
        self.with(sql, |statement| statement.query_and_then(values, read)?.collect())
    }

    /// Hands its rows over one by one, until `take` says that it is enough.
    pub(super) fn each(
        &self,
        sql: &'static str,
        values: impl Params,
        mut take: impl FnMut(&Row<'_>) -> Result<bool, Fail>,
    ) -> Result<(), Fail> {
        self.with(sql, |statement| {
            let mut found = statement.query(values)?;
            while let Some(row) = found.next()? {
                if !take(row)? {
                    break;
                }
            }
            Ok(())
        })
    }
}
