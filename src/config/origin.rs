//! Origins in one spelling, so that they can be compared as texts.

/// `text` in lower case, `ws` and `wss` as `http` and `https`, without the scheme's own port. `None` for a text that is no
/// origin: a scheme and a host, as in `https://shop.example` or `capacitor://localhost`.
pub fn normal_origin(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let (scheme, host) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
    let is_host = !host.is_empty() && !host.contains(|c: char| "/?#@*\\".contains(c) || c.is_whitespace());
    if !is_scheme || !is_host {
        return None;
    }
    let scheme = match scheme {
        "ws" => "http",
        "wss" => "https",
        other => other,
    };
    Some(format!("{scheme}://{}", without_default_port(scheme, host)))
}

/// Returns `host` (of an origin or a `Host` header) without the default port of `scheme`.
pub fn without_default_port<'a>(scheme: &str, host: &'a str) -> &'a str {
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return host,
    };
    host.strip_suffix(port).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_that_mean_the_same_are_spelt_the_same() {
        let table = [
            ("https://Shop.Example", "https://shop.example"),
            (" https://shop.example:443 ", "https://shop.example"),
            ("wss://shop.example", "https://shop.example"),
            ("ws://localhost:3001", "http://localhost:3001"),
            ("http://[::1]:80", "http://[::1]"),
            ("https://shop.example:80", "https://shop.example:80"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("ionic://localhost", "ionic://localhost"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ];
        for (text, normal) in table {
            assert_eq!(normal_origin(text).as_deref(), Some(normal), "{text}");
        }
    }

    #[test]
    fn what_is_no_origin_is_none() {
        for text in
            ["", "null", "shop.example", "https://", "https://a/b", "https://u@a", "https://*.a", "://a", "1a://b"]
        {
            assert_eq!(normal_origin(text), None, "{text}");
        }
    }
}
