//! The bridge between a device's Ethernet and a gateway's UDP socket, without QEMU.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

use fleet::bridge::{Bridge, BridgeConfig, DeviceNumber, Frame, GATEWAY_IP, GATEWAY_MAC, Station, parse};
use fleet::link::{LinkProfile, PerMillion};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpAddress, IpProtocol, Ipv4Packet,
    Ipv4Repr, UdpPacket, UdpRepr,
};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

const DEVICE_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

/// The device's end of the cable, and the gateway's socket.
struct Bench {
    _directory: tempfile::TempDir,
    bridge: Bridge,
    device: UnixDatagram,
    gateway: UdpSocket,
    number: DeviceNumber,
}

impl Bench {
    fn new(number: u16, profile: LinkProfile) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let gateway = UdpSocket::bind("127.0.0.1:0").unwrap();
        gateway.set_read_timeout(Some(PATIENCE)).unwrap();
        let number = DeviceNumber(number);
        let bridge = Bridge::start(&BridgeConfig {
            directory: directory.path().to_owned(),
            device: number,
            profile,
            seed: 1,
            gateway: gateway.local_addr().unwrap(),
            credentials: None,
        })
        .unwrap();
        let device = UnixDatagram::bind(bridge.qemu_path()).unwrap();
        device.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            _directory: directory,
            bridge,
            device,
            gateway,
            number,
        }
    }

    fn send(&self, payload: &[u8]) {
        let frame = frame_from_device(self.number, payload);
        self.device.send_to(&frame, self.bridge.bridge_path()).unwrap();
    }
}

/// What the device's network stack would send to the gateway's port 5683.
fn frame_from_device(number: DeviceNumber, payload: &[u8]) -> Vec<u8> {
    let udp = UdpRepr {
        src_port: 5683,
        dst_port: 5683,
    };
    let ip = Ipv4Repr {
        src_addr: DEVICE_IP,
        dst_addr: GATEWAY_IP,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + payload.len(),
        hop_limit: 64,
    };
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress(number.mac()),
        dst_addr: GATEWAY_MAC,
        ethertype: EthernetProtocol::Ipv4,
    };
    let checksums = ChecksumCapabilities::default();
    let mut out = vec![0; ethernet.buffer_len() + ip.buffer_len() + ip.payload_len];
    let mut frame = EthernetFrame::new_unchecked(&mut out[..]);
    ethernet.emit(&mut frame);
    let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet, &checksums);
    udp.emit(
        &mut UdpPacket::new_unchecked(packet.payload_mut()),
        &IpAddress::Ipv4(DEVICE_IP),
        &IpAddress::Ipv4(GATEWAY_IP),
        payload.len(),
        |buffer| buffer.copy_from_slice(payload),
        &checksums,
    );
    out
}

#[test]
fn the_gateway_sees_each_device_at_its_own_loopback_address_and_can_answer() {
    let bench = Bench::new(258, LinkProfile::FAST);
    bench.send(b"question");
    let mut buffer = [0; 2_048];
    let (length, peer) = bench.gateway.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"question");
    assert_eq!(peer.ip(), Ipv4Addr::new(127, 1, 1, 2));

    bench.gateway.send_to(b"answer", peer).unwrap();
    let length = bench.device.recv(&mut buffer).unwrap();
    let frame = EthernetFrame::new_checked(&buffer[..length]).unwrap();
    assert_eq!(frame.dst_addr(), EthernetAddress(bench.number.mac()));
    let packet = Ipv4Packet::new_checked(frame.payload()).unwrap();
    assert!(packet.verify_checksum());
    assert_eq!(packet.dst_addr(), DEVICE_IP);
    let datagram = UdpPacket::new_checked(packet.payload()).unwrap();
    assert!(datagram.verify_checksum(&GATEWAY_IP.into(), &DEVICE_IP.into()));
    assert_eq!(datagram.dst_port(), 5683);
    assert_eq!(datagram.payload(), b"answer");
}

#[test]
fn what_the_link_loses_arrives_nowhere_and_is_counted() {
    let all_lost = LinkProfile {
        loss: PerMillion::percent(100),
        ..LinkProfile::FAST
    };
    let bench = Bench::new(1, all_lost);
    bench.send(b"lost");
    let seen = bench
        .bridge
        .wait_until(PATIENCE, |seen| seen.traffic.up.lost_packets == 1)
        .expect("the bridge saw the packet");
    assert_eq!(seen.traffic.up.sent_bytes, 28 + 4);
    bench.gateway.set_nonblocking(true).unwrap();
    assert!(bench.gateway.recv_from(&mut [0; 16]).is_err());
}

#[test]
fn a_strangers_datagram_does_not_reach_the_device() {
    let bench = Bench::new(2, LinkProfile::FAST);
    bench.send(b"hello");
    let mut buffer = [0; 2_048];
    let (_, peer) = bench.gateway.recv_from(&mut buffer).unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(b"stranger", peer).unwrap();
    bench.gateway.send_to(b"gateway", peer).unwrap();
    let length = bench.device.recv(&mut buffer).unwrap();
    assert!(buffer[..length].ends_with(b"gateway"));
}

#[test]
fn the_bridge_reads_what_a_device_sends() {
    let number = DeviceNumber(7);
    assert_eq!(
        parse(&frame_from_device(number, b"x")),
        Frame::Udp {
            from: Station {
                mac: EthernetAddress(number.mac()),
                socket: std::net::SocketAddrV4::new(DEVICE_IP, 5683),
            },
            to_port: 5683,
            payload: b"x".to_vec()
        }
    );
}
