//! Typing indicators. Memory is the truth; the table shows it to SQL readers, and is written at most once per change.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use super::core::Core;
use crate::{
    db::{DbError, in_time},
    domain::{ConversationId, User, UserId},
    error::{Error, Result},
    hub::{Audience, Connection, Event},
    protocol::{UserTyping, events::outgoing},
};

/// Typing ends by itself this long after the last `true` (contract §Client events).
const ENDS_AFTER: Duration = Duration::from_secs(10);
/// The table lags behind by this much, and is written once for all that happened meanwhile.
const WRITE_EVERY: Duration = Duration::from_millis(250);
const QUEUE: usize = 10_000;

type Key = (ConversationId, UserId);
/// One change for the table.
type Change = (ConversationId, UserId, bool);

struct Typist {
    user: Arc<User>,
    /// The members when it began: ending it must not wait for the database.
    members: Arc<[UserId]>,
    socket: Uuid,
    ends: Instant,
    /// Names this spell of typing: a timer that ends one must not end the next.
    spell: Uuid,
}

/// All who type, and by socket the conversations in which it was the last one to type for its user, so that the end of a
/// socket needs no look at everyone else.
#[derive(Default)]
struct Typists {
    all: HashMap<Key, Typist>,
    of_socket: HashMap<Uuid, HashSet<ConversationId>>,
}

impl Typists {
    fn insert(&mut self, key: Key, typist: Typist) {
        let socket = typist.socket;
        if let Some(before) = self.all.insert(key, typist)
            && before.socket != socket
        {
            self.forget(before.socket, key.0);
        }
        self.of_socket.entry(socket).or_default().insert(key.0);
    }

    fn remove(&mut self, key: &Key) -> Option<Typist> {
        let typist = self.all.remove(key)?;
        self.forget(typist.socket, key.0);
        Some(typist)
    }

    fn forget(&mut self, socket: Uuid, conversation: ConversationId) {
        if let Some(conversations) = self.of_socket.get_mut(&socket) {
            conversations.remove(&conversation);
            if conversations.is_empty() {
                self.of_socket.remove(&socket);
            }
        }
    }

    fn conversations_of(&self, socket: Uuid) -> Vec<ConversationId> {
        self.of_socket.get(&socket).into_iter().flatten().copied().collect()
    }
}

pub struct Typing {
    core: Arc<Core>,
    typists: Mutex<Typists>,
    table: mpsc::Sender<Change>,
}

impl Typing {
    pub(super) fn start(core: Arc<Core>) -> Self {
        let (table, queue) = mpsc::channel(QUEUE);
        core.tasks.background(run(core.clone(), queue));
        Self { core, typists: Mutex::default(), table }
    }

    fn note(&self, key: Key, is_typing: bool) {
        // A full queue costs a row that SQL readers see, not what users see.
        self.table.try_send((key.0, key.1, is_typing)).ok();
    }

    /// Tells the others in the room that the caller types or stopped.
    ///
    /// # Errors
    /// [`Error::NotAuthorized`] if the caller is no member, [`Error::Internal`].
    pub async fn set(
        self: &Arc<Self>,
        connection: &Connection,
        conversation: ConversationId,
        is_typing: bool,
    ) -> Result<()> {
        let user = &*connection.user();
        let members = self.core.membership.members(conversation).await?;
        if !members.contains(&user.id) {
            return Err(Error::NotAuthorized);
        }
        let members = self.core.membership.without_blocked(user.id, &members).await;
        let key = (conversation, user.id);
        if is_typing && members.iter().all(|m| *m == user.id) {
            // Nobody to see it: not in the table either.
            return Ok(());
        }
        if is_typing {
            self.begin(connection, key, &members);
        } else if self.typists.lock().remove(&key).is_some() {
            self.note(key, false);
        }
        self.tell(user, conversation, &members, is_typing);
        Ok(())
    }

    fn begin(self: &Arc<Self>, connection: &Connection, key: Key, members: &Arc<[UserId]>) {
        let mut typists = self.typists.lock();
        let known = typists.all.get(&key).map(|t| t.spell);
        let spell = known.unwrap_or_else(Uuid::new_v4);
        let typist = Typist {
            user: connection.user(),
            members: members.clone(),
            socket: connection.id,
            ends: Instant::now() + ENDS_AFTER,
            spell,
        };
        typists.insert(key, typist);
        drop(typists);
        if known.is_none() {
            self.note(key, true);
            tokio::spawn(self.clone().end(key, spell));
        }
    }

    /// The user sent a message, so they type no more.
    pub(super) fn stop(&self, conversation: ConversationId, user: UserId) {
        self.stop_if((conversation, user), |_| true);
    }

    /// A socket is gone: its user types no more in conversations where it was the last one to type, in the room or not.
    pub(super) fn stop_of(&self, connection: &Connection) {
        let conversations = self.typists.lock().conversations_of(connection.id);
        for conversation in conversations {
            self.stop_on(connection, conversation);
        }
    }

    /// A socket left a conversation, and if it was the last one to type there for its user, the user types no more.
    pub(super) fn stop_on(&self, connection: &Connection, conversation: ConversationId) {
        self.stop_if((conversation, connection.user_id), |t| t.socket == connection.id);
    }

    fn stop_if(&self, key: Key, condition: impl FnOnce(&Typist) -> bool) {
        let stopped = {
            let mut typists = self.typists.lock();
            match typists.all.get(&key) {
                Some(t) if condition(t) => typists.remove(&key),
                _ => None,
            }
        };
        if let Some(typist) = stopped {
            self.note(key, false);
            self.tell(&typist.user, key.0, &typist.members, false);
        }
    }

    async fn end(self: Arc<Self>, key: Key, spell: Uuid) {
        loop {
            let ends = self.typists.lock().all.get(&key).filter(|t| t.spell == spell).map(|t| t.ends);
            let Some(ends) = ends else { return };
            if ends <= Instant::now() {
                return self.stop_if(key, |t| t.spell == spell && t.ends <= Instant::now());
            }
            tokio::select! {
                () = tokio::time::sleep_until(ends) => {}
                () = self.core.tasks.stop.cancelled() => return,
            }
        }
    }

    fn tell(&self, user: &User, conversation_id: ConversationId, members: &[UserId], is_typing: bool) {
        let payload = UserTyping { user_id: user.id, display_name: user.name(), is_typing, conversation_id };
        let audience =
            Audience { room: Some(conversation_id), members, not_user: Some(user.id), ..Audience::default() };
        self.core.hub.emit(&audience, &Event::new(outgoing::USER_TYPING, &payload));
    }
}

async fn run(core: Arc<Core>, mut queue: mpsc::Receiver<Change>) {
    let mut waiting = Vec::new();
    loop {
        if !core.tasks.next_batch(&mut queue, &mut waiting, QUEUE).await {
            return;
        }
        let latest: HashMap<Key, bool> = waiting.drain(..).map(|(c, u, t)| ((c, u), t)).collect();
        let changes: Vec<Change> = latest.into_iter().map(|((c, u), t)| (c, u, t)).collect();
        let mut written = in_time(core.db.write_typing(&changes)).await;
        if written.as_ref().is_err_and(DbError::is_locked) {
            // The others must not miss out for one conversation that is locked; that one does.
            for one in changes.chunks(1) {
                written = in_time(core.db.write_typing(one)).await;
            }
        }
        if let Err(e) = written {
            tracing::warn!(error = %e, "typing indicators not written");
        }
        tokio::time::sleep(WRITE_EVERY).await;
    }
}
