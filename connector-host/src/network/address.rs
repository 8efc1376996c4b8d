use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use connector_core::clock::BoxFuture;
use connector_core::network::TransportError;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Which addresses connectors may reach.
#[derive(Debug)]
pub(super) enum AddressPolicy {
    All,
    Public { except: Vec<IpAddr> },
}

impl AddressPolicy {
    pub(super) fn allows(&self, address: IpAddr) -> bool {
        match self {
            Self::All => true,
            Self::Public { except } => is_public(address) || except.contains(&address),
        }
    }
}

/// What the names of hosts mean.
pub trait Names: Send + Sync + 'static {
    /// The addresses of a host, in the order in which they are tried; none if there is no such host.
    fn look_up<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Vec<IpAddr>>;
}

/// As the system says.
pub(super) struct SystemNames;

impl Names for SystemNames {
    fn look_up<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Vec<IpAddr>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await;
            found.map(|found| found.map(|address| address.ip()).collect()).unwrap_or_default()
        })
    }
}

/// Looks names up, and hands over those addresses alone that may be reached. What was checked is
/// what is connected to, whatever the name means the next time.
pub(super) struct Resolver {
    policy: Arc<AddressPolicy>,
    names: Arc<dyn Names>,
}

impl Resolver {
    pub(super) fn new(policy: Arc<AddressPolicy>, names: Arc<dyn Names>) -> Self {
        Self { policy, names }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, names) = (Arc::clone(&self.policy), Arc::clone(&self.names));
        Box::pin(async move {
            let host = name.as_str();
            let found = names.look_up(host).await.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(Box::new(filter(host, found, &policy)?.into_iter()) as Addrs)
        })
    }
}

fn filter(host: &str, found: Vec<SocketAddr>, policy: &AddressPolicy) -> Result<Vec<SocketAddr>, ResolveError> {
    let Some(first) = found.first().copied() else {
        return Err(ResolveError::NoSuchHost { host: host.to_owned() });
    };
    let allowed: Vec<_> = found.into_iter().filter(|address| policy.allows(address.ip())).collect();
    if allowed.is_empty() {
        return Err(ResolveError::Private { host: host.to_owned(), address: first.ip() });
    }
    Ok(allowed)
}

/// Why a name has no address to connect to; found again among the causes of the client's error.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("no such host")]
    NoSuchHost { host: String },
    #[error("a private address")]
    Private { host: String, address: IpAddr },
}

impl From<ResolveError> for TransportError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::NoSuchHost { host } => Self::NoSuchHost { host },
            ResolveError::Private { host, address } => Self::PrivateAddress { host, address: address.to_string() },
        }
    }
}

/// Whether an address is one of the public internet, by the IANA registries of special-purpose
/// addresses (RFC 6890). Those that stand for an IPv4 address are judged by it.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        // This network, private, loopback.
        [0 | 10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] => true,
        // Carrier-grade NAT, link-local with the clouds' metadata services, benchmarks.
        [100, 64..=127, ..] | [169, 254, ..] | [198, 18..=19, ..] => true,
        // Protocol assignments, 6to4 relays, documentation.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        // Multicast, reserved, broadcast.
        [224..=255, ..] => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    match address.segments() {
        // NAT64 (RFC 6052): how a network without IPv4 reaches it.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))),
        // Protocol assignments with Teredo, documentation, 6to4, documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // The only block of global unicast. Outside it are loopback, unspecified, IPv4-compatible,
        // local NAT64, discard-only, unique local, link-local, site-local and multicast addresses.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public() -> AddressPolicy {
        AddressPolicy::Public { except: Vec::new() }
    }

    /// R10.1: the first and the last of each block, and those next to it.
    #[test]
    fn addresses_that_are_not_of_the_public_internet() {
        for address in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:0808:0808::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff:ffff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            "::ffff:0:127.0.0.1",
        ] {
            assert!(!public().allows(address.parse().unwrap()), "{address}");
            assert!(AddressPolicy::All.allows(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
            "2001:4860:4860::8888",
            "2001:200::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "3ffe::1",
        ] {
            assert!(public().allows(address.parse().unwrap()), "{address}");
        }
    }

    /// R10.1: of a name's addresses those alone are connected to that may be reached.
    #[test]
    fn a_names_addresses_are_filtered() {
        let addresses =
            |list: &[&str]| list.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect::<Vec<_>>();
        let private = addresses(&["10.0.0.1", "::1"]);
        let mixed = addresses(&["10.0.0.1", "8.8.8.8", "::1", "2606:4700:4700::1111"]);
        assert_eq!(filter("h", mixed.clone(), &public()), Ok(addresses(&["8.8.8.8", "2606:4700:4700::1111"])));
        assert_eq!(filter("h", mixed.clone(), &AddressPolicy::All), Ok(mixed));
        let one = AddressPolicy::Public { except: vec!["::1".parse().unwrap()] };
        assert_eq!(filter("h", private.clone(), &one), Ok(addresses(&["::1"])));
        let error = ResolveError::Private { host: "h".to_owned(), address: "10.0.0.1".parse().unwrap() };
        assert_eq!(filter("h", private, &public()), Err(error));
        assert_eq!(filter("h", Vec::new(), &public()), Err(ResolveError::NoSuchHost { host: "h".to_owned() }));
    }
}
