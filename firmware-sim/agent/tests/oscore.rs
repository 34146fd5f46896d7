//! A device with credentials: whole updates under OSCORE, over bad links, through restarts of either side, and among forgeries.
//! On the air, at every moment of every test, no number is used for two messages.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use deltagate_agent::{Event, Silence};
use deltagate_flash::sim::{PowerCut, SimFlash};
use deltagate_flash::{
    Credentials, Partition, Region, SEQUENCE_CHUNK, SequenceLog, Stored, credentials_behind,
};
use support::{
    Attack, Channel, Device, Gateway, LAYOUT, Link, Offer, Release, Rng, Vendor, image, record, record_with,
};
use wire_coap::{Code, Kind, Message, Writer};
use wire_oscore::OscoreOption;

fn full(_: &Release, target: &Release) -> Offer {
    Offer::full(target)
}

/// A device that runs version 1 and has credentials, its gateway with an update for it, and the channel between them.
fn secured(offer: impl Fn(&Release, &Release) -> Offer) -> (Device, Rc<RefCell<Channel>>) {
    let release = |sequence| Vendor::OURS.release(sequence, image(sequence as u8, 6_001));
    let (v1, v2) = (release(1), release(2));
    let mut device = Device::new(&v1, Gateway::new(Some(offer(&v1, &v2))));
    let channel = Channel::between(&mut device);
    (device, channel)
}

/// Where the power went away before the event was told, the next boot shows it.
fn confirmed(device: &Device) -> bool {
    let runs = device
        .boots
        .last()
        .is_some_and(|boot| boot.sequence == 2 && !boot.on_trial);
    runs || device.events.contains(&Event::Confirmed { sequence: 2 })
}

/// How many blocks were asked for besides the first time.
fn repeated(device: &Device) -> usize {
    let mut blocks = device.gateway.blocks();
    let all = blocks.len();
    blocks.sort_unstable();
    blocks.dedup();
    all - blocks.len()
}

#[test]
fn an_update_takes_as_many_round_trips_as_without() {
    let (mut device, channel) = secured(Offer::patch);
    let blocks = device.gateway.offer.as_ref().unwrap().payload.len().div_ceil(128);
    device.run_until(confirmed);
    assert_eq!(
        device.gateway.requests.len(),
        1 + blocks + 1,
        "no handshake, nothing twice"
    );
    let channel = channel.borrow();
    assert_eq!((channel.requests, channel.challenges), (1 + blocks + 1, 0));
    let region = Region::new(&device.flash, device.config.credentials.unwrap());
    assert_eq!(
        SequenceLog::open(region).unwrap().end() % u64::from(SEQUENCE_CHUNK),
        0
    );
    assert_eq!(
        Credentials::read(region),
        Stored::Sound(Credentials::decode(&record()).unwrap()),
        "no update touches them"
    );
}

#[test]
fn a_bad_link_costs_no_more_than_without() {
    for seed in 0..12 {
        let (mut device, channel) = secured(if seed % 2 == 0 { Offer::patch } else { full });
        device.link = Link::bad(seed);
        device.gateway.separate = seed % 3 == 0;
        device.run_until(confirmed);
        assert_eq!(device.boot_log().confirmed, Some(2));
        assert_eq!(channel.borrow().challenges, 0, "seed {seed}");
    }
}

/// Before every request of an update once: the gateway comes back without its windows, and asks for one proof.
#[test]
fn a_gateway_that_restarts_costs_one_round_trip() {
    let (mut device, channel) = secured(Offer::patch);
    device.run_until(confirmed);
    let requests = channel.borrow().requests;
    for restart_at in 1..=requests {
        let (mut device, channel) = secured(Offer::patch);
        channel.borrow_mut().restart_at = Some(restart_at);
        device.run_until(confirmed);
        let channel = channel.borrow();
        assert_eq!(
            (channel.requests, channel.challenges),
            (requests + 1, 1),
            "before {restart_at}"
        );
        assert_eq!(repeated(&device), 0, "what was challenged was not answered");
    }
}

#[test]
fn a_device_that_restarts_goes_on_with_new_numbers() {
    let (mut device, channel) = secured(full);
    device.cut = Some(PowerCut {
        operation: 40,
        torn_at: 1,
    });
    device.cut_again = Some(PowerCut {
        operation: 30,
        torn_at: 0,
    });
    device.run_until(confirmed);
    assert_eq!(device.power_cuts, 2);
    assert!(repeated(&device) <= 2, "a block a restart at most");
    let channel = channel.borrow();
    assert_eq!(channel.challenges, 0);
    let numbers: Vec<u64> = channel.heard.keys().map(|(_, number)| *number).collect();
    let chunk = u64::from(SEQUENCE_CHUNK);
    for start in 0..4 {
        assert!(
            numbers.contains(&(start * chunk)),
            "each start begins where nothing was reserved"
        );
    }
}

/// Every cut of a whole update, in every flash operation: `Channel::hear` looks at every message of the device's whole life.
#[test]
fn no_number_is_used_twice_whatever_the_cut() {
    let (mut device, _) = secured(Offer::patch);
    device.run_until(confirmed);
    let operations = device.flash.borrow().operations();
    let mut cuts = 0;
    for operation in 0..operations {
        let (mut device, channel) = secured(Offer::patch);
        // Before the first byte, in the record, in its mark.
        let torn_at = [0, 30, 65][operation as usize % 3];
        device.cut = Some(PowerCut { operation, torn_at });
        device.run_until(confirmed);
        cuts += device.power_cuts;
        assert!(repeated(&device) <= 1, "operation {operation}");
        assert_eq!(channel.borrow().challenges, 0);
    }
    println!("{cuts} power cuts");
    assert!(cuts > 100, "{cuts}");
}

/// Rejects or acknowledges the request that this answers.
fn empty_messages(reply: &[u8]) -> Vec<Vec<u8>> {
    let id = Message::parse(reply).unwrap().message_id();
    [wire_coap::reset(id), wire_coap::empty_acknowledgement(id)]
        .map(Vec::from)
        .to_vec()
}

/// Of a protected response: altered in each byte of its end, in the clear with another answer, a Reset, and an empty ACK.
fn forgeries(reply: &[u8]) -> Vec<Vec<u8>> {
    let message = Message::parse(reply).unwrap();
    if message.code().is_empty() {
        return Vec::new();
    }
    let altered = (1..12).map(|from_end| {
        let mut altered = reply.to_vec();
        let at = altered.len() - from_end;
        altered[at] ^= 0x10;
        altered
    });
    let mut buffer = [0; 100];
    let (id, token) = (message.message_id(), message.token());
    let mut plain = |code| {
        let mut writer = Writer::new(&mut buffer, Kind::Acknowledgement, code, id, token).unwrap();
        writer.payload(b"from a stranger").unwrap();
        writer.finish().to_vec()
    };
    let in_the_clear = [Code::NOT_FOUND, Code::CONTENT, Code::UNAUTHORIZED, Code::CHANGED].map(&mut plain);
    altered.chain(in_the_clear).chain(empty_messages(reply)).collect()
}

#[test]
fn forged_answers_are_as_if_they_had_not_come() {
    let (mut device, channel) = secured(Offer::patch);
    let blocks = device.gateway.offer.as_ref().unwrap().payload.len().div_ceil(128);
    channel.borrow_mut().attack = Some(forgeries);
    device.run_until(confirmed);
    assert_eq!(
        channel.borrow().requests,
        1 + blocks + 1,
        "the true answers are taken"
    );
    assert_eq!(device.said(|event| matches!(event, Event::Dropped { .. })), 0);
    assert_eq!(device.said(|event| matches!(event, Event::Unanswered { .. })), 0);
}

/// A Reset does not end a protected request, and an acknowledgement does not keep it from being sent again, whoever it was that
/// lost the true answer.
#[test]
fn a_stranger_who_rejects_and_acknowledges_everything_costs_nothing() {
    let took_ms = |attack: Attack| {
        let took_ms = (0..8).map(|seed| {
            let (mut device, channel) = secured(Offer::patch);
            device.link = Link {
                loss_percent: 20,
                rng: Rng::new(seed),
                ..Link::perfect()
            };
            channel.borrow_mut().attack = Some(attack);
            device.run_until(confirmed);
            device.now_ms
        });
        took_ms.sum::<u64>()
    };
    // As many datagrams, so that the link loses the same of the others.
    let noise: Attack = |reply| {
        let mut altered = reply.to_vec();
        *altered.last_mut().unwrap() ^= 1;
        vec![altered; 2]
    };
    assert_eq!(took_ms(empty_messages), took_ms(noise));
}

/// What confirms an image is an answer that only its gateway can give.
#[test]
fn contact_in_the_clear_confirms_nothing() {
    let in_the_clear: Attack = |reply| {
        let message = Message::parse(reply).unwrap();
        let mut body = [0; 64];
        let body = wire_checkin::Answer::idle(60).encode(&mut body).unwrap();
        let mut buffer = [0; 100];
        let (id, token) = (message.message_id(), message.token());
        let mut writer = Writer::new(&mut buffer, Kind::Acknowledgement, Code::CHANGED, id, token).unwrap();
        writer.payload(body).unwrap();
        vec![writer.finish().to_vec()]
    };
    let (mut device, channel) = secured(Offer::patch);
    device.run_until(|device| device.boots.len() == 2);
    assert!(device.boots[1].on_trial);
    // From now on nobody hears the gateway itself.
    channel.borrow_mut().attack = Some(in_the_clear);
    channel.borrow_mut().is_mute = true;
    device.run_until(|device| device.boots.last().is_some_and(|boot| boot.sequence == 1));
    assert_eq!(
        device.said(|event| matches!(event, Event::Confirmed { sequence: 2 })),
        0
    );
    assert_eq!(device.boot_log().confirmed, Some(1));
}

/// An address is on every label. Who has not the keys learns nothing of tokens and message ids from it, nor from another device's.
#[test]
fn tokens_are_not_guessed_from_what_anybody_knows() {
    let first = |secret: &[u8; 16]| {
        let (mut device, channel) = secured(Offer::patch);
        let partition = device.config.credentials.unwrap();
        Credentials::write(&record_with(secret), Region::new(&device.flash, partition)).unwrap();
        *channel.borrow_mut() = Channel::with(secret);
        device.run_until(|device| device.gateway.check_ins().len() == 1);
        let channel = channel.borrow();
        let request = Message::parse(channel.heard.values().next().unwrap()).unwrap();
        (request.token(), request.message_id())
    };
    let seen: Vec<_> = (0..40).map(|number| first(&[number; 16])).collect();
    let tokens: BTreeSet<_> = seen.iter().map(|(token, _)| token.as_bytes().to_vec()).collect();
    let ids: BTreeSet<_> = seen.iter().map(|(_, id)| *id).collect();
    assert_eq!(tokens.len(), 40, "the seed is the same");
    assert!(ids.len() > 35, "of 65,536: {}", ids.len());
}

/// Changes the partition of credentials of a device that is switched off, and lets it run for ten hours. What it said of it.
fn half_a_day_after(device: &mut Device, change: impl FnOnce(&RefCell<SimFlash>, Partition)) -> Vec<Silence> {
    change(&device.flash, device.config.credentials.unwrap());
    device.events.clear();
    let until_ms = device.now_ms + 10 * 3_600_000;
    device.run_until(|device| device.now_ms > until_ms);
    let silences = device.events.iter().filter_map(|event| match event {
        Event::Silent(why) => Some(*why),
        _ => None,
    });
    silences.collect()
}

fn erase(flash: &RefCell<SimFlash>, partition: Partition, offset: u32, bytes: u32) {
    Region::new(flash, partition).erase(offset, bytes).unwrap();
}

/// The sector of credentials damaged, erased, and erased with all that is behind it: what was once protected is never said in the
/// clear, and nothing that is said in the clear is believed.
#[test]
fn a_device_that_lost_its_credentials_falls_silent() {
    let damages: [fn(&RefCell<SimFlash>, Partition); 4] = [
        |flash, at| flash.borrow_mut().bytes_mut()[at.offset as usize + 10] ^= 1,
        |flash, at| flash.borrow_mut().bytes_mut()[at.offset as usize..][..4].fill(0),
        |flash, at| erase(flash, at, 0, LAYOUT.sector_bytes),
        |flash, at| erase(flash, at, 0, at.bytes),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let (mut device, channel) = secured(Offer::patch);
        device.run_until(confirmed);
        let requests = channel.borrow().requests;
        let said = half_a_day_after(&mut device, damage);
        assert!(said.len() > 10, "it says so again and again: {}", said.len());
        assert!(said.iter().all(|why| *why == Silence::Credentials), "{said:?}");
        assert_eq!(
            channel.borrow().requests,
            requests,
            "not a word on the air, damage {number}"
        );
    }
}

/// The same record brought onto it once more: the count goes on.
#[test]
fn a_silent_device_speaks_again_when_its_credentials_are_written_again() {
    let (mut device, channel) = secured(full);
    let partition = device.config.credentials.unwrap();
    device.run_until(|device| device.gateway.blocks().len() == 5);
    half_a_day_after(&mut device, |flash, at| erase(flash, at, 0, LAYOUT.sector_bytes));
    let requests = channel.borrow().requests;
    Credentials::write(&record(), Region::new(&device.flash, partition)).unwrap();
    device.run_until(confirmed);
    assert!(channel.borrow().requests > requests);
    assert!(
        repeated(&device) <= 2,
        "a block a restart at most: {:?}",
        device.gateway.blocks()
    );
}

/// An image on trial that finds no credentials has no contact.
#[test]
fn an_image_on_trial_that_has_to_be_silent_is_given_up() {
    let (mut device, channel) = secured(Offer::patch);
    device.run_until(|device| device.boots.len() == 2);
    let requests = channel.borrow().requests;
    half_a_day_after(&mut device, |flash, at| erase(flash, at, 0, LAYOUT.sector_bytes));
    assert_eq!(device.boots.last().unwrap().sequence, 1);
    assert_eq!(channel.borrow().requests, requests);
    Credentials::write(
        &record(),
        Region::new(&device.flash, device.config.credentials.unwrap()),
    )
    .unwrap();
    device.run_until(|device| device.said(|event| matches!(event, Event::Reported { .. })) > 0);
}

/// What becomes of the log of numbers.
type Loss = fn(&RefCell<SimFlash>, Partition);

/// Both banks erased, or overwritten.
const LOSSES: [Loss; 2] = [
    |flash, at| {
        let banks = at.bytes - 2 * LAYOUT.sector_bytes;
        erase(flash, at, LAYOUT.sector_bytes, banks);
    },
    |flash, at| {
        let sector = LAYOUT.sector_bytes as usize;
        let banks = at.offset as usize + sector..(at.offset + at.bytes) as usize - sector;
        flash.borrow_mut().bytes_mut()[banks].fill(0x55);
    },
];

/// Without its log the device would begin at 0 again, under the same keys: it makes others, for one round trip, and goes on with them.
#[test]
fn a_device_that_lost_its_count_makes_other_keys() {
    for lose in LOSSES {
        let (mut device, channel) = secured(full);
        device.run_until(|device| device.gateway.blocks().len() == 5);
        assert!(half_a_day_after(&mut device, lose).is_empty(), "it is not silent");
        device.run_until(confirmed);
        assert_eq!(channel.borrow().renewals, (1, 1));
        assert!(repeated(&device) <= 2, "a block a restart at most");
        // It is not asked for again: restarts go on under the new keys, and name them once.
        let check_ins = device.gateway.check_ins().len();
        half_a_day_after(&mut device, |_, _| {});
        assert!(device.gateway.check_ins().len() > check_ins);
        let channel = channel.borrow();
        assert_eq!((channel.renewals, channel.challenges), ((1, 1), 0));
        let named = |datagram: &Vec<u8>| {
            let message = Message::parse(datagram).unwrap();
            let option = message.option(wire_coap::OptionNumber::OSCORE).unwrap();
            OscoreOption::parse(option).unwrap().kid_context.is_some()
        };
        let named = channel.heard.values().filter(|datagram| named(datagram)).count();
        assert!(named <= 5, "{named}: request 1, and the first of each start");
    }
}

/// It loses its count again and again, and its gateway forgets: `Channel::hear` looks at every number under every key.
#[test]
fn keys_are_made_anew_as_often_as_it_takes() {
    let (mut device, channel) = secured(full);
    for round in 0..6 {
        let check_ins = device.gateway.check_ins().len();
        device.run_until(|device| device.gateway.check_ins().len() > check_ins);
        assert_eq!(channel.borrow().renewals, (round, round));
        match round % 2 {
            0 => LOSSES[round / 2 % 2](&device.flash, device.config.credentials.unwrap()),
            // Two requests go unanswered; the third makes other keys.
            _ => channel.borrow_mut().forget(),
        }
    }
}

/// The power goes away in every flash operation from the loss on: no number is used twice under any key, and the device gets through.
#[test]
fn no_cut_while_keys_are_made_uses_a_number_twice() {
    let mut cuts = 0;
    for (operation, torn_at) in (0..60).flat_map(|operation| [0, 30, 65].map(|torn_at| (operation, torn_at)))
    {
        let (mut device, channel) = secured(Offer::patch);
        device.run_until(|device| device.gateway.check_ins().len() == 1);
        LOSSES[operation % 2](&device.flash, device.config.credentials.unwrap());
        device.cut = Some(PowerCut {
            operation: operation as u64,
            torn_at,
        });
        device.cut_again = Some(PowerCut {
            operation: operation as u64 / 2,
            torn_at,
        });
        device.run_until(confirmed);
        cuts += device.power_cuts;
        assert!(channel.borrow().renewals.1 >= 1);
        assert_eq!(device.said(|event| matches!(event, Event::Silent(_))), 0);
    }
    println!("{cuts} power cuts");
    assert!(cuts > 200, "{cuts}");
}

/// Every cut from the first start of a new device on: none of them makes keys look used up that never were.
#[test]
fn no_power_cut_makes_a_new_device_silent() {
    for operation in 0..40 {
        for torn_at in [0, 30, 65] {
            let (mut device, _) = secured(Offer::patch);
            device.cut = Some(PowerCut { operation, torn_at });
            device.cut_again = Some(PowerCut {
                operation: operation / 2,
                torn_at,
            });
            device.run_until(|device| device.power_cuts > 0 && device.gateway.check_ins().len() > 1);
            assert_eq!(device.said(|event| matches!(event, Event::Silent(_))), 0);
        }
    }
}

#[test]
fn without_credentials_a_device_speaks_as_ever() {
    let release = |sequence| Vendor::OURS.release(sequence, image(sequence as u8, 6_001));
    let (v1, v2) = (release(1), release(2));
    let mut device = Device::new(&v1, Gateway::new(Some(Offer::patch(&v1, &v2))));
    device.run_until(confirmed);
    // A partition in which nobody wrote any.
    let partition = credentials_behind(&LAYOUT);
    let mut device = Device::new(&v1, Gateway::new(Some(Offer::patch(&v1, &v2))));
    let mut bytes = device.flash.borrow().bytes().to_vec();
    bytes.resize((partition.offset + partition.bytes) as usize, 0xFF);
    device.flash = RefCell::new(SimFlash::from_bytes(bytes));
    device.config.credentials = Some(partition);
    device.run_until(confirmed);
    assert!(
        Region::new(&device.flash, partition)
            .is_erased(0, partition.bytes)
            .unwrap()
    );
}
