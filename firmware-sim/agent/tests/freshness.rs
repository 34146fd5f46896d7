//! "Latest is N": who is kept in the dark notices, who is not raises no alarm, and old words are no news. `docs/freeze.md` has the table.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::cell::RefCell;

use deltagate_agent::{
    Agent, Config, DATAGRAM_BYTES_MAX, DeferralReason, Effect, Event, Gate, Known, Verdict,
};
use deltagate_flash::sim::{PowerCut, SimFlash};
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use support::{Device, Gateway, LAYOUT, Release, Rng, Vendor, image, respond};
use wire_checkin::{ANSWER_BYTES_MAX, Answer, CheckIn, Format, Freshness, Job, JobPath, Severity};
use wire_coap::{Code, Message};
use wire_manifest::{Anchor, Envelope, Latest, SignedLatest, latest_class};

const HOUR_S: u64 = 3_600;
const DAY_S: u64 = 24 * HOUR_S;
const VALID_S: u64 = 14 * DAY_S;
/// When these stories begin, by the publisher's clock.
const BEGAN_S: u64 = 1_795_000_000;
/// How often devices are asked to check in.
const INTERVAL_S: u64 = HOUR_S;

const NO_DOWNLOAD: Gate = Gate {
    download: Verdict::Deferred(DeferralReason::Battery),
    restart: Verdict::Clear,
};

/// What `vendor` says, as it goes on the air.
fn stated(vendor: Vendor, number: u32, sequence: u32, issued_s: u64) -> SignedLatest {
    let key = SigningKey::from_bytes(&vendor.key);
    let latest = Latest {
        number,
        sequence,
        issued_s: issued_s as u32,
        valid_s: VALID_S as u32,
    };
    let hash = |parts: &[&[u8]]| <[u8; 32]>::from(Sha256::digest(parts.concat()));
    let words = latest.image(&vendor.class_id);
    let release = wire_manifest::Release {
        sequence_number: number.into(),
        vendor_id: vendor.vendor_id,
        class_id: latest_class(&vendor.class_id, &mut { hash }),
        image_digest: hash(&[&words]),
        image_size: words.len() as u32,
        predecessor_min: 0,
        text: None,
        image: None,
    };
    let anchor = Anchor {
        key: key.verifying_key().to_bytes(),
    };
    let mut buffer = [0; 512];
    let sign = |bytes: &[u8]| key.sign(bytes).to_bytes();
    let envelope = release.encode(&mut buffer, anchor.key_id(), sign).unwrap();
    let envelope = Envelope::parse(envelope).unwrap();
    let signature = envelope.signatures().next().unwrap().signature;
    SignedLatest {
        latest,
        signature: signature.try_into().unwrap(),
    }
}

/// What a gateway does with a check-in: the bytes of a statement, and the sequence number of a job.
type Site<'s> = &'s mut dyn FnMut(u64, &CheckIn) -> (Option<Vec<u8>>, Option<u64>);

/// A device between the publisher's time and its own.
struct Bench {
    flash: RefCell<SimFlash>,
    config: Config,
    /// True time since the story began.
    now_s: u64,
    /// How much faster its oscillator is than true time, in a thousand.
    fast: u64,
    starts: u64,
    events: Vec<(u64, Event)>,
    heard: Vec<(u64, Option<Freshness>)>,
}

impl Bench {
    /// A device from the factory that runs sequence 1.
    fn new() -> Self {
        let release: Release = Vendor::OURS.release(1, image(1, 3_001));
        let device = Device::new(&release, Gateway::new(None));
        Self {
            flash: device.flash,
            config: Config {
                freshness: true,
                ack_timeout_ms: 2_000,
                defer_s_min: u32::MAX,
                defer_s_max: u32::MAX,
                ..Config::new(LAYOUT, &[1, 2, 3, 4, 5, 6]).unwrap()
            },
            now_s: 0,
            fast: 0,
            starts: 0,
            events: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// Switches it on until then. Its clock begins at 0. What it knows at the end; `None` if the power went away meanwhile.
    fn on_until(&mut self, until_s: u64, site: Site<'_>) -> Option<Known> {
        let boot = deltagate_bootloader::run(&self.flash, &LAYOUT, None, &mut |_| {});
        let boot = boot.ok().filter(|_| self.flash.borrow().is_powered())?.info;
        let (began_s, mut memory) = (self.now_s, [0; 4_096]);
        self.starts += 1;
        let provision = Vendor::OURS.provision();
        let agent = Agent::new(
            self.config,
            provision,
            &self.flash,
            boot,
            &mut memory,
            self.starts,
            0,
        );
        let mut agent = agent.ok().filter(|_| self.flash.borrow().is_powered())?;
        // No update begins here: this is about what is known of them.
        agent.set_gate(0, NO_DOWNLOAD);
        let fast = self.fast;
        let own_ms = |now_s: u64| (now_s - began_s) * (1_000 + fast);
        let true_s = |own_ms: u64| began_s + own_ms.div_ceil(1_000 + fast);
        loop {
            let due_s = true_s(agent.poll_timeout().expect("it is never without a time"));
            if due_s >= until_s {
                self.now_s = until_s;
                return agent.known(own_ms(until_s));
            }
            self.now_s = self.now_s.max(due_s);
            agent.handle_timeout(own_ms(self.now_s));
            let mut buffer = [0; DATAGRAM_BYTES_MAX];
            while let Some(length) = agent.poll_transmit(&mut buffer) {
                let request = Message::parse(&buffer[..length]).unwrap();
                let said = CheckIn::decode(request.payload()).unwrap();
                self.heard.push((self.now_s, said.freshness));
                let (statement, job) = site(self.now_s, &said);
                let answer = Answer {
                    statement: statement.as_deref(),
                    // Of a release that the application keeps waiting, so that nothing comes of it.
                    job: job.map(|sequence_number| Job {
                        path: JobPath::new("a").unwrap(),
                        format: Format::Lz4,
                        payload_bytes: 1,
                        artefact_digest: [0; 16],
                        sequence_number,
                        severity: Severity::Optional,
                        defer_s_max: None,
                    }),
                    ..Answer::idle(INTERVAL_S as u32)
                };
                let mut body = [0; ANSWER_BYTES_MAX];
                let body = answer.encode(&mut body).unwrap();
                let mut reply = respond(&request, Code::CHANGED, &[], body);
                agent.handle_datagram(own_ms(self.now_s), &mut reply);
            }
            while let Some(effect) = agent.poll_effect() {
                if let Effect::Event(event) = effect {
                    self.events.push((self.now_s, event));
                }
            }
            if !self.flash.borrow().is_powered() {
                return None;
            }
        }
    }

    /// Switched off until then.
    fn off_until(&mut self, until_s: u64) {
        self.flash.borrow_mut().restart();
        self.now_s = self.now_s.max(until_s);
    }

    /// When it first said that.
    fn first(&self, what: impl Fn(&Event) -> bool) -> Option<u64> {
        self.events
            .iter()
            .find(|(_, event)| what(event))
            .map(|(at_s, _)| *at_s)
    }

    fn alarms(&self) -> usize {
        let is_alarm = |event: &Event| matches!(event, Event::Stale { .. } | Event::Behind { .. });
        self.events.iter().filter(|(_, event)| is_alarm(event)).count()
    }
}

fn is_stale(event: &Event) -> bool {
    matches!(event, Event::Stale { .. })
}

fn is_behind(event: &Event) -> bool {
    matches!(event, Event::Behind { .. })
}

/// A publisher who signs every five days, and a gateway that has each statement six hours later, until a time; then it has no newer one.
fn honest_until(silent_s: u64, sequence: u32) -> impl FnMut(u64, &CheckIn) -> (Option<Vec<u8>>, Option<u64>) {
    move |now_s, said| {
        let newest = (now_s.min(silent_s).saturating_sub(6 * HOUR_S) / (5 * DAY_S)) as u32;
        let statement = said.freshness.filter(|freshness| freshness.number < newest + 1);
        let issued_s = BEGAN_S + u64::from(newest) * 5 * DAY_S;
        let statement = statement.map(|_| {
            stated(Vendor::OURS, newest + 1, sequence, issued_s)
                .encode()
                .to_vec()
        });
        (statement, None)
    }
}

/// The bound of `docs/freeze.md`: 16/15 of the time that was meant, t for the way here, an interval.
#[test]
fn a_gateway_that_withholds_statements_is_noticed_within_the_bound() {
    for fast in [0, 20, 60] {
        let mut device = Bench::new();
        device.fast = fast;
        let silent_s = 40 * DAY_S;
        let known = device
            .on_until(90 * DAY_S, &mut honest_until(silent_s, 1))
            .unwrap();
        assert!(known.is_stale && !known.is_behind);
        let stale_s = device.first(is_stale).unwrap();
        let issued_s = u64::from(known.statement.issued_s) - BEGAN_S;
        assert!(
            stale_s > issued_s + VALID_S,
            "never early: day {}",
            stale_s / DAY_S
        );
        // It asked for it when the one before was half through its time, and it was five days old at most.
        let number = known.statement.number;
        let is_it = |event: &Event| matches!(event, Event::Latest { statement, .. } if *statement == number);
        let way_s = device.first(is_it).unwrap() - issued_s;
        assert!(way_s <= 5 * DAY_S + 6 * HOUR_S + INTERVAL_S);
        let bound_s = issued_s + VALID_S * 16 / 15 + way_s + INTERVAL_S;
        assert!(
            stale_s <= bound_s,
            "{fast}: {} days late",
            (stale_s - bound_s) / DAY_S
        );
        let (_, last) = device.heard.last().unwrap();
        assert!(
            last.is_some_and(|said| said.is_stale),
            "and it tells at each check-in"
        );
        assert_eq!(device.alarms(), 1, "and its application once");
    }
}

/// At most four hours of counting are lost with each start.
#[test]
fn starts_do_not_keep_it_from_noticing() {
    let mut device = Bench::new();
    let mut site = honest_until(20 * DAY_S, 1);
    let mut starts = 0;
    while device.first(is_stale).is_none() {
        let day_s = device.now_s / DAY_S * DAY_S + DAY_S;
        device.on_until(day_s, &mut site);
        device.off_until(day_s);
        starts += u64::from(day_s > 20 * DAY_S);
        assert!(day_s < 60 * DAY_S, "never noticed");
    }
    let stale_s = device.first(is_stale).unwrap();
    let issued_s = 15 * DAY_S;
    assert!(stale_s <= issued_s + VALID_S * 16 / 15 + (starts + 6) * 4 * HOUR_S + 6 * HOUR_S + INTERVAL_S);
}

#[test]
fn statements_that_are_passed_on_late_are_found_out() {
    let mut device = Bench::new();
    let late_s = 30 * DAY_S;
    let mut site = |now_s: u64, said: &CheckIn| {
        // Honest for ten days; from then on each comes a month after it was signed.
        let issued_s = if now_s < 10 * DAY_S {
            now_s
        } else {
            (now_s - late_s.min(now_s)).max(9 * DAY_S)
        };
        let number = 1 + (issued_s / DAY_S) as u32;
        let issued_s = u64::from(number - 1) * DAY_S;
        let is_news = said.freshness.is_some_and(|freshness| freshness.number < number);
        let statement = is_news.then(|| stated(Vendor::OURS, number, 1, BEGAN_S + issued_s));
        (statement.map(|statement| statement.encode().to_vec()), None)
    };
    let known = device.on_until(80 * DAY_S, &mut site).unwrap();
    assert!(device.first(is_stale).unwrap() < 30 * DAY_S);
    // It has a new one every day, and each is too old.
    assert!(known.is_stale && known.statement.number > 40, "{known:?}");
    assert!(
        u64::from(known.age_s) > 25 * DAY_S,
        "{} days",
        u64::from(known.age_s) / DAY_S
    );
}

#[test]
fn old_foreign_and_altered_statements_are_no_news() {
    let ours = Vendor::OURS;
    let stranger = Vendor {
        key: [66; 32],
        ..ours
    };
    let other_class = Vendor {
        class_id: [0xCC; 16],
        ..ours
    };
    let mut altered = stated(ours, 9, 1, BEGAN_S);
    altered.latest.sequence += 1;
    let late = BEGAN_S + 300 * DAY_S;
    let refused = [
        stated(ours, 2, 50, late),
        stated(ours, 3, 50, late),
        stated(stranger, 9, 50, late),
        stated(other_class, 9, 50, late),
        altered,
    ];
    let mut answers = vec![stated(ours, 3, 1, BEGAN_S).encode().to_vec()];
    answers.extend(refused.iter().map(|signed| signed.encode().to_vec()));
    answers.extend([vec![], vec![0; 80], vec![0xFF; 128]]);
    let count = answers.len() as u64;
    let mut answers = answers.into_iter();
    let mut device = Bench::new();
    let known = device.on_until((count + 2) * INTERVAL_S, &mut |_, _| (answers.next(), None));
    assert_eq!(answers.len(), 0, "all of them came");
    assert_eq!(known.unwrap().statement, stated(ours, 3, 1, BEGAN_S).latest);
    // Nor after a restart.
    device.off_until(device.now_s);
    let replayed = stated(ours, 3, 50, late).encode().to_vec();
    let known = device.on_until(device.now_s + DAY_S, &mut |_, _| (Some(replayed.clone()), None));
    assert_eq!(known.unwrap().statement.sequence, 1);
}

#[test]
fn a_release_that_nobody_offers_is_told_of_when_the_time_meant_is_over() {
    let mut device = Bench::new();
    let known = device
        .on_until(60 * DAY_S, &mut honest_until(u64::MAX, 2))
        .unwrap();
    assert!(known.is_behind && !known.is_stale);
    let behind_s = device.first(is_behind).unwrap();
    assert!(
        behind_s > VALID_S,
        "an honest gateway has this long to roll it out"
    );
    assert!(
        behind_s <= VALID_S * 16 / 15 + 2 * INTERVAL_S,
        "day {}",
        behind_s / DAY_S
    );

    // One that offers it is not accused, though the device puts it off.
    let mut device = Bench::new();
    let mut honest = honest_until(u64::MAX, 2);
    let mut site = |now_s: u64, said: &CheckIn| {
        let (statement, _) = honest(now_s, said);
        let job = statement.is_none().then_some(2);
        (statement, job)
    };
    let known = device.on_until(60 * DAY_S, &mut site).unwrap();
    assert!(!known.is_behind && device.alarms() == 0);
    // And one that offers an image in between is.
    let mut device = Bench::new();
    let mut honest = honest_until(u64::MAX, 3);
    let mut site = |now_s: u64, said: &CheckIn| (honest(now_s, said).0, Some(2));
    let known = device.on_until(60 * DAY_S, &mut site).unwrap();
    assert!(known.is_behind);
}

/// Restarts and power failures of all lengths, an oscillator that is 5 % fast, statements that come when half their time is nearly over.
#[test]
fn a_thousand_days_with_an_honest_gateway_raise_no_alarm() {
    for (seed, fast) in [(1, 50), (2, 0), (3, 62)] {
        let mut rng = Rng::new(seed);
        let mut device = Bench::new();
        device.fast = fast;
        let mut site = honest_until(u64::MAX, 1);
        while device.now_s < 1_000 * DAY_S {
            let on_s = (rng.next() >> 20) % (12 * DAY_S) + 60;
            device.on_until(device.now_s + on_s, &mut site).unwrap();
            let off_s = if rng.chance(30) {
                (rng.next() >> 20) % (20 * DAY_S)
            } else {
                1
            };
            device.off_until(device.now_s + off_s);
        }
        assert!(device.starts > 80, "{} starts", device.starts);
        assert_eq!(device.alarms(), 0, "{:?}", device.events.last());
        assert!(device.heard.len() > 10_000);
    }
}

/// What an oscillator is ahead adds up where nothing ever starts anew.
#[test]
fn a_thousand_days_without_a_restart_raise_no_alarm() {
    let mut device = Bench::new();
    device.fast = 62;
    device
        .on_until(1_000 * DAY_S, &mut honest_until(u64::MAX, 1))
        .unwrap();
    assert_eq!(device.alarms(), 0, "{:?}", device.events.last());
}

/// One statement from a clock a year ahead would make every later one look old. The next takes it back, for its number is higher.
#[test]
fn a_publisher_who_puts_the_clock_right_is_believed() {
    let ahead = stated(Vendor::OURS, 1, 1, BEGAN_S + 365 * DAY_S);
    let right = stated(Vendor::OURS, 2, 1, BEGAN_S + DAY_S);
    let mut device = Bench::new();
    let known = device.on_until(DAY_S, &mut |_, _| (Some(ahead.encode().to_vec()), None));
    assert_eq!(known.unwrap().statement, ahead.latest);
    let known = device.on_until(3 * DAY_S, &mut |_, _| (Some(right.encode().to_vec()), None));
    let known = known.unwrap();
    assert_eq!(known.statement, right.latest);
    assert!(u64::from(known.age_s) <= 2 * DAY_S && !known.is_stale && device.alarms() == 0);
}

/// What it costs: docs/freeze.md has the figures.
#[test]
fn a_device_asks_when_half_the_time_is_over_and_says_nothing_else() {
    let mut device = Bench::new();
    device
        .on_until(350 * DAY_S, &mut honest_until(u64::MAX, 1))
        .unwrap();
    let asked = device.heard.iter().filter(|(_, said)| said.is_some()).count();
    assert!(device.heard.len() >= 350 * 23, "{}", device.heard.len());
    // Each statement is 5 days at most when it comes, and is followed by the next when it is 7: it asks once for each that it takes.
    assert!((35..=75).contains(&asked), "{asked} of {}", device.heard.len());

    // A site without statements is asked once a day.
    let mut device = Bench::new();
    device.on_until(10 * DAY_S, &mut |_, _| (None, None));
    let asked = device.heard.iter().filter(|(_, said)| said.is_some()).count();
    assert_eq!(asked, 10);
}

/// The old one or the new one, wherever the power goes away; never none, and the count goes on.
#[test]
fn no_power_cut_loses_a_statement() {
    let first = stated(Vendor::OURS, 1, 1, BEGAN_S).encode().to_vec();
    let second = stated(Vendor::OURS, 2, 1, BEGAN_S + DAY_S).encode().to_vec();
    let with_first = || {
        let mut device = Bench::new();
        let known = device.on_until(2 * HOUR_S, &mut |_, _| (Some(first.clone()), None));
        assert_eq!(known.unwrap().statement.number, 1);
        device.off_until(DAY_S);
        device
    };
    let mut uncut = with_first();
    let until_s = DAY_S + 10 * HOUR_S;
    assert_eq!(
        uncut
            .on_until(until_s, &mut |_, _| (Some(second.clone()), None))
            .unwrap()
            .statement
            .number,
        2
    );
    let operations = uncut.flash.borrow().operations();
    assert!(operations >= 4, "{operations}");
    for operation in 0..operations {
        for torn_at in [0, 1, 17, 4_096] {
            let mut device = with_first();
            let before = device.flash.borrow().operations();
            device.flash.borrow_mut().cut_power_at(PowerCut {
                operation: before + operation,
                torn_at,
            });
            device.on_until(until_s, &mut |_, _| (Some(second.clone()), None));
            device.off_until(device.now_s);
            let known = device
                .on_until(device.now_s + 60, &mut |_, _| (None, None))
                .unwrap();
            assert!(
                (1..=2).contains(&known.statement.number),
                "{operation}, byte {torn_at}"
            );
            let known = device.on_until(device.now_s + DAY_S, &mut |_, _| (Some(second.clone()), None));
            assert_eq!(known.unwrap().statement.number, 2, "{operation}, byte {torn_at}");
        }
    }
}
