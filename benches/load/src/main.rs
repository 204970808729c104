//! Load generator: one scenario per run, one line of JSON as its result.
//!
//! It has one thread. On the machine that it shares with the server and Postgres it must not take more; the line
//! tells how much of its processor it used, and so whether it was what limited the figure.

mod client;
mod http;
mod ids;
mod measure;
mod order;
mod scan;
mod scenario;
mod token;
mod usage;
mod ws;

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use crate::{
    client::Target,
    scenario::{bare, connect, fanout, idle, mark_read, mixed, pairs, rest},
    usage::Watched,
};

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// Where the server listens
    #[arg(long, global = true, default_value = "127.0.0.1:5000")]
    server: SocketAddr,
    /// What the server checks tokens with
    #[arg(long, global = true, env = "JWT_SECRET", default_value = "", hide_env_values = true)]
    jwt_secret: String,
    /// The database, for what is set up by SQL
    #[arg(long, global = true, env = "DATABASE_URL", default_value = "", hide_env_values = true)]
    database_url: String,
    /// Connect as browsers on this page do, such as http://localhost:3000: they can come back as the same socket
    #[arg(long, global = true)]
    origin: Option<String>,
    #[command(flatten)]
    watched: Watched,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Pairs of users: send, store, acknowledge, deliver
    Pairs(pairs::Args),
    /// One conversation with many sockets
    Fanout(fanout::Args),
    /// Many sockets connect as fast as they can
    Connect(connect::Args),
    /// Memory of sockets that do nothing
    Idle(idle::Args),
    /// Latency of REST calls
    Rest(rest::Args),
    /// Time of marking thousands of messages read
    MarkRead(mark_read::Args),
    /// Typing, reading, sending and listing together
    Mixed(mixed::Args),
    /// Batched inserts straight into Postgres, without a server
    Bare(bare::Args),
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("souk-load: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<Value> {
    raise_file_limit()?;
    let target = Target { address: cli.server, secret: cli.jwt_secret.clone(), origin: cli.origin.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        match &cli.scenario {
            Scenario::Pairs(args) => pairs::run(&target, cli.watched, args).await,
            Scenario::Fanout(args) => fanout::run(&target, cli.watched, args).await,
            Scenario::Connect(args) => connect::run(&target, cli.watched, args).await,
            Scenario::Idle(args) => idle::run(&target, cli.watched, args).await,
            Scenario::Rest(args) => rest::run(&target, cli.watched, args).await,
            Scenario::MarkRead(args) => mark_read::run(&target, &cli.database_url, args).await,
            Scenario::Mixed(args) => mixed::run(&target, cli.watched, args).await,
            Scenario::Bare(args) => bare::run(&cli.database_url, cli.watched, args).await,
        }
    })
}

/// A socket is a file, and the usual limit is a thousand.
fn raise_file_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}
