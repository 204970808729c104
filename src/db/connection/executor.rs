//! How a statement runs on the pool itself: on whichever connection is free, and again while another session is in its way.

use futures::{
    StreamExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Describe, Either, Error, Execute, Executor, Postgres, SqlStr,
    postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use super::{pool::Pool, retry::Attempts};

#[derive(Clone)]
struct Statement {
    sql: SqlStr,
    arguments: Option<PgArguments>,
    is_persistent: bool,
}

impl Statement {
    fn of<'q>(mut query: impl Execute<'q, Postgres>) -> Result<Self, Error> {
        let arguments = query.take_arguments().map_err(Error::Encode)?;
        let is_persistent = query.persistent();
        Ok(Self { sql: query.sql(), arguments, is_persistent })
    }
}

impl Execute<'_, Postgres> for Statement {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, sqlx::error::BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.is_persistent
    }
}

impl<'p> Executor<'p> for &'_ Pool {
    type Database = Postgres;

    /// All of a statement's rows at once, so that its connection is free again before they are looked at.
    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (pool, statement) = (self.clone(), Statement::of(query));
        let all = async move {
            let statement = statement?;
            let mut attempts = Attempts::start();
            loop {
                let mut lease = pool.acquire().await?;
                let all = pool.answer(lease.fetch_many(statement.clone()).try_collect::<Vec<_>>()).await;
                match lease.done_if_ok(all) {
                    Err(e) if attempts.go_on_after(&e).await => {}
                    outcome => return outcome,
                }
            }
        };
        stream::once(all).map_ok(|all| stream::iter(all).map(Ok)).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (pool, statement) = (self.clone(), Statement::of(query));
        Box::pin(async move {
            let statement = statement?;
            let mut attempts = Attempts::start();
            loop {
                let mut lease = pool.acquire().await?;
                let row = pool.answer(lease.fetch_optional(statement.clone())).await;
                match lease.done_if_ok(row) {
                    Err(e) if attempts.go_on_after(&e).await => {}
                    outcome => return outcome,
                }
            }
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut lease = pool.acquire().await?;
            let statement = lease.prepare_with(sql, parameters).await;
            lease.done_if_ok(statement)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut lease = pool.acquire().await?;
            let described = lease.describe(sql).await;
            lease.done_if_ok(described)
        })
    }
}
