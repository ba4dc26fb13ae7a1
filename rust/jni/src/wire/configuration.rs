//! Configuration block: the argument of `Native.start`.
//!
//! | offset | type | content |
//! |---|---|---|
//! | 0 | u8 | kind: 0 TCP, 1 Unix socket |
//! | 1 | u8 | flags: 1 dual stack, 2 SO_REUSEADDR, 4 SO_REUSEPORT, 8 legacy remote address, 16 large bodies are read while they arrive |
//! | 2 | u8 | PROXY protocol: 0 disabled, 1 enabled, 2 optional |
//! | 3 | u8 | dispatch: 0 pool, 1 in place, 2 adaptive |
//! | 4, 6 | u16 | port, most headers |
//! | 8, 12, 16 | u32 | backlog, receive buffer (0: the system's), most connections (0: any) |
//! | 20 | u64 | largest body |
//! | 28, 32 | u32 | longest line, largest head |
//! | 36, 40, 44, 48 | u32 | header, body, write and keep-alive timeout in milliseconds (0: none) |
//! | 52 | u32 | budget of a call in place in microseconds |
//! | 56 | | u16 length, IP literal or path; u16 length, Server header (0xFFFF: none); u16 count of trusted proxies, each u16 length, text; u32 largest WebSocket message, u32 most output that may wait for a client in bytes (0: any), u64 for all clients together (0: any), u64 most that bodies and messages which are not complete may hold (0: any), u32 ping interval in milliseconds (0: none) |

use std::net::SocketAddr;
use std::time::Duration;

use httpkit_engine::{Dispatch, Limits, Listen, Network, ProxyProtocol, ServerConfig, Timeouts};

use super::cursor::{Malformed, Reader};

const UNIX: u8 = 1;

const DUAL_STACK: u8 = 1;
const REUSE_ADDRESS: u8 = 2;
const REUSE_PORT: u8 = 4;
const LEGACY_REMOTE_ADDRESS: u8 = 8;
const STREAM_BODY: u8 = 16;

/// Up to this length a body is collected even so: a form then needs no thread that waits for it.
const COLLECTED_BODY: u64 = 64 * 1024;

const NO_SERVER_HEADER: u16 = u16::MAX;

/// Reads what `Native.start` was asked for.
pub(crate) fn read_configuration(block: &[u8]) -> Result<ServerConfig, Malformed> {
    let mut reader = Reader::new(block);
    let kind = reader.u8()?;
    let flags = reader.u8()?;
    let is_set = |flag| flags & flag != 0;
    let proxy_protocol = match reader.u8()? {
        0 => ProxyProtocol::Disable,
        1 => ProxyProtocol::Enable,
        2 => ProxyProtocol::Optional,
        _ => return Err(Malformed("unknown proxy protocol mode")),
    };
    let dispatch = match reader.u8()? {
        0 => Dispatch::Pool,
        1 => Dispatch::InPlace,
        2 => Dispatch::Adaptive,
        _ => return Err(Malformed("unknown dispatch mode")),
    };
    let port = reader.u16()?;
    let max_headers = reader.u16()?;
    let backlog = reader.u32()?;
    let receive_buffer = reader.u32()?;
    let max_connections = reader.u32()?;
    let stream_above = if is_set(STREAM_BODY) { COLLECTED_BODY } else { u64::MAX };
    let limits = Limits { max_body: reader.u64()?, stream_above, max_line: reader.u32()?, max_head: reader.u32()?, max_headers };
    let timeouts = Timeouts {
        header: millis(&mut reader)?,
        body: millis(&mut reader)?,
        write: millis(&mut reader)?,
        keep_alive: millis(&mut reader)?,
    };
    let in_place_budget = Duration::from_micros(u64::from(reader.u32()?));
    let listen = listen(kind, reader.short_text()?, port, is_set(DUAL_STACK))?;
    let server_header = server_header(&mut reader)?;
    let trusted_proxies = trusted_proxies(&mut reader)?;
    let (max_message, max_pending) = (reader.u32()?, reader.u32()?);
    let (max_pending_total, max_received_total, ping_interval_millis) = (reader.u64()?, reader.u64()?, reader.u32()?);
    if !reader.rest().is_empty() {
        return Err(Malformed("block is longer than its parts"));
    }
    Ok(ServerConfig {
        listen,
        reuse_address: is_set(REUSE_ADDRESS),
        reuse_port: is_set(REUSE_PORT),
        receive_buffer,
        backlog,
        max_connections,
        limits,
        timeouts,
        proxy_protocol,
        legacy_remote_address: is_set(LEGACY_REMOTE_ADDRESS),
        trusted_proxies,
        dispatch,
        in_place_budget,
        max_message,
        max_pending,
        max_pending_total,
        max_received_total,
        ping_interval_millis,
        server_header,
    })
}

fn millis(reader: &mut Reader<'_>) -> Result<Duration, Malformed> {
    reader.u32().map(|millis| Duration::from_millis(u64::from(millis)))
}

fn listen(kind: u8, address: &[u8], port: u16, dual_stack: bool) -> Result<Listen, Malformed> {
    let text = std::str::from_utf8(address).map_err(|_| Malformed("address is not UTF-8"))?;
    if kind == UNIX {
        return Ok(Listen::Unix(text.into()));
    }
    // With an interface (`fe80::1%2`) it is no IpAddr.
    let address = text.parse().map(|ip| SocketAddr::new(ip, port)).or_else(|_| format!("[{text}]:{port}").parse());
    Ok(Listen::Tcp { address: address.map_err(|_| Malformed("address is not an IP literal"))?, dual_stack })
}

/// The text goes into every response unchecked, so a line break in it is refused here.
fn server_header(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>, Malformed> {
    let length = reader.u16()?;
    if length == NO_SERVER_HEADER {
        return Ok(None);
    }
    let text = reader.bytes(usize::from(length))?;
    if text.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(Malformed("Invalid character in HTTP header value"));
    }
    Ok(Some(text.to_vec()))
}

fn trusted_proxies(reader: &mut Reader<'_>) -> Result<Vec<Network>, Malformed> {
    let count = reader.u16()?;
    const INVALID: Malformed =
        Malformed(":trusted-proxies must be addresses or networks such as \"10.0.0.0/8\", and one of them is not");
    let network = |text| std::str::from_utf8(text).ok()?.parse().ok();
    (0..count).map(|_| network(reader.short_text()?).ok_or(INVALID)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::path::PathBuf;
    use std::time::Duration;

    use httpkit_engine::{Dispatch, Listen, ProxyProtocol};

    use super::read_configuration;
    use crate::wire::cursor::Malformed;
    use crate::wire::vectors::{garbage, vector};

    #[test]
    fn a_tcp_configuration_is_read_from_the_golden_block() {
        let server = read_configuration(&vector("config-tcp")).unwrap();
        let Listen::Tcp { address, dual_stack } = server.listen else { unreachable!("TCP was asked for") };
        assert_eq!((address, dual_stack), ((Ipv4Addr::UNSPECIFIED, 8090).into(), false));
        assert!(server.dispatch == Dispatch::Pool && server.reuse_address && !server.reuse_port && server.legacy_remote_address);
        assert!(server.proxy_protocol == ProxyProtocol::Disable);
        assert_eq!((server.backlog, server.receive_buffer, server.max_connections), (1024, 0, 0));
        assert_eq!((server.limits.max_body, server.limits.stream_above), (8_388_608, u64::MAX));
        assert_eq!((server.limits.max_line, server.limits.max_head, server.limits.max_headers), (8192, 65536, 100));
        let timeouts = server.timeouts;
        assert_eq!((timeouts.header, timeouts.body), (Duration::from_secs(30), Duration::from_secs(60)));
        assert_eq!((timeouts.write, timeouts.keep_alive), (Duration::from_secs(60), Duration::from_secs(75)));
        assert_eq!(server.server_header.as_deref(), Some(&b"http-kit"[..]));
        assert!(server.trusted_proxies.is_empty());
        assert_eq!((server.max_message, server.max_pending), (4_194_304, 67_108_864));
        assert_eq!(
            (server.max_pending_total, server.max_received_total, server.ping_interval_millis),
            (1_073_741_824, 536_870_912, 0)
        );
    }

    #[test]
    fn every_option_is_read_from_the_golden_block() {
        let server = read_configuration(&vector("config-every-option")).unwrap();
        let Listen::Tcp { address, dual_stack } = server.listen else { unreachable!("TCP was asked for") };
        assert_eq!((address, dual_stack), ((Ipv6Addr::UNSPECIFIED, 65535).into(), true));
        assert!(
            server.dispatch == Dispatch::Adaptive && !server.reuse_address && server.reuse_port && !server.legacy_remote_address
        );
        assert!(server.proxy_protocol == ProxyProtocol::Optional);
        assert_eq!((server.backlog, server.receive_buffer, server.max_connections), (16384, 262_144, 10_000));
        assert_eq!((server.limits.max_body, server.limits.stream_above), (5_000_000_000, 65536));
        assert_eq!((server.limits.max_line, server.limits.max_head, server.limits.max_headers), (1, 2, 3));
        let timeouts = server.timeouts;
        assert_eq!((timeouts.header, timeouts.body), (Duration::ZERO, Duration::from_millis(1)));
        assert_eq!((timeouts.write, timeouts.keep_alive), (Duration::ZERO, Duration::from_millis(u64::from(u32::MAX))));
        assert_eq!(server.server_header, None);
        assert_eq!(server.trusted_proxies, ["10.0.0.0/8", "::1"].map(|text| text.parse().ok().unwrap()));
        assert_eq!((server.max_message, server.max_pending), (65536, u32::MAX));
        assert_eq!((server.max_pending_total, server.max_received_total), (5_000_000_001, 5_000_000_002));
        assert_eq!(server.ping_interval_millis, 30000);
    }

    #[test]
    fn a_unix_configuration_is_read_from_the_golden_block() {
        let server = read_configuration(&vector("config-unix")).unwrap();
        let Listen::Unix(path) = server.listen else { unreachable!("a Unix socket was asked for") };
        assert_eq!(path, PathBuf::from("/run/café.sock"));
        assert_eq!(server.server_header.as_deref(), Some(&b""[..]));
        assert!(server.proxy_protocol == ProxyProtocol::Enable);
    }

    #[test]
    fn every_truncation_and_a_surplus_are_errors() {
        for name in ["config-tcp", "config-every-option", "config-unix"] {
            let mut bytes = vector(name);
            for length in 0..bytes.len() {
                assert!(read_configuration(&bytes[..length]).is_err(), "{name} cut at {length}");
            }
            bytes.push(0);
            assert!(read_configuration(&bytes).is_err(), "{name} with one byte more");
        }
    }

    #[test]
    fn a_line_break_in_the_server_header_is_refused() {
        let mut bytes = vector("config-tcp");
        // Behind it: the count of proxies, and five numbers.
        let end_of_header = bytes.len() - 31;
        bytes[end_of_header] = b'\n';
        assert_eq!(read_configuration(&bytes).err(), Some(Malformed("Invalid character in HTTP header value")));
    }

    #[test]
    fn garbage_never_panics() {
        for name in ["config-tcp", "config-every-option", "config-unix"] {
            for bytes in garbage(&vector(name)) {
                let _ = read_configuration(&bytes);
            }
        }
    }
}
