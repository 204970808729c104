//! Notices a transaction-mode pooler between this server and Postgres.

use std::time::Duration;

use futures::future::try_join_all;
use sqlx::{Connection as _, Error, Executor as _, PgConnection, Row as _, postgres::PgConnectOptions};

/// Connections that are looked at, and how often each is.
const CONNECTIONS: usize = 3;
const ROUNDS: usize = 3;
/// A pooler that is busy answers late; then it is not known what is in between.
const WITHIN: Duration = Duration::from_secs(2);

/// A backend of Postgres: its process, and when it started, as a number alone may be there twice behind a balancer.
const BACKEND: &str = "SELECT pg_backend_pid(), backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()";

/// True if connections share backends: two connections have the same one, or one connection has another than
/// before. Neither can be without a pooler that gives a backend away after each transaction, so `true` is certain. `false`
/// is where nothing of it was seen, as when there was no room for more than one connection.
pub(in crate::db) async fn shares_backends(options: &PgConnectOptions) -> bool {
    let found = tokio::time::timeout(WITHIN, look(options)).await;
    found.is_ok_and(|found| found.unwrap_or(false))
}

async fn look(options: &PgConnectOptions) -> Result<bool, Error> {
    let mut connections = try_join_all((0..CONNECTIONS).map(|_| PgConnection::connect_with(options))).await?;
    let mut first: Vec<(i32, String)> = Vec::new();
    let mut shared = false;
    for round in 0..ROUNDS {
        for (place, connection) in connections.iter_mut().enumerate() {
            // As text, without a prepared statement, which is what a pooler would break.
            let row = connection.fetch_one(BACKEND).await?;
            let backend = (row.try_get_unchecked::<String, _>(0)?.parse().unwrap_or(0), row.try_get_unchecked(1)?);
            if round == 0 {
                shared |= first.contains(&backend);
                first.push(backend);
            } else {
                shared |= first[place] != backend;
            }
        }
    }
    for connection in connections {
        connection.close().await?;
    }
    Ok(shared)
}
