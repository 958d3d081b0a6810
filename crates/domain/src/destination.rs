//! Where a target may point: the form of a `base_url`, and the addresses that are never dialled.
//!
//! A literal address is checked when it is written; every address is checked again when it is dialled, after names
//! are resolved, so that a name cannot be pointed elsewhere in between.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The root of a model server: `http://host:port/path`, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    /// Whether to speak TLS.
    pub tls: bool,
    /// A name, or a literal address without brackets.
    pub host: String,
    /// The port, the scheme's own where none was written.
    pub port: u16,
    /// Empty, or begins with a slash and does not end with one.
    pub path: String,
}

/// Why a URL is not one that we can call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadUrl {
    /// Neither `http://` nor `https://`.
    Scheme,
    /// A user or password before the host.
    UserInfo,
    /// A `?` or a `#`.
    QueryOrFragment,
    /// No host, or characters that no host has.
    Host,
    /// Not a port.
    Port,
    /// Characters that have to be escaped in a path.
    Path,
}

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "it has to begin with http:// or https://",
            Self::UserInfo => "it must not carry a user or password; use a secret",
            Self::QueryOrFragment => "it must not have a query or a fragment",
            Self::Host => "its host is not a name or an address",
            Self::Port => "its port is not a number from 1 to 65535",
            Self::Path => "its path has characters that must be escaped",
        })
    }
}

impl BaseUrl {
    /// Host and port as they stand in a `Host` header (RFC 9110, 7.2).
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// The host as an address, where it is one.
    #[must_use]
    pub fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl FromStr for BaseUrl {
    type Err = BadUrl;
    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let (tls, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(BadUrl::Scheme),
        };
        if rest.contains(['?', '#']) {
            return Err(BadUrl::QueryOrFragment);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(BadUrl::UserInfo);
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            None => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(BadUrl::Port)?,
        };
        let escaped = |b: u8| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b);
        if !path.bytes().all(escaped) {
            return Err(BadUrl::Path);
        }
        Ok(Self { tls, host: host.to_ascii_lowercase(), port, path: path.trim_end_matches('/').to_owned() })
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), BadUrl> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(BadUrl::Host)?;
        host.parse::<Ipv6Addr>().map_err(|_| BadUrl::Host)?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(BadUrl::Host),
        };
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let named = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    match !host.is_empty() && host.len() <= 253 && host.bytes().all(named) {
        true => Ok((host, port)),
        false => Err(BadUrl::Host),
    }
}

/// A range of addresses, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    prefix: u32,
}

/// The text is not `address/prefix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotANetwork;

impl FromStr for Network {
    type Err = NotANetwork;
    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (base, prefix) = text.split_once('/').ok_or(NotANetwork)?;
        let base: IpAddr = base.parse().map_err(|_| NotANetwork)?;
        let prefix = prefix.parse().map_err(|_| NotANetwork)?;
        let longest = if base.is_ipv4() { 32 } else { 128 };
        if prefix > longest { Err(NotANetwork) } else { Ok(Self { base, prefix }) }
    }
}

impl Network {
    /// Whether the address lies in this range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let differ = base.to_bits() ^ address.to_bits();
                differ.checked_shr(32_u32.saturating_sub(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let differ = base.to_bits() ^ address.to_bits();
                differ.checked_shr(128_u32.saturating_sub(self.prefix)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Whether an address may be dialled for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// A public address.
    Public,
    /// Private or loopback: for operators' targets and the networks they name.
    Private,
    /// Link-local (where cloud metadata lives), multicast, unspecified, or reserved: never.
    Never,
}

/// What kind of address this is. IPv4 addresses within IPv6 are judged as IPv4: a translator on the way would call them.
#[must_use]
pub fn reach(address: IpAddr) -> Reach {
    match address.to_canonical() {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => reach_v6(v6),
    }
}

fn reach_v4(v4: Ipv4Addr) -> Reach {
    let [first, second, third, _] = v4.octets();
    let shared = first == 100 && (64..128).contains(&second);
    // For protocols within a network, and for measuring devices.
    let internal = (first, second, third) == (192, 0, 0) || (first == 198 && second & 0xfe == 18);
    let reserved = first == 0 || first >= 240;
    if reserved || v4.is_link_local() || v4.is_multicast() {
        Reach::Never
    } else if v4.is_private() || v4.is_loopback() || shared || internal {
        Reach::Private
    } else {
        Reach::Public
    }
}

fn reach_v6(v6: Ipv6Addr) -> Reach {
    let site_local = v6.segments()[0] & 0xffc0 == 0xfec0;
    let translated_locally = v6.segments()[..3] == [0x64, 0xff9b, 1];
    if v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local() {
        Reach::Never
    } else if v6.is_loopback() || v6.is_unique_local() || site_local || translated_locally {
        Reach::Private
    } else {
        within(v6).map_or(Reach::Public, reach_v4)
    }
}

/// The IPv4 address that an IPv6 address stands for: NAT64 (RFC 6052), 6to4 (RFC 3056), and the old compatible form.
fn within(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_taken_apart_and_put_together() {
        let url: BaseUrl = "http://10.0.0.5:8000/v1/".parse().unwrap();
        assert_eq!((url.tls, url.port, url.path.as_str()), (false, 8000, "/v1"));
        assert_eq!(url.authority(), "10.0.0.5:8000");
        let url: BaseUrl = "https://[::1]/v1".parse().unwrap();
        assert_eq!((url.authority().as_str(), url.port), ("[::1]", 443));
    }

    #[test]
    fn urls_that_hide_something_are_refused() {
        for (text, why) in [
            ("ftp://a/v1", BadUrl::Scheme),
            ("HTTP//a", BadUrl::Scheme),
            ("http://user:pw@a/v1", BadUrl::UserInfo),
            ("http://a/v1?x=1", BadUrl::QueryOrFragment),
            ("http://a/v1#x", BadUrl::QueryOrFragment),
            ("http:///v1", BadUrl::Host),
            ("http://a b/v1", BadUrl::Host),
            ("http://[::1/v1", BadUrl::Host),
            ("http://a:0/v1", BadUrl::Port),
            ("http://a:70000/v1", BadUrl::Port),
            ("http://a/v 1", BadUrl::Path),
        ] {
            assert_eq!(text.parse::<BaseUrl>(), Err(why), "{text}");
        }
    }

    #[test]
    fn addresses_are_sorted_by_who_may_dial_them() {
        let reach = |text: &str| reach(text.parse().unwrap());
        for text in ["169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "::", "::ffff:169.254.169.254"] {
            assert_eq!(reach(text), Reach::Never, "{text}");
        }
        for text in ["10.1.2.3", "127.0.0.1", "192.168.0.1", "::1", "fd00::1", "::ffff:127.0.0.1"] {
            assert_eq!(reach(text), Reach::Private, "{text}");
        }
        for text in ["100.64.0.1", "192.0.0.192", "198.19.0.1", "fec0::1", "64:ff9b:1::1"] {
            assert_eq!(reach(text), Reach::Private, "{text}");
        }
        for text in ["240.0.0.1", "255.255.255.255"] {
            assert_eq!(reach(text), Reach::Never, "{text}");
        }
        for text in ["1.1.1.1", "192.0.1.1", "198.20.0.1", "2606:4700::1111"] {
            assert_eq!(reach(text), Reach::Public, "{text}");
        }
    }

    #[test]
    fn an_address_that_a_translator_calls_is_judged_as_what_it_calls() {
        for (v4, expected) in
            [("169.254.169.254", Reach::Never), ("10.0.0.1", Reach::Private), ("1.1.1.1", Reach::Public)]
        {
            let [a, b, c, d] = v4.parse::<Ipv4Addr>().unwrap().octets();
            let six_to_four =
                format!("2002:{:x}:{:x}::1", u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            for text in [format!("64:ff9b::{v4}"), format!("::{v4}"), six_to_four] {
                assert_eq!(reach(text.parse().unwrap()), expected, "{text}");
            }
        }
    }

    #[test]
    fn a_network_contains_its_addresses() {
        let network: Network = "10.0.0.0/8".parse().unwrap();
        assert!(network.contains("10.255.0.1".parse().unwrap()));
        assert!(!network.contains("11.0.0.1".parse().unwrap()));
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("8.8.8.8".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<Network>().is_err());
    }
}
