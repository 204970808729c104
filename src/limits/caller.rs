//! For whom a task works, known to what it calls without being handed on: the pool of database connections gives each user
//! a share.

use std::sync::OnceLock;

use crate::domain::UserId;

tokio::task_local! {
    static CALLER: OnceLock<UserId>;
}

/// Runs `work` for `user`; `None` where it turns out later who calls ([`note_caller`]).
pub async fn for_caller<F: Future>(user: Option<UserId>, work: F) -> F::Output {
    CALLER.scope(user.map_or_else(OnceLock::new, OnceLock::from), work).await
}

/// Says for whom this task works from now on.
pub fn note_caller(user: UserId) {
    // It is set once: whoever asks for it twice in one request finds the same.
    CALLER.try_with(|caller| caller.set(user).ok()).ok();
}

/// For whom this task works. `None` for what is done for nobody alone: batches, heartbeats.
#[must_use]
pub fn caller() -> Option<UserId> {
    CALLER.try_with(|caller| caller.get().copied()).ok().flatten()
}
