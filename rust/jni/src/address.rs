//! Socket addresses spelled as `java.net.InetSocketAddress` prints them.

use std::net::{Ipv6Addr, SocketAddr};

use httpkit_engine::Address;

/// `/127.0.0.1:8080`, `/[0:0:0:0:0:0:0:1]:8080`; the empty text for a Unix socket, whose peer has no name.
pub(crate) fn java_text(address: &Address) -> String {
    let Address::Ip(socket) = address else { return String::new() };
    match socket {
        SocketAddr::V4(v4) => format!("/{v4}"),
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("/[{}%{}]:{}", groups(v6.ip()), v6.scope_id(), v6.port()),
        SocketAddr::V6(v6) => format!("/[{}]:{}", groups(v6.ip()), v6.port()),
    }
}

/// All eight groups without `::`, which is Java's form.
fn groups(ip: &Ipv6Addr) -> String {
    ip.segments().map(|group| format!("{group:x}")).join(":")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::SocketAddr;

    use httpkit_engine::Address;

    use super::java_text;

    #[test]
    fn addresses_are_spelled_as_java_spells_them() {
        let table = [
            ("127.0.0.1:8080", "/127.0.0.1:8080"),
            ("[::1]:80", "/[0:0:0:0:0:0:0:1]:80"),
            ("[::ffff:192.0.2.1]:1", "/192.0.2.1:1"),
            ("[2001:db8::a0]:65535", "/[2001:db8:0:0:0:0:0:a0]:65535"),
            ("[fe80::1%2]:80", "/[fe80:0:0:0:0:0:0:1%2]:80"),
        ];
        for (text, expected) in table {
            assert_eq!(java_text(&Address::from(text.parse::<SocketAddr>().unwrap())), expected);
        }
        assert_eq!(java_text(&Address::Unix), "");
    }
}
