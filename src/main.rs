//! The command line of Souk: `serve` (the default), `migrate` and `token`.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, error::ErrorKind};
use souk::{
    app::{App, Store},
    auth::Tokens,
    clock::Clock,
    config::{Config, LogFormat},
    db::DbError,
    domain::{User, UserId},
};
use tokio::net::{TcpListener, TcpSocket};
use tracing_subscriber::EnvFilter;

#[cfg(feature = "embedded")]
mod demo;

/// A third of the time under load went into the system's allocator (glibc's).
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Live chat for a marketplace: Socket.IO and REST on Postgres.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(flatten)]
    config: Config,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server (the default)
    Serve,
    /// Bring the database's schema up to date and exit
    Migrate {
        /// Only list what would be done, and change nothing
        #[arg(long)]
        check: bool,
    },
    /// Print a token for a user, to try the chat with
    Token {
        /// Id or e-mail address
        #[arg(long)]
        user: String,
        /// Time for which the token is valid
        #[arg(long, default_value_t = 30)]
        days: u16,
    },
}

/// A line for stderr and the exit code that goes with it.
struct Failed(u8, String);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(code, message)) => {
            eprintln!("souk: {message}");
            ExitCode::from(code)
        }
    }
}

fn run() -> Result<(), Failed> {
    match dotenvy::dotenv() {
        Ok(_) => {}
        Err(e) if e.not_found() => {}
        Err(e) => return Err(Failed(2, format!(".env: {e}"))),
    }
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            print!("{e}");
            return Ok(());
        }
        Err(e) => return Err(Failed(2, one_line(&e))),
    };
    cli.config.drop_empty();
    cli.config.validate().map_err(|fault| Failed(2, fault))?;
    start_logging(&cli.config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failed(1, format!("runtime: {e}")))?;
    runtime.block_on(async {
        match cli.command.unwrap_or(Command::Serve) {
            Command::Serve => serve(cli.config).await,
            Command::Migrate { check: true } => check_migration(&cli.config).await,
            Command::Migrate { check: false } => migrate(&cli.config).await,
            Command::Token { user, days } => token(&cli.config, &user, days).await,
        }
    })
}

/// The error in the command line or the environment; it names the variable.
fn one_line(e: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue};
    let text = |kind| match e.get(kind) {
        Some(ContextValue::String(s)) => Some(s.clone()),
        _ => None,
    };
    if let (Some(flag), Some(value)) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue)) {
        let long = flag.split([' ', '=']).next().unwrap_or_default().trim_start_matches('-').to_owned();
        let command = Cli::command();
        let argument = command.get_arguments().find(|a| a.get_long() == Some(&long));
        let name = argument.and_then(|a| a.get_env()).map_or(flag, |env| env.to_string_lossy().into_owned());
        let why = std::error::Error::source(e).map_or_else(|| "not allowed".to_owned(), ToString::to_string);
        return format!("{name}: invalid value {value:?}: {why}");
    }
    let rendered = e.render().to_string();
    rendered.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

fn start_logging(config: &Config) -> Result<(), Failed> {
    let filter = EnvFilter::try_new(&config.log).map_err(|e| Failed(2, format!("RUST_LOG: {e}")))?;
    let colours = std::io::IsTerminal::is_terminal(&std::io::stdout());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    match config.log_format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

async fn serve(config: Config) -> Result<(), Failed> {
    // Each socket needs a file descriptor, and the usual limit is 1024.
    if let Err(e) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(error = %e, "the limit of open files could not be raised");
    }
    let (listener, port) = reserve(&config)?;
    let name = config
        .server_name
        .clone()
        .unwrap_or_else(|| format!("{}:{port}", gethostname::gethostname().to_string_lossy()));
    let store = Store::open(&config).await.map_err(|e| Failed(1, e.to_string()))?;
    #[cfg(feature = "embedded")]
    let secret = store.secret.clone();
    let app = App::build(&config, store, name).await.map_err(|e| Failed(1, e.to_string()))?;
    let listener: TcpListener = listener.listen(1024).map_err(|e| Failed(1, format!("PORT: {port}: {e}")))?;
    let server = tokio::spawn(app.serve(listener, signalled()));
    println!("🚀 Server running on port {port}");
    println!("💬 Socket.IO chat system initialized");
    println!("[Socket.IO] Server initialized");
    println!("[Chat] Event handlers initialized");
    #[cfg(feature = "embedded")]
    if config.database_url.is_none() && !config.is_production() {
        demo::print(&Tokens::new(&secret, Clock::system()), port);
    }
    server.await.map_err(|e| Failed(1, e.to_string()))
}

/// Binds the port without accepting yet, so that a port in use is an error before the database is started.
fn reserve(config: &Config) -> Result<(TcpSocket, u16), Failed> {
    let reserve = || -> std::io::Result<_> {
        let socket = if config.host.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind((config.host, config.port).into())?;
        let port = socket.local_addr()?.port();
        Ok((socket, port))
    };
    reserve().map_err(|e| Failed(1, format!("cannot listen on {} port {} (PORT): {e}", config.host, config.port)))
}

async fn migrate(config: &Config) -> Result<(), Failed> {
    // This command migrates even with AUTO_MIGRATE=false, which only limits what a start does by itself.
    let config = &Config { auto_migrate: true, ..config.clone() };
    let store = Store::open(config).await.map_err(|e| Failed(1, e.to_string()))?;
    if config.user_indexes {
        store.db.make_user_indexes(true).await.map_err(|e| Failed(1, e.to_string()))?;
    }
    println!("The database is up to date.");
    store.close().await;
    Ok(())
}

async fn check_migration(config: &Config) -> Result<(), Failed> {
    let store = Store::connect(config).await.map_err(|e| Failed(1, e.to_string()))?;
    let report = check(&store, config).await;
    store.close().await;
    let report = report.map_err(|e| Failed(1, e.to_string()))?;
    if report.is_empty() {
        println!("The database is up to date; there is nothing to do.");
    }
    for line in report {
        println!("{line}");
    }
    Ok(())
}

/// Lists what `migrate` would do, in its order.
async fn check(store: &Store, config: &Config) -> Result<Vec<String>, DbError> {
    let mut report = store.db.migration_report().await?;
    if config.user_indexes {
        report.extend(store.db.user_index_report().await?);
    }
    Ok(report)
}

async fn token(config: &Config, user: &str, days: u16) -> Result<(), Failed> {
    #[cfg(feature = "embedded")]
    if config.database_url.is_none()
        && !config.is_production()
        && let Some(token) = demo::token(config, user, days)
    {
        println!("{token}");
        return Ok(());
    }
    let store = Store::open(config).await.map_err(|e| Failed(1, e.to_string()))?;
    let found = find_user(&store, user).await;
    let tokens = Tokens::new(&store.secret, Clock::system());
    store.close().await;
    let user = found?;
    if !user.active {
        eprintln!("souk: warning: this user is not active and will not be let in");
    }
    let token = tokens.issue(user.id, user.role, i64::from(days) * 86_400).map_err(|e| Failed(1, e.to_string()))?;
    println!("{token}");
    Ok(())
}

async fn find_user(store: &Store, user: &str) -> Result<User, Failed> {
    let found = match UserId::parse(user) {
        Some(id) => store.db.user(id).await,
        None => store.db.user_by_email(user).await,
    };
    found.map_err(|e| Failed(1, e.to_string()))?.ok_or_else(|| Failed(1, format!("no user {user}")))
}

/// Resolves on SIGTERM or SIGINT.
async fn signalled() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = tokio::signal::ctrl_c() => return,
            }
        }
    }
    tokio::signal::ctrl_c().await.ok();
}
