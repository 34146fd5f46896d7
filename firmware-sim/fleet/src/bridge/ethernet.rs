//! Ethernet frames as an emulated device sees them: ARP for its gateway, and UDP over IPv4.
//!
//! The network is the one that QEMU users know: the device is 10.0.2.15, the gateway 10.0.2.2.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
    IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};
use std::net::{Ipv4Addr, SocketAddrV4};

/// The gateway's address in the device's network.
pub const GATEWAY_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// The gateway's hardware address: locally administered (IEEE 802, second bit of the first byte).
pub const GATEWAY_MAC: EthernetAddress = EthernetAddress([0x02, 0, 0, 0, 0, 0x02]);

/// Where a device sends from: both addresses and its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Station {
    /// Hardware address.
    pub mac: EthernetAddress,
    /// IPv4 address and UDP port.
    pub socket: SocketAddrV4,
}

/// What one frame from a device asks of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Who has 10.0.2.2? The answer, ready to send.
    Arp(Vec<u8>),
    /// A datagram to the gateway.
    Udp {
        /// Who sent it.
        from: Station,
        /// UDP port at the gateway.
        to_port: u16,
        /// Its payload.
        payload: Vec<u8>,
    },
    /// Anything else, a wrong checksum included: not for us.
    Other,
}

/// Reads one frame. Any bytes are some frame.
pub fn parse(frame: &[u8]) -> Frame {
    parse_known(frame).unwrap_or(Frame::Other)
}

fn parse_known(bytes: &[u8]) -> Option<Frame> {
    let frame = EthernetFrame::new_checked(bytes).ok()?;
    match frame.ethertype() {
        EthernetProtocol::Arp => parse_arp(frame.payload()),
        EthernetProtocol::Ipv4 => parse_udp(frame.src_addr(), frame.payload()),
        _ => None,
    }
}

fn parse_arp(bytes: &[u8]) -> Option<Frame> {
    let request = ArpRepr::parse(&ArpPacket::new_checked(bytes).ok()?).ok()?;
    let ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr,
        source_protocol_addr,
        target_protocol_addr,
        ..
    } = request
    else {
        return None;
    };
    if target_protocol_addr != GATEWAY_IP {
        return None;
    }
    let reply = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: GATEWAY_MAC,
        source_protocol_addr: GATEWAY_IP,
        target_hardware_addr: source_hardware_addr,
        target_protocol_addr: source_protocol_addr,
    };
    let mut out = frame_to(source_hardware_addr, EthernetProtocol::Arp, reply.buffer_len());
    reply.emit(&mut ArpPacket::new_unchecked(
        EthernetFrame::new_unchecked(&mut out[..]).payload_mut(),
    ));
    Some(Frame::Arp(out))
}

fn parse_udp(mac: EthernetAddress, bytes: &[u8]) -> Option<Frame> {
    let checksums = ChecksumCapabilities::default();
    let packet = Ipv4Packet::new_checked(bytes).ok()?;
    let ip = Ipv4Repr::parse(&packet, &checksums).ok()?;
    if ip.dst_addr != GATEWAY_IP || ip.next_header != IpProtocol::Udp {
        return None;
    }
    let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
    let (source, destination) = (IpAddress::Ipv4(ip.src_addr), IpAddress::Ipv4(ip.dst_addr));
    let udp = UdpRepr::parse(&datagram, &source, &destination, &checksums).ok()?;
    Some(Frame::Udp {
        from: Station {
            mac,
            socket: SocketAddrV4::new(ip.src_addr, udp.src_port),
        },
        to_port: udp.dst_port,
        payload: datagram.payload().to_vec(),
    })
}

/// Builds the frame that carries `payload` from the gateway's `from_port` to a device.
pub fn udp_to(station: &Station, from_port: u16, payload: &[u8]) -> Vec<u8> {
    let udp = UdpRepr {
        src_port: from_port,
        dst_port: station.socket.port(),
    };
    let ip = Ipv4Repr {
        src_addr: GATEWAY_IP,
        dst_addr: *station.socket.ip(),
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + payload.len(),
        hop_limit: 64,
    };
    let checksums = ChecksumCapabilities::default();
    let mut out = frame_to(
        station.mac,
        EthernetProtocol::Ipv4,
        ip.buffer_len() + ip.payload_len,
    );
    let mut frame = EthernetFrame::new_unchecked(&mut out[..]);
    let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet, &checksums);
    udp.emit(
        &mut UdpPacket::new_unchecked(packet.payload_mut()),
        &IpAddress::Ipv4(ip.src_addr),
        &IpAddress::Ipv4(ip.dst_addr),
        payload.len(),
        |buffer| buffer.copy_from_slice(payload),
        &checksums,
    );
    out
}

/// A frame from the gateway with room for `payload_bytes`, its Ethernet header written.
fn frame_to(mac: EthernetAddress, ethertype: EthernetProtocol, payload_bytes: usize) -> Vec<u8> {
    let header = EthernetRepr {
        src_addr: GATEWAY_MAC,
        dst_addr: mac,
        ethertype,
    };
    let mut out = vec![0; header.buffer_len() + payload_bytes];
    header.emit(&mut EthernetFrame::new_unchecked(&mut out[..]));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEVICE: Station = Station {
        mac: EthernetAddress([0x52, 0x54, 0, 0, 0, 1]),
        socket: SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 15), 49_152),
    };

    fn arp_request(target: Ipv4Addr) -> Vec<u8> {
        let request = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: DEVICE.mac,
            source_protocol_addr: *DEVICE.socket.ip(),
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: target,
        };
        let mut out = frame_to(
            EthernetAddress::BROADCAST,
            EthernetProtocol::Arp,
            request.buffer_len(),
        );
        request.emit(&mut ArpPacket::new_unchecked(&mut out[14..]));
        out
    }

    /// Turns a frame to the device into the frame the device would answer with.
    fn turn_round(frame: &mut [u8]) {
        let (a, b) = (frame[26..30].to_vec(), frame[30..34].to_vec());
        frame[26..30].copy_from_slice(&b);
        frame[30..34].copy_from_slice(&a);
        let (a, b) = (frame[34..36].to_vec(), frame[36..38].to_vec());
        frame[34..36].copy_from_slice(&b);
        frame[36..38].copy_from_slice(&a);
        let (a, b) = (frame[0..6].to_vec(), frame[6..12].to_vec());
        frame[0..6].copy_from_slice(&b);
        frame[6..12].copy_from_slice(&a);
    }

    #[test]
    fn arp_for_the_gateway_is_answered_with_its_address() {
        let Frame::Arp(reply) = parse(&arp_request(GATEWAY_IP)) else {
            panic!("no reply");
        };
        let frame = EthernetFrame::new_checked(&reply[..]).unwrap();
        assert_eq!(frame.dst_addr(), DEVICE.mac);
        let arp = ArpRepr::parse(&ArpPacket::new_checked(frame.payload()).unwrap()).unwrap();
        assert_eq!(
            arp,
            ArpRepr::EthernetIpv4 {
                operation: ArpOperation::Reply,
                source_hardware_addr: GATEWAY_MAC,
                source_protocol_addr: GATEWAY_IP,
                target_hardware_addr: DEVICE.mac,
                target_protocol_addr: *DEVICE.socket.ip(),
            }
        );
    }

    #[test]
    fn arp_for_anyone_else_is_not_answered() {
        assert_eq!(parse(&arp_request(Ipv4Addr::new(10, 0, 2, 3))), Frame::Other);
    }

    #[test]
    fn a_datagram_comes_back_as_it_was_built() {
        let mut frame = udp_to(&DEVICE, 5683, b"coap");
        turn_round(&mut frame);
        // Swapping addresses and ports leaves both checksums right (RFC 1071: the sum commutes).
        assert_eq!(
            parse(&frame),
            Frame::Udp {
                from: DEVICE,
                to_port: 5683,
                payload: b"coap".to_vec()
            }
        );
    }

    #[test]
    fn a_damaged_datagram_is_ignored() {
        let mut frame = udp_to(&DEVICE, 5683, b"coap");
        turn_round(&mut frame);
        for at in 14..frame.len() {
            let mut damaged = frame.clone();
            damaged[at] ^= 0x10;
            assert_ne!(parse(&damaged), parse(&frame), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_some_frame(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes);
        }
    }
}
