//! A PostgreSQL cluster of a test's own, to be stopped, promoted or broken without harm to others.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Settings of every cluster; its data is worth nothing.
const SETTINGS: &str =
    "fsync = off\nmax_connections = 60\nlisten_addresses = '127.0.0.1'\nmax_standby_streaming_delay = 0\n";

/// Stopped and removed when it is dropped.
pub struct Cluster {
    programs: PathBuf,
    /// Has the directory `data` and the file `log`.
    dir: PathBuf,
    pub port: u16,
}

impl Cluster {
    /// A new one, which serves everyone on this machine without a password.
    pub fn start() -> Self {
        let cluster = Self::empty();
        cluster.run("initdb", &["-A", "trust", "-U", "postgres", "--no-sync", "-D", &cluster.data()]);
        cluster.add_settings();
        cluster.start_again(&[]);
        cluster
    }

    /// A standby of this one.
    pub fn standby(&self) -> Self {
        let standby = Self::empty();
        let primary = self.port.to_string();
        let from = ["-h", "127.0.0.1", "-p", &primary, "-U", "postgres"];
        standby.run("pg_basebackup", &[&from[..], &["-R", "-c", "fast", "--no-sync", "-D", &standby.data()]].concat());
        standby.add_settings();
        standby.start_again(&[]);
        standby
    }

    fn empty() -> Self {
        let dir = std::env::temp_dir().join(format!("souk-cluster-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&dir).unwrap();
        if is_root() {
            succeed(Command::new("chown").arg("postgres").arg(&dir));
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { programs: programs(), dir, port }
    }

    fn data(&self) -> String {
        self.dir.join("data").display().to_string()
    }

    fn add_settings(&self) {
        let (file, dir) = (self.dir.join("data/postgresql.conf"), self.dir.display());
        let own = format!("\n{SETTINGS}port = {}\nunix_socket_directories = '{dir}'\n", self.port);
        fs::write(&file, fs::read_to_string(&file).unwrap() + &own).unwrap();
    }

    /// Starts the server that was stopped, with these settings for once.
    pub fn start_again(&self, settings: &[&str]) {
        let options: String = settings.iter().map(|setting| format!("-c {setting} ")).collect();
        self.control(&["-o", &options, "-l", &self.dir.join("log").display().to_string(), "start"]);
    }

    pub fn stop(&self) {
        self.control(&["-m", "fast", "stop"]);
    }

    /// Has the stopped server start as a standby.
    pub fn will_be_standby(&self) {
        fs::write(self.dir.join("data/standby.signal"), "").unwrap();
        if is_root() {
            succeed(Command::new("chown").arg("postgres").arg(self.dir.join("data/standby.signal")));
        }
    }

    pub fn promote(&self) {
        self.control(&["promote"]);
    }

    fn control(&self, arguments: &[&str]) {
        self.run("pg_ctl", &[&["-w", "-D", &self.data()], arguments].concat());
    }

    /// Ends a server process as if it had crashed.
    pub fn crash(&self, process: i32) {
        succeed(&mut as_owner(Path::new("kill"), &["-9", &process.to_string()]));
    }

    /// Has these users' passwords asked for.
    pub fn ask_for_password_of(&self, user: &str) {
        let file = self.dir.join("data/pg_hba.conf");
        let rules = format!("host all {user} 127.0.0.1/32 scram-sha-256\n") + &fs::read_to_string(&file).unwrap();
        fs::write(file, rules).unwrap();
        self.control(&["reload"]);
    }

    /// Waits until the server has logged this.
    pub async fn logged(&self, text: &str) {
        let started = Instant::now();
        while !fs::read_to_string(self.dir.join("log")).unwrap().contains(text) {
            assert!(started.elapsed() < Duration::from_secs(10), "the server did not log {text:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How a user connects, with the password behind a colon if there is one.
    pub fn url(&self, user: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/postgres", self.port)
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        succeed(&mut as_owner(&self.programs.join(program), arguments));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        as_owner(&self.programs.join("pg_ctl"), &["-D", &data, "-m", "immediate", "stop"]).output().ok();
        fs::remove_dir_all(&self.dir).ok();
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// The server refuses to run as root: then it runs as the user that the package made.
fn as_owner(program: &Path, arguments: &[&str]) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    // A directory that everyone may be in.
    command.args(arguments).current_dir("/");
    command
}

fn succeed(command: &mut Command) {
    // Its output is not read from a pipe: the server, which stays, would keep that open.
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

/// Where the newest PostgreSQL's programs are.
fn programs() -> PathBuf {
    let mut found: Vec<PathBuf> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let mut of_debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    of_debian.sort();
    found.extend(of_debian);
    let has_all = |dir: &PathBuf| dir.join("initdb").exists() && dir.join("pg_basebackup").exists();
    found.into_iter().rfind(has_all).expect("needs PostgreSQL's server programs (initdb, pg_basebackup)")
}
