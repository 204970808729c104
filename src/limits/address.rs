//! The address of a client, also behind proxies.

use std::net::IpAddr;

use ipnet::IpNet;

/// The address of a client: the peer of its connection or, if that is a trusted proxy, the address that the proxy names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

/// The trusted proxies: their `X-Forwarded-For` counts.
#[derive(Clone, Debug)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// True for the address of a trusted proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }

    /// Returns the client behind `peer`: the last address in `X-Forwarded-For` that is not a trusted proxy. The client may have
    /// made up the addresses before it.
    pub fn client(&self, peer: IpAddr, forwarded_for: &str) -> ClientAddress {
        let peer = peer.to_canonical();
        if !self.contains(peer) {
            return ClientAddress(peer);
        }
        let mut client = peer;
        for hop in forwarded_for.rsplit(',') {
            let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
            if !self.contains(client) {
                break;
            }
        }
        ClientAddress(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded_for: &str) -> String {
        let proxies = Proxies::new(["127.0.0.0/8", "10.0.0.1/32"].map(|net| net.parse().unwrap()).to_vec());
        proxies.client(peer.parse().unwrap(), forwarded_for).0.to_string()
    }

    #[test]
    fn only_a_proxy_of_ours_is_believed() {
        assert_eq!(client("8.8.8.8", "1.2.3.4"), "8.8.8.8");
        assert_eq!(client("127.0.0.1", "1.2.3.4"), "1.2.3.4");
        assert_eq!(client("::ffff:127.0.0.1", "1.2.3.4"), "1.2.3.4");
        assert_eq!(client("127.0.0.1", ""), "127.0.0.1");
    }

    #[test]
    fn what_a_client_puts_in_front_does_not_count() {
        assert_eq!(client("127.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.1"), "1.2.3.4");
        assert_eq!(client("127.0.0.1", "junk, 10.0.0.1"), "10.0.0.1");
    }
}
