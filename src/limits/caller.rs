//! The user for whom a task works. Functions that the task calls can ask for it without a parameter: the pool of database
//! connections gives each user a share.

use std::sync::OnceLock;

use crate::domain::UserId;

tokio::task_local! {
    static CALLER: OnceLock<UserId>;
}

/// Runs `work` for `user`; `None` if the user becomes known later ([`note_caller`]).
pub async fn for_caller<F: Future>(user: Option<UserId>, work: F) -> F::Output {
    CALLER.scope(user.map_or_else(OnceLock::new, OnceLock::from), work).await
}

/// Sets the user for whom this task works from now on.
pub fn note_caller(user: UserId) {
    // It is set once: a second call in the same request has the same user.
    CALLER.try_with(|caller| caller.set(user).ok()).ok();
}

/// The user for whom this task works. `None` for work that is for no single user: batches, heartbeats.
pub fn caller() -> Option<UserId> {
    CALLER.try_with(|caller| caller.get().copied()).ok().flatten()
}
