//! Accepts paths as Express 4 does: in upper or lower case, with or without a slash at the end.

use axum::http::Uri;

/// After these prefixes a path has a name that keeps its case: a file's path, a reaction.
const NAMES_FOLLOW: [&str; 2] = ["files", "reactions"];

/// Rewrites a path to the form of the routes. Paths of Socket.IO are not changed.
pub fn as_routed(uri: &mut Uri) {
    let path = uri.path();
    let is_usual = !path.bytes().any(|b| b.is_ascii_uppercase()) && (path == "/" || !path.ends_with('/'));
    if is_usual || path.starts_with("/socket.io") {
        return;
    }
    let path = routed(path);
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // A path that cannot be put together is not changed, and matches no route.
    if let Ok(routed) = format!("{path}{query}").parse() {
        *uri = routed;
    }
}

fn routed(path: &str) -> String {
    let path = path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path);
    let mut keeps_case = false;
    let segments = path.split('/').map(|segment| {
        let segment = if keeps_case { segment.to_owned() } else { segment.to_ascii_lowercase() };
        keeps_case |= NAMES_FOLLOW.contains(&segment.as_str());
        segment
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_the_routes_have_it() {
        let table = [
            ("/", "/"),
            ("/API/Chat/Conversations/", "/api/chat/conversations"),
            ("/api/chat/conversations?Before=X", "/api/chat/conversations?Before=X"),
            ("/api/chat/Users/Search/?search=Ann", "/api/chat/users/search?search=Ann"),
            ("/api/chat/Files/A/B.TXT", "/api/chat/files/A/B.TXT"),
            ("/api/chat/messages/X/Reactions/%F0/", "/api/chat/messages/x/reactions/%F0"),
            ("/api/chat//", "/api/chat/"),
            ("/socket.io/?EIO=4", "/socket.io/?EIO=4"),
            ("*", "*"),
        ];
        for (asked, expected) in table {
            let mut uri: Uri = asked.parse().unwrap();
            as_routed(&mut uri);
            assert_eq!(uri.to_string(), expected, "{asked}");
        }
    }
}
