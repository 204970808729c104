# Functions that the scripts share: installing packages, a private Postgres cluster, PgBouncer.

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Records a check that cannot run on this machine. `finish` prints it again in its last lines, where nobody overlooks it.
SKIPPED=()
skip_check() { # skip_check 'what, and why'
  echo "not checked: $1"
  SKIPPED+=("$1")
}

# Prints the last lines of a run that passed.
finish() {
  if [ ${#SKIPPED[@]} = 0 ]; then
    printf '\nall of it passed (%ss)\n' "$SECONDS"
  else
    printf '\nall that was checked passed (%ss)\n' "$SECONDS"
    printf 'NOT CHECKED: %s\n' "${SKIPPED[@]}"
  fi
}

# Installs Debian packages unless the given test succeeds. Ends the script if they cannot be installed.
need() { # need 'test command' package...
  local test=$1
  shift
  if ! eval "$test" >/dev/null 2>&1; then
    echo "installing $*"
    as_root apt-get update -qq
    starting_nothing as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    eval "$test" >/dev/null 2>&1 || { echo "installed $*, but this still fails: $test" >&2; exit 1; }
  fi
}

# Runs a command and keeps Debian's packages from starting daemons: a web server would take port 80, Postgres port 5432.
starting_nothing() {
  local policy=/usr/sbin/policy-rc.d status=0
  if [ -e "$policy" ]; then
    "$@"
    return
  fi
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
  "$@" || status=$?
  as_root rm -f "$policy"
  return "$status"
}

postgres_bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1; }

free_port() {
  node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })'
}

# Starts a cluster of our own in a temporary directory and sets POSTGRES_URL (without a database name).
# Postgres refuses to run as root; for root it runs as the user that the package made.
start_postgres() {
  need 'test -n "$(postgres_bin)" && test -x "$(postgres_bin)/initdb"' postgresql
  PG_BIN=$(postgres_bin)
  PG_DIR=$(mktemp -d)
  local port
  port=$(free_port)
  pg() { "$@"; }
  if [ "$(id -u)" = 0 ]; then
    chown postgres "$PG_DIR"
    pg() { (cd / && runuser -u postgres -- "$@"); }
  fi
  pg "$PG_BIN/initdb" -D "$PG_DIR/data" -A trust -U postgres --no-sync >"$PG_DIR.log"
  pg "$PG_BIN/pg_ctl" -D "$PG_DIR/data" -l "$PG_DIR/server.log" -w \
    -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$PG_DIR -c fsync=${PG_FSYNC:-off} -c max_connections=200" start >/dev/null
  POSTGRES_URL="postgres://postgres@127.0.0.1:$port"
}

stop_postgres() {
  [ -n "${PG_DIR:-}" ] && declare -F pg >/dev/null || return 0
  pg "$PG_BIN/pg_ctl" -D "$PG_DIR/data" -m immediate stop >/dev/null || true
  rm -rf "$PG_DIR" "$PG_DIR.log"
}

# Starts PgBouncer in transaction mode in front of the Postgres whose URL is given, and sets POOLER_URL (without a database
# name). It has few connections to Postgres, so that clients really share them.
start_pgbouncer() { # start_pgbouncer postgres://user@host:port [extra line of configuration...]
  need 'test -x /usr/sbin/pgbouncer || command -v pgbouncer' pgbouncer
  local program port host
  program=$(command -v pgbouncer || echo /usr/sbin/pgbouncer)
  PGBOUNCER_DIR=$(mktemp -d)
  port=$(free_port)
  host=${1##*@}
  {
    printf '[databases]\n* = host=%s port=%s user=postgres\n[pgbouncer]\n' "${host%%:*}" "${host##*:}"
    printf '%s\n' "listen_addr = 127.0.0.1" "listen_port = $port" 'unix_socket_dir =' 'auth_type = any' \
      'pool_mode = transaction' 'default_pool_size = 4' 'max_client_conn = 1000' 'server_idle_timeout = 10' 'log_connections = 0' \
      'log_disconnections = 0' "logfile = $PGBOUNCER_DIR/log" "pidfile = $PGBOUNCER_DIR/pid" "${@:2}"
  } >"$PGBOUNCER_DIR/pgbouncer.ini"
  # PgBouncer refuses to run as root, too.
  if [ "$(id -u)" = 0 ]; then
    chown -R postgres "$PGBOUNCER_DIR"
    (cd / && runuser -u postgres -- "$program" -q -d "$PGBOUNCER_DIR/pgbouncer.ini")
  else
    "$program" -q -d "$PGBOUNCER_DIR/pgbouncer.ini"
  fi
  POOLER_URL="postgres://postgres@127.0.0.1:$port"
}

stop_pgbouncer() {
  [ -n "${PGBOUNCER_DIR:-}" ] || return 0
  as_root kill "$(cat "$PGBOUNCER_DIR/pid")" 2>/dev/null || true
  as_root rm -rf "$PGBOUNCER_DIR"
  unset PGBOUNCER_DIR
}
