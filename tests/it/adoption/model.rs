//! What the Node server's rows mean, told the slow way: each message with everyone who has read it. Knows nothing of
//! watermarks, and can be acted on, so that what follows adoption is held against it too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use uuid::Uuid;

use super::legacy::Rows;

/// One message.
pub struct Kept {
    pub id: Uuid,
    pub sender: Uuid,
    /// With the sender.
    pub read_by: BTreeSet<Uuid>,
    /// Deleted for everyone.
    pub gone: bool,
    /// Deleted for these.
    pub hidden: BTreeSet<Uuid>,
    /// Its present text.
    pub text: String,
    /// The row as the Node server left it.
    pub old: Value,
}

/// One conversation, its messages in order.
pub struct Thread {
    pub members: BTreeSet<Uuid>,
    pub messages: Vec<Kept>,
    pub old: Value,
}

impl Thread {
    pub fn unread(&self, user: Uuid) -> i64 {
        let counts = |m: &&Kept| m.sender != user && !m.gone && !m.hidden.contains(&user) && !m.read_by.contains(&user);
        i64::try_from(self.messages.iter().filter(counts).count()).unwrap()
    }

    pub fn read(&mut self, user: Uuid) -> i64 {
        let unread = self.unread(user);
        for m in &mut self.messages {
            m.read_by.insert(user);
        }
        unread
    }
}

/// All of them, by conversation.
pub type Model = BTreeMap<Uuid, Thread>;

fn id(value: &Value) -> Option<Uuid> {
    Some(value.as_str()?).filter(|s| s.len() == 36).and_then(|s| Uuid::parse_str(s).ok())
}

/// The users in a JSON array, whatever the case of their ids.
pub fn ids(array: &Value) -> BTreeSet<Uuid> {
    array.as_array().into_iter().flatten().filter_map(id).collect()
}

/// The message's order: its time, then as many readers as possible, then its id. No time at all comes last.
fn place(m: &Value) -> (bool, String, i64, Uuid) {
    let time = [&m["created_at"], &m["updated_at"]].into_iter().find_map(Value::as_str);
    let readers = m["read_by"].as_array().map_or(0, Vec::len);
    // A fraction of a second sorts after none.
    (time.is_none(), time.unwrap_or_default().to_owned(), -i64::try_from(readers).unwrap(), id(&m["id"]).unwrap())
}

/// What the old rules make of the old rows.
pub fn model(before: &Rows) -> Model {
    let mut model = Model::new();
    for c in &before["conversations"] {
        let thread = Thread { members: ids(&c["participant_ids"]), messages: Vec::new(), old: c.clone() };
        model.insert(id(&c["id"]).unwrap(), thread);
    }
    let mut messages: Vec<&Value> = before["messages"].iter().collect();
    messages.sort_by_key(|m| place(m));
    for m in messages {
        let sender = id(&m["sender_id"]).unwrap();
        let mut read_by = ids(&m["read_by"]);
        read_by.insert(sender);
        let deleted = m["is_deleted"] == json!(true);
        let meant = id(&m["deleted_by"]).filter(|_| deleted && m["deletion_type"] == "for_me");
        let kept = Kept {
            id: id(&m["id"]).unwrap(),
            sender,
            read_by,
            gone: deleted && meant.is_none(),
            hidden: meant.into_iter().collect(),
            text: m["message_text"].as_str().unwrap().to_owned(),
            old: m.clone(),
        };
        model.get_mut(&id(&m["conversation_id"]).unwrap()).unwrap().messages.push(kept);
    }
    model
}
