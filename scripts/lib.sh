# Shared by the scripts: what they need installed, and a private Postgres cluster.

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Installs Debian packages unless the given test says that they are there. Ends the script where that fails.
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

# Runs a command during which Debian's packages start no daemons: a web server would take port 80, Postgres port 5432.
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

# Starts a cluster of our own in a temporary directory and sets POSTGRES_URL (without a database name).
# The server refuses to run as root: then it runs as the user that the package made.
start_postgres() {
  need 'test -n "$(postgres_bin)" && test -x "$(postgres_bin)/initdb"' postgresql
  PG_BIN=$(postgres_bin)
  PG_DIR=$(mktemp -d)
  local port
  port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })')
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
