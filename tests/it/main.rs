//! Tests against a real Postgres: the native one that `TEST_DATABASE_URL` names, else the embedded one.

mod adoption;
mod architecture;
mod arrival;
mod conversations;
mod deleted_user;
mod doubt;
mod failover;
mod grants;
mod locks;
mod migrations;
mod odd_values;
mod outages;
mod own_cluster;
mod pages;
mod plans;
mod pool;
mod pooler;
mod presence;
mod previews;
mod random_run;
mod read_state;
mod send;
mod statements;
mod support;
mod sync;
mod waiting;
