//! Who the client is, as an application sees it in `:remote-addr`.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use smallvec::SmallVec;

use crate::application::{FieldName, HeaderField};
use crate::config::ServerConfig;
use crate::http1::name;

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// An internet address.
    Ip(SocketAddr),
    /// A Unix domain socket.
    Unix,
}

impl From<SocketAddr> for Address {
    /// An IPv4 client of a dual-stack listener is an IPv4 client. A link-local one keeps its zone.
    fn from(address: SocketAddr) -> Self {
        Self::Ip(match address.ip().to_canonical() {
            IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
            IpAddr::V6(_) => address,
        })
    }
}

/// A text short enough to live on the stack.
pub(crate) type Text = SmallVec<[u8; 64]>;

/// The address of the client of one request: from a PROXY line, else from `X-Forwarded-For` where the configuration believes it,
/// else the socket's peer.
pub(crate) fn of_request(config: &ServerConfig, peer: Address, proxied: bool, fields: &[HeaderField<'_>]) -> Option<Text> {
    if !proxied && (config.legacy_remote_address || !config.trusted_proxies.is_empty()) {
        let forwarded = fields.iter().find(|field| field.name == FieldName::Common(name::X_FORWARDED_FOR));
        if let Some(field) = forwarded {
            let value: &[u8] = &field.value;
            if !config.trusted_proxies.is_empty() {
                if let Some(address) = through_proxies(&config.trusted_proxies, peer, value) {
                    return Some(format_ip(address));
                }
            } else if config.legacy_remote_address {
                return Some(value.split(|&byte| byte == b',').next().unwrap_or_default().into());
            }
        }
    }
    match peer {
        Address::Ip(address) => Some(format_address(address)),
        Address::Unix => None,
    }
}

/// The last address in the list that no trusted proxy has: what stands before it, the client may have invented.
fn through_proxies(trusted: &[Network], peer: Address, list: &[u8]) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    match peer {
        Address::Ip(address) if !is_trusted(address.ip()) => return None,
        _ => {}
    }
    let mut found = None;
    for element in list.rsplit(|&byte| byte == b',') {
        let address = std::str::from_utf8(element.trim_ascii()).ok().and_then(|text| text.parse::<IpAddr>().ok())?.to_canonical();
        found = Some(address);
        if !is_trusted(address) {
            break;
        }
    }
    found
}

/// An address as Java prints it: IPv6 uncompressed (`0:0:0:0:0:0:0:1`).
pub(crate) fn format_ip(address: IpAddr) -> Text {
    match address {
        IpAddr::V4(address) => {
            let (mut text, mut length) = ([0; 16], 0);
            for octet in address.octets() {
                let (digits, count) = OCTETS[usize::from(octet)];
                text[length..length + 4].copy_from_slice(&digits);
                length += count;
            }
            Text::from_slice(&text[..length - 1])
        }
        IpAddr::V6(address) => {
            let mut text = Text::new();
            for (position, segment) in address.segments().into_iter().enumerate() {
                if position > 0 {
                    text.push(b':');
                }
                let digits = (u16::BITS - segment.leading_zeros()).div_ceil(4).max(1);
                text.extend((0..digits).rev().map(|place| b"0123456789abcdef"[usize::from(segment >> (place * 4) & 0xf)]));
            }
            text
        }
    }
}

/// Likewise with the interface, where only that makes the address one (`fe80:0:0:0:0:0:0:1%2`).
fn format_address(address: SocketAddr) -> Text {
    let mut text = format_ip(address.ip());
    if let SocketAddr::V6(v6) = address {
        if v6.scope_id() != 0 {
            text.extend_from_slice(format!("%{}", v6.scope_id()).as_bytes());
        }
    }
    text
}

/// An octet in decimal with the dot behind it, and how many bytes that is.
static OCTETS: [([u8; 4], usize); 256] = {
    let mut table = [([b'.'; 4], 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let digits = [b'0' + (octet / 100) as u8, b'0' + (octet / 10 % 10) as u8, b'0' + (octet % 10) as u8];
        let first = (octet < 100) as usize + (octet < 10) as usize;
        let mut place = first;
        while place < 3 {
            table[octet].0[place - first] = digits[place];
            place += 1;
        }
        table[octet].1 = 4 - first;
        octet += 1;
    }
    table
};

/// A network in CIDR form: `10.0.0.0/8`, `fd00::/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// True if the network contains the address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                same_prefix(u128::from(u32::from(network)) << 96, u128::from(u32::from(address)) << 96, self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => same_prefix(u128::from(network), u128::from(address), self.prefix),
            _ => false,
        }
    }
}

fn same_prefix(left: u128, right: u128, prefix: u32) -> bool {
    prefix == 0 || (left ^ right) >> (128 - prefix) == 0
}

/// The text is not an address, or its prefix is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidNetwork;

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u32>().map_err(|_| InvalidNetwork)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        if prefix > longest { Err(InvalidNetwork) } else { Ok(Self { address, prefix }) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Network, format_ip, through_proxies};

    fn network(text: &str) -> Network {
        text.parse().unwrap_or_else(|_| unreachable!("{text}"))
    }

    #[test]
    fn addresses_print_as_java_prints_them() {
        let print = |text: &str| text.parse().map(|address| String::from_utf8_lossy(&format_ip(address)).into_owned()).ok();
        assert_eq!(print("127.0.0.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(print("10.200.99.255").as_deref(), Some("10.200.99.255"));
        for octet in 0..=255 {
            let text = format!("{octet}.0.{octet}.{}", 255 - octet);
            assert_eq!(print(&text), Some(text));
        }
        assert_eq!(print("::1").as_deref(), Some("0:0:0:0:0:0:0:1"));
        assert_eq!(print("2001:db8::ff00:10:0").as_deref(), Some("2001:db8:0:0:0:ff00:10:0"));
    }

    #[test]
    fn networks_contain_their_addresses() {
        let contains = |net: &str, text: &str| text.parse().is_ok_and(|address| network(net).contains(address));
        assert!(contains("10.0.0.0/8", "10.255.1.2"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("0.0.0.0/0", "8.8.8.8"));
        assert!(contains("10.0.0.1", "::ffff:10.0.0.1"));
        assert!(contains("fd00::/8", "fd12::1"));
        assert!("10.0.0.0/33".parse::<Network>().is_err());
        assert!("ten".parse::<Network>().is_err());
    }

    #[test]
    fn only_what_a_trusted_proxy_added_is_believed() {
        let trusted = [network("127.0.0.1"), network("10.0.0.0/8")];
        let peer = |text: &str| text.parse().map_or(Address::Unix, Address::Ip);
        let client =
            |from: &str, list: &str| through_proxies(&trusted, peer(from), list.as_bytes()).map(|address| address.to_string());
        assert_eq!(client("127.0.0.1:1", "6.6.6.6, 1.2.3.4, 10.1.1.1").as_deref(), Some("1.2.3.4"));
        assert_eq!(client("9.9.9.9:1", "1.2.3.4"), None);
        assert_eq!(client("127.0.0.1:1", "10.2.2.2").as_deref(), Some("10.2.2.2"));
        assert_eq!(client("127.0.0.1:1", "1.2.3.4, nonsense"), None);
    }
}
