//! What protection costs on the air is in what is planned: compared with what a link counts while a payload is fetched.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;
#[path = "common/secure.rs"]
mod secure;

use common::*;
use gateway_core::{
    Access, BitsPerSecond, Command, CoreConfig, DTLS_OVERHEAD_BYTES, Enrolment, IdentityCommand, LinkConfig,
    Psk, PskKey, Selector, Terms,
};
use secure::SecureDevice;
use wire_coap::{BlockNumber, BlockSize, BlockValue, Code};

const BLOCK: BlockSize = BlockSize::B64;

/// How a device asks.
enum Way {
    Plain,
    Oscore(SecureDevice),
    Dtls(Psk),
}

impl Way {
    fn ask(&mut self, shell: &mut Shell, datagram: &[u8]) -> Vec<u8> {
        match self {
            Way::Plain | Way::Oscore(_) => shell.ask(peer(1), datagram),
            Way::Dtls(psk) => {
                let now = shell.now();
                shell.sent.clear();
                let (peer, proof, disk) = ((peer(1), 7), psk.proof(), shell.disk.clone());
                let gateway = &mut shell.gateway;
                assert!(gateway.handle_session_datagram(now, peer, &proof, datagram, &disk));
                shell.drain();
                shell.sent[0].1.bytes.clone()
            }
        }
    }

    fn check_in(&mut self, shell: &mut Shell, number: u16) -> Option<wire_checkin::Job> {
        let said = check_in(1, 1);
        if let Way::Oscore(device) = self {
            let answer = device.check_in(shell, &said);
            return wire_checkin::Answer::decode(&answer.payload).unwrap().job;
        }
        told(&self.ask(shell, &post(number, &said))).job
    }

    fn block(&mut self, shell: &mut Shell, path: &str, number: u32) {
        let reply = match self {
            Way::Oscore(device) => {
                let mut sent = device.block(path, number, BLOCK);
                let reply = shell.ask(peer(1), &sent.datagram);
                device.read(&mut sent, &reply).unwrap().code
            }
            _ => {
                let block = BlockValue::request(BlockNumber::new(number).unwrap(), BLOCK);
                code(&self.ask(shell, &get(100 + number as u16, &[path], Some(block))))
            }
        };
        assert_eq!(reply, Code::CONTENT);
        shell.sleep(10);
    }
}

/// Bytes on the air as planned and as counted, without loss, and how many blocks that was.
fn planned_and_counted(make: impl Fn(&mut Shell) -> Way) -> (u64, u64, u64) {
    let mut shell = Shell::new(CoreConfig {
        default_link: LinkConfig {
            block_size_max: BLOCK,
            access: Access::Open,
            rate: BitsPerSecond::new(1_000_000).unwrap(),
            ..LinkConfig::default()
        },
        ..CoreConfig::default()
    });
    shell.import(1);
    shell.import(2);
    shell.build_all();
    let mut way = make(&mut shell);
    way.check_in(&mut shell, 1);
    shell.command(Command::ClaimDevice(id(1))).unwrap();
    let assign = Command::Assign(Selector::Device(id(1)), digest(2), Terms::default());
    shell.command(assign).unwrap();
    shell.build_all();
    let planned = shell.gateway.plan(shell.now(), None).unwrap()[0].payload.unwrap();
    let job = way.check_in(&mut shell, 2).unwrap();
    assert_eq!(planned.size.0, u64::from(job.payload_bytes));
    let bytes = |shell: &Shell| {
        let link = shell.gateway.links()[0].clone();
        link.total.down.bytes.0 + link.total.up.bytes.0
    };
    let before = bytes(&shell);
    let blocks = job.payload_bytes.div_ceil(BLOCK.bytes());
    for number in 0..blocks {
        way.block(&mut shell, job.path.as_str(), number);
    }
    assert_eq!(
        planned.air_time,
        BitsPerSecond::new(1_000_000).unwrap().air_time(planned.on_air)
    );
    (planned.on_air.0, bytes(&shell) - before, blocks.into())
}

#[test]
fn what_is_planned_counts_what_protection_adds() {
    let plain = planned_and_counted(|_| Way::Plain);
    let oscore = planned_and_counted(|shell| Way::Oscore(SecureDevice::enrolled(shell, 1)));
    let dtls = planned_and_counted(|shell| {
        let psk = Psk {
            identity: "dev1".parse().unwrap(),
            key: PskKey::new(&[1; 16]).unwrap(),
        };
        let enrolment = Enrolment {
            device: id(1),
            credentials: None,
            psk: Some(psk.clone()),
            public_key: None,
            names: Vec::new(),
            label: None,
            group: None,
        };
        shell
            .command(Command::Identity(IdentityCommand::Enrol(enrolment)))
            .unwrap();
        Way::Dtls(psk)
    });
    let blocks = plain.2;
    assert!(blocks > 10);
    // A response is 11 bytes longer, a request 17 with a number of three bytes.
    assert_eq!(oscore.0 - plain.0, (11 + 17) * blocks);
    assert_eq!(dtls.0 - plain.0, 2 * u64::from(DTLS_OVERHEAD_BYTES) * blocks);
    // These numbers have one byte.
    assert_eq!(oscore.1 - plain.1, (11 + 15) * blocks);
    assert_eq!(dtls.1 - plain.1, 2 * u64::from(DTLS_OVERHEAD_BYTES) * blocks);
    for (way, (planned, counted, _)) in [("plain", plain), ("OSCORE", oscore), ("DTLS", dtls)] {
        println!("{way}: {planned} bytes planned, {counted} counted in {blocks} blocks");
        assert!(
            planned.abs_diff(counted) <= 6 * blocks,
            "{way}: {planned} for {counted}"
        );
    }
}
