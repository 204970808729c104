//! The demo users of the embedded database: at start their tokens and a command to try are printed.

use souk::{auth::Tokens, clock::Clock, config::Config, db::embedded};

const DAY: i64 = 86_400;

/// Prints a token for each demo user and a curl line that opens a conversation.
pub fn print(tokens: &Tokens, port: u16) {
    println!("\nNo DATABASE_URL: running on the embedded PostgreSQL, with demo users to try the chat with.");
    let users = embedded::demo_users();
    let mut first = None;
    for (id, email, role, name) in &users {
        let Ok(token) = tokens.issue(*id, *role, 30 * DAY) else { continue };
        println!("\n{} ({name}, {email})\n  id     {id}\n  token  {token}", role.as_str());
        first.get_or_insert(token);
    }
    if let Some(token) = first {
        println!(
            "\nTry: the customer opens a conversation with the seller\n\
             curl -X POST http://localhost:{port}/api/chat/conversations \\\n  \
             -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\\n  \
             -d '{{\"participantId\": \"{}\"}}'\n",
            users[1].0
        );
    }
}

/// Makes a demo user's token without the database, which the running server uses.
pub fn token(config: &Config, user: &str, days: u16) -> Option<String> {
    let (id, _, role, _) = embedded::demo_users()
        .into_iter()
        .find(|(id, email, ..)| id.to_string() == user.to_lowercase() || email.eq_ignore_ascii_case(user))?;
    let secret = match &config.jwt_secret {
        Some(secret) => secret.clone(),
        None => embedded::generated_secret(&config.data_dir).ok()?,
    };
    Tokens::new(&secret, Clock::system()).issue(id, role, i64::from(days) * DAY).ok()
}
