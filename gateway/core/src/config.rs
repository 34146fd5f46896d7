//! What the operator configures: timings, limits and links.

use crate::deferral::PATIENCE_S;
use crate::units::{BitsPerSecond, Bytes};
use core::fmt;
use core::net::IpAddr;
use std::collections::BTreeSet;
use wire_coap::BlockSize;

/// Everything the core must be told before it starts.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// Links by address prefix. The longest matching prefix decides.
    pub links: Vec<LinkConfig>,
    /// The link of every peer that no prefix covers.
    pub default_link: LinkConfig,
    /// Seconds until the next check-in of a device with nothing to do.
    pub check_in_interval_s: u32,
    /// Seconds until the next check-in of a device whose artefact is being built.
    pub building_interval_s: u32,
    /// Devices listed though nobody claimed them. Past it new ones are counted, not recorded.
    pub unclaimed_max: usize,
    /// Claimed devices.
    pub claimed_max: usize,
    /// For how many seconds a device may put an update off before it counts among those that need a person, where its assignment
    /// does not say.
    pub deferral_patience_s: u32,
    /// Least seconds between two writes of the same counter, so that an SD card is not worn out.
    pub counters_interval_s: u32,
    /// Ids of the publishers' keys that are trusted now; `None`: every key that was at import. What another key signed
    /// stays stored and may run where it runs, but is offered to nobody.
    pub trusted_keys: Option<BTreeSet<[u8; 8]>>,
    /// The keys that devices have from the factory, raw: whoever signs the first set of trust anchors.
    pub factory_keys: Vec<[u8; 32]>,
    /// What images and artefacts may take on the disk; `None`: whatever there is. Originals are never evicted, and needed artefacts
    /// are made all the same, so devices' updates go before the budget.
    pub disk_bytes_max: Option<Bytes>,
    /// First 8 bytes of the digests of images that everybody may fetch as `/i/…`, also where only devices with keys are served.
    pub public_images: BTreeSet<[u8; 8]>,
    /// Where a datagram's address is believed: peers there are never asked to echo anything. Those that nobody can name from outside.
    pub trusted_prefixes: Vec<Prefix>,
    /// Random bytes, others at each start: what devices are asked to echo is derived from them.
    pub echo_seed: [u8; 32],
}

impl Default for CoreConfig {
    fn default() -> CoreConfig {
        CoreConfig {
            links: Vec::new(),
            default_link: LinkConfig::default(),
            check_in_interval_s: 3_600,
            building_interval_s: 10,
            unclaimed_max: 256,
            claimed_max: 20_000,
            deferral_patience_s: PATIENCE_S,
            counters_interval_s: 60,
            trusted_keys: None,
            factory_keys: Vec::new(),
            disk_bytes_max: None,
            public_images: BTreeSet::new(),
            trusted_prefixes: private_prefixes(),
            echo_seed: [0; 32],
        }
    }
}

/// Addresses that no router of the Internet forwards, so that nobody outside can have answers sent there: this machine (RFC 1122), private
/// networks (RFC 1918), those of carriers (RFC 6598), and the link itself (RFC 3927); of IPv6 loopback, unique local (RFC 4193) and
/// link-local ones (RFC 4291).
pub const PRIVATE_PREFIXES: [&str; 9] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

fn private_prefixes() -> Vec<Prefix> {
    let parsed = PRIVATE_PREFIXES.iter().map(|prefix| prefix.parse());
    parsed
        .map(|prefix| prefix.expect("each is address/length"))
        .collect()
}

/// One link: peers that share a rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Unique among the links; what views and counters are keyed by.
    pub name: LinkName,
    /// Peers whose address is within one of these. Unused on the default link.
    pub prefixes: Vec<Prefix>,
    /// What the gateway may send, counted with IP and UDP headers.
    pub rate: BitsPerSecond,
    /// RFC 7252 §4.8 `ACK_TIMEOUT` that fits the link's round trip; told to devices at check-in.
    pub ack_timeout_ms: u32,
    /// Largest block served. The MTU may lower it further.
    pub block_size_max: BlockSize,
    /// Largest IP packet in bytes, headers included.
    pub mtu: u16,
    /// Bytes added to every datagram below CoAP: IPv4 20 + UDP 8 = 28; IPv6 48.
    pub header_bytes: u16,
    /// Who is served on it.
    pub access: Access,
}

/// Who is served on a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Whoever asks, except as a device that has a key or was retired: nobody is believed to be that one without.
    Open,
    /// Devices that have a key. Whoever has none gets 4.01, but for the images that [`CoreConfig::public_images`] names.
    #[default]
    Authenticated,
}

impl Default for LinkConfig {
    /// A local network: 10 Mbit/s, RFC 7252's own timings, for devices that have a key.
    fn default() -> LinkConfig {
        LinkConfig {
            name: LinkName("default".into()),
            prefixes: Vec::new(),
            rate: BitsPerSecond::new(10_000_000).expect("10 Mbit/s is in range"),
            ack_timeout_ms: 2_000,
            block_size_max: BlockSize::B1024,
            mtu: 1_280,
            header_bytes: 28,
            access: Access::default(),
        }
    }
}

impl LinkConfig {
    /// The same for devices whose messages are protected: every one is longer by so many bytes.
    pub(crate) fn secured(&self, overhead_bytes: u16) -> LinkConfig {
        LinkConfig {
            header_bytes: self.header_bytes.saturating_add(overhead_bytes),
            ..self.clone()
        }
    }

    /// The largest block whose whole datagram fits the MTU.
    ///
    /// A block reply is 4 bytes of header, at most 8 of token, 5 of `ETag`, 4 of `Block2`, 5 of `Size2`,
    /// 3 of Content-Format and 1 of payload marker, so 30 bytes beside the block.
    pub fn block_size(&self) -> BlockSize {
        let room = u32::from(self.mtu)
            .saturating_sub(u32::from(self.header_bytes))
            .saturating_sub(BLOCK_OVERHEAD_BYTES_MAX);
        let fits = BlockSize::largest_within(room).unwrap_or(BlockSize::B16);
        fits.min(self.block_size_max)
    }
}

/// CoAP bytes beside the block in the largest block reply: see [`LinkConfig::block_size`].
pub const BLOCK_OVERHEAD_BYTES_MAX: u32 = 30;

/// A link's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkName(pub String);

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address prefix (RFC 4632 CIDR notation: `10.20.0.0/16`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// `None` when `length` is more than 32 (IPv4) or 128 (IPv6).
    pub fn new(address: IpAddr, length: u8) -> Option<Prefix> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        (length <= bits).then_some(Prefix { address, length })
    }

    /// Significant bits.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether `peer` is within. An IPv4-mapped IPv6 peer (a dual-stack socket) counts as IPv4.
    pub fn contains(&self, peer: IpAddr) -> bool {
        match (self.address, peer.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => leading_equal(
                u128::from(net.to_bits()) << 96,
                u128::from(ip.to_bits()) << 96,
                self.length,
            ),
            (IpAddr::V6(net), IpAddr::V6(ip)) => leading_equal(net.to_bits(), ip.to_bits(), self.length),
            _ => false,
        }
    }
}

impl core::str::FromStr for Prefix {
    type Err = PrefixError;

    /// `address/length`; a bare address is a prefix of its full length.
    fn from_str(text: &str) -> Result<Prefix, PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| PrefixError)?;
        let length = match length {
            Some(length) => length.parse().map_err(|_| PrefixError)?,
            None if address.is_ipv4() => 32,
            None => 128,
        };
        Prefix::new(address, length).ok_or(PrefixError)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// The text is not `address/length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address prefix such as 10.20.0.0/16")]
pub struct PrefixError;

fn leading_equal(a: u128, b: u128, bits: u8) -> bool {
    bits == 0 || (a ^ b) >> (128 - u32::from(bits)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_covers_its_addresses_and_no_others() {
        let net = prefix("10.20.0.0/16");
        assert!(net.contains("10.20.255.1".parse().unwrap()));
        assert!(net.contains("::ffff:10.20.0.9".parse().unwrap()));
        assert!(!net.contains("10.21.0.1".parse().unwrap()));
        assert!(!net.contains("2001:db8::1".parse().unwrap()));
        assert!(prefix("0.0.0.0/0").contains("192.0.2.1".parse().unwrap()));
        assert!(prefix("2001:db8::/32").contains("2001:db8:1::1".parse().unwrap()));
    }

    #[test]
    fn a_prefix_longer_than_its_address_is_refused() {
        assert_eq!("10.0.0.0/33".parse::<Prefix>(), Err(PrefixError));
        assert_eq!("10.0.0/8".parse::<Prefix>(), Err(PrefixError));
        assert_eq!(prefix("10.0.0.1").length(), 32);
    }

    #[test]
    fn the_mtu_lowers_the_block_size() {
        let mut link = LinkConfig::default();
        assert_eq!(link.block_size(), BlockSize::B1024);
        link.mtu = 1_081;
        assert_eq!(link.block_size(), BlockSize::B512);
        link.mtu = 1_082;
        assert_eq!(link.block_size(), BlockSize::B1024);
        link.mtu = 40;
        assert_eq!(link.block_size(), BlockSize::B16);
    }
}
