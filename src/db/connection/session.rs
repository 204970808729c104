//! How a statement reaches Postgres: as a named prepared statement on a backend of our own, or, behind a
//! transaction-mode pooler, without a name and inside a transaction.
//!
//! Such a pooler may give every transaction another backend, and a backend is everybody's. sqlx prepares, waits for the
//! answer, and then binds: two steps between which the backend may change, under names (`sqlx_s_1`, …) that every client
//! of sqlx uses. So behind a pooler each statement runs between a BEGIN and a COMMIT, which keep the backend, and has no
//! name, so that it leaves nothing on it.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use deadpool::managed::Object;
use futures::{
    StreamExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Describe, Either, Error, Execute, Executor, PgConnection, Postgres, SqlStr, Transaction,
    error::BoxDynError,
    postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use super::{backend::Backend, manager::Manager};

/// A connection that statements run on, alone or in a transaction.
pub struct Session<'c> {
    held: Held<'c>,
    /// The statement that begins a transaction behind a transaction-mode pooler. `None` where the backend is ours.
    begin: Option<SqlStr>,
}

enum Held<'c> {
    Leased(Object<Manager>),
    InTransaction(Transaction<'c, Postgres>),
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("behind_pooler", &self.begin.is_some()).finish_non_exhaustive()
    }
}

impl Session<'static> {
    pub(super) fn new(connection: Object<Manager>, begin: Option<SqlStr>) -> Self {
        Self { held: Held::Leased(connection), begin }
    }

    /// The connection itself, to be given back or thrown away.
    pub(super) fn into_connection(self) -> Object<Manager> {
        match self.held {
            Held::Leased(connection) => connection,
            Held::InTransaction(_) => unreachable!("a transaction borrows its session"),
        }
    }
}

impl Session<'_> {
    /// The connection itself. Statements sent on it directly must work behind a transaction-mode pooler.
    pub fn connection(&mut self) -> &mut PgConnection {
        match &mut self.held {
            Held::Leased(backend) => backend.connection.get_mut(),
            Held::InTransaction(transaction) => transaction,
        }
    }

    /// The pool's own record of the connection; a transaction has none.
    pub(super) fn backend(&self) -> Option<&Backend> {
        match &self.held {
            Held::Leased(backend) => Some(backend),
            Held::InTransaction(_) => None,
        }
    }

    /// Begins a transaction, which is rolled back unless it is committed.
    pub async fn begin(&mut self) -> Result<Tx<'_>, Error> {
        let begin = self.begin.clone();
        let transaction = Transaction::begin(self.connection(), begin.clone()).await?;
        Ok(Tx { session: Session { held: Held::InTransaction(transaction), begin } })
    }

    /// Makes room for statements with names, or leaves none behind, where the backend is not ours.
    pub(in crate::db) async fn forget_statements(&mut self) -> Result<(), Error> {
        if self.begin.is_some() {
            self.connection().execute("DEALLOCATE ALL").await?;
        }
        Ok(())
    }

    /// True if a statement needs a transaction of its own.
    fn needs_transaction(&self) -> bool {
        self.begin.is_some() && matches!(self.held, Held::Leased(_))
    }
}

/// A transaction. Dropped before [`Tx::commit`] it is rolled back.
#[derive(Debug)]
pub struct Tx<'c> {
    session: Session<'c>,
}

impl Tx<'_> {
    /// Commits it.
    /// Fails with the database's error; whether it was committed is unknown where the connection was lost.
    pub async fn commit(self) -> Result<(), Error> {
        match self.session.held {
            Held::InTransaction(transaction) => transaction.commit().await,
            Held::Leased(_) => Ok(()),
        }
    }

    /// Rolls it back and waits for that.
    pub async fn rollback(self) -> Result<(), Error> {
        match self.session.held {
            Held::InTransaction(transaction) => transaction.rollback().await,
            Held::Leased(_) => Ok(()),
        }
    }
}

impl<'c> Deref for Tx<'c> {
    type Target = Session<'c>;

    fn deref(&self) -> &Session<'c> {
        &self.session
    }
}

impl DerefMut for Tx<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.session
    }
}

/// A statement that is prepared without a name.
struct Unnamed<E>(E);

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Unnamed<E> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.0.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}

impl<'s, 'c: 's> Executor<'s> for &'s mut Session<'c> {
    type Database = Postgres;

    /// Behind a pooler all of a statement's rows at once: they count only when they are committed.
    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        's: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.begin.is_none() {
            return self.connection().fetch_many(query);
        }
        let query = Unnamed(query);
        if !self.needs_transaction() {
            return self.connection().fetch_many(query);
        }
        let all = async move {
            let mut tx = self.begin().await?;
            let all: Vec<_> = tx.connection().fetch_many(query).try_collect().await?;
            tx.commit().await?;
            Ok::<_, Error>(all)
        };
        stream::once(all).map_ok(|all| stream::iter(all).map(Ok)).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        's: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.begin.is_none() {
            return self.connection().fetch_optional(query);
        }
        let query = Unnamed(query);
        if !self.needs_transaction() {
            return self.connection().fetch_optional(query);
        }
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let row = tx.connection().fetch_optional(query).await?;
            tx.commit().await?;
            Ok(row)
        })
    }

    /// Only where the backend is ours: a prepared statement is of one backend.
    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        's: 'e,
    {
        self.connection().prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        's: 'e,
    {
        self.connection().describe(sql)
    }
}
