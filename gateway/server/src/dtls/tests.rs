//! Real handshakes with dimpl's client, and everything that strangers may do to them. No clock but the tests' own.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use super::*;
use gateway_core::PskKey;
use proptest::prelude::*;

/// A device.
pub(super) struct Client {
    dtls: dimpl::Dtls,
    pub(super) peer: SocketAddr,
    start: Instant,
    got: Vec<Vec<u8>>,
    is_connected: bool,
}

struct Key(Vec<u8>);

impl dimpl::PskResolver for Key {
    fn resolve(&self, _: &[u8]) -> Option<Vec<u8>> {
        Some(self.0.clone())
    }
}

fn psk(name: &str, byte: u8) -> Psk {
    Psk {
        identity: name.parse().unwrap(),
        key: PskKey::new(&[byte; 16]).unwrap(),
    }
}

fn address(number: u16) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    SocketAddr::from(([10, high, low, 1], 40_000))
}

impl Client {
    pub(super) fn new(peer: SocketAddr, psk: &Psk) -> Client {
        let identity = psk.identity.as_bytes().to_vec();
        let config = dimpl::Config::builder()
            .with_crypto_provider(dimpl::crypto::rust_crypto::default_provider())
            .dtls12_cipher_suites(&[dimpl::crypto::Dtls12CipherSuite::PSK_AES128_CCM_8])
            .dtls13_cipher_suites(&[])
            .with_psk_client(identity, Arc::new(Key(psk.key.expose().to_vec())))
            .build();
        let start = Instant::now();
        let mut dtls = dimpl::Dtls::new_12_psk(Arc::new(config.unwrap()), start);
        dtls.set_active(true);
        Client {
            dtls,
            peer,
            start,
            got: Vec::new(),
            is_connected: false,
        }
    }

    /// What it sends, at this time.
    pub(super) fn sends(&mut self, now_ms: u64) -> Vec<Vec<u8>> {
        let now = self.start + Duration::from_millis(now_ms);
        let mut sent = Vec::new();
        // Whoever is refused has nothing to send any more.
        if self.dtls.handle_timeout(now).is_err() {
            return sent;
        }
        let mut buffer = [0; 4_096];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                dimpl::Output::Packet(packet) => sent.push(packet.to_vec()),
                dimpl::Output::ApplicationData(message) => self.got.push(message.to_vec()),
                dimpl::Output::Connected => self.is_connected = true,
                dimpl::Output::Timeout(_) => return sent,
                _ => {}
            }
        }
    }

    fn takes(&mut self, datagram: &[u8]) {
        let _ = self.dtls.handle_packet(datagram);
    }

    fn says(&mut self, message: &[u8]) -> Vec<u8> {
        self.dtls.send_application_data(message).unwrap();
        let mut sent = self.sends(0);
        assert_eq!(sent.len(), 1);
        sent.remove(0)
    }
}

fn gateway(psks: &[Psk]) -> Dtls {
    let mut dtls = Dtls::new(Instant::now(), [7; 32]);
    dtls.set_keys(psks.iter());
    dtls
}

fn flights(dtls: &mut Dtls) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| dtls.poll_flight())
        .map(|(_, flight)| flight)
        .collect()
}

fn messages(dtls: &mut Dtls) -> Vec<SessionMessage> {
    std::iter::from_fn(|| dtls.poll_message()).collect()
}

/// Passes datagrams to and fro until nobody has any more, and gives their lengths: those of the device positive.
pub(super) fn talk(dtls: &mut Dtls, client: &mut Client) -> Vec<i64> {
    let mut lengths = Vec::new();
    loop {
        let sent = client.sends(0);
        if sent.is_empty() {
            return lengths;
        }
        for datagram in sent {
            lengths.push(datagram.len() as i64);
            dtls.handle_datagram(0, client.peer, &datagram);
        }
        for flight in flights(dtls) {
            lengths.push(-(flight.len() as i64));
            client.takes(&flight);
        }
    }
}

fn connected(dtls: &mut Dtls, peer: SocketAddr, psk: &Psk) -> Client {
    let mut client = Client::new(peer, psk);
    talk(dtls, &mut client);
    assert!(client.is_connected);
    client
}

#[test]
fn a_device_with_its_key_gets_a_session_and_messages_go_both_ways() {
    let own = psk("dev1", 1);
    let mut dtls = gateway(std::slice::from_ref(&own));
    let mut client = connected(&mut dtls, address(1), &own);
    let request = client.says(b"a request");
    dtls.handle_datagram(0, client.peer, &request);
    let [message] = messages(&mut dtls).try_into().unwrap();
    assert_eq!(
        (message.peer, message.bytes.as_slice()),
        (client.peer, &b"a request"[..])
    );
    assert_eq!(message.proof, own.proof());
    let (peer, record) = dtls.protect(0, message.session, b"an answer").unwrap();
    assert_eq!(peer, client.peer);
    assert_eq!(
        record.len(),
        b"an answer".len() + usize::from(gateway_core::DTLS_OVERHEAD_BYTES)
    );
    client.takes(&record);
    assert_eq!(
        (client.sends(0).len(), client.got.as_slice()),
        (0, &[b"an answer".to_vec()][..])
    );
    assert_eq!(
        dtls.counters(),
        DtlsCounters {
            sessions: 1,
            hellos: 1,
            begun: 1,
            completed: 1,
            ..DtlsCounters::default()
        }
    );
}

/// `docs/dtls.md` has these figures: what a handshake costs on the air.
#[test]
fn a_handshake_is_six_datagrams() {
    let own = psk("dev1", 1);
    let mut dtls = gateway(std::slice::from_ref(&own));
    let lengths = talk(&mut dtls, &mut Client::new(address(1), &own));
    let (hello, with_cookie) = (lengths[0], lengths[2]);
    assert_eq!(with_cookie, hello + 32);
    // 13 + 12 + 3 + 32; server hello and its end; identity in 2 + 4, change of cipher and 13 + 8 + 24 + 8.
    assert_eq!(lengths, [hello, -60, with_cookie, -108, 31 + 14 + 53, -67]);
}

#[test]
fn nothing_is_kept_for_who_does_not_send_the_cookie_back() {
    let own = psk("dev1", 1);
    let mut dtls = gateway(std::slice::from_ref(&own));
    let hello = Client::new(address(1), &own).sends(0).remove(0);
    for number in 0..20_000 {
        dtls.handle_datagram(0, address(number), &hello);
        let [answer] = flights(&mut dtls).try_into().unwrap();
        assert!(
            answer.len() < hello.len(),
            "{} bytes for {}",
            answer.len(),
            hello.len()
        );
    }
    assert_eq!(
        dtls.counters(),
        DtlsCounters {
            hellos: 20_000,
            ..DtlsCounters::default()
        }
    );
    // A cookie is that of an address.
    let mut client = Client::new(address(1), &own);
    let hello = client.sends(0).remove(0);
    dtls.handle_datagram(0, address(1), &hello);
    client.takes(&flights(&mut dtls).remove(0));
    let with_cookie = client.sends(0).remove(0);
    dtls.handle_datagram(0, address(2), &with_cookie);
    assert_eq!(dtls.counters().begun, 0);
    dtls.handle_datagram(0, address(1), &with_cookie);
    assert_eq!(dtls.counters().begun, 1);
}

/// The server's records go on where the client's were, as RFC 6347 §4.2.1 wants it: a client that sent its first hello twice has seen number 1.
#[test]
fn a_hello_that_had_to_be_repeated_leads_on() {
    let own = psk("dev1", 1);
    let mut dtls = gateway(std::slice::from_ref(&own));
    let mut client = Client::new(address(1), &own);
    // The first answer is lost.
    let lost = client.sends(0);
    let again = client.sends(2_000);
    assert_eq!((lost.len(), again.len()), (1, 1));
    dtls.handle_datagram(2_000, client.peer, &again[0]);
    let [verify] = flights(&mut dtls).try_into().unwrap();
    assert_eq!(Record::first(&verify).unwrap().number, 1);
    client.takes(&verify);
    let hello = client.sends(2_000);
    dtls.handle_datagram(2_000, client.peer, &hello[0]);
    let [flight] = flights(&mut dtls).try_into().unwrap();
    let numbers: Vec<u64> = Record::all(&flight).map(|record| record.number).collect();
    assert_eq!(
        (Record::first(&hello[0]).unwrap().number, numbers),
        (2, vec![2, 3])
    );
    // Its hello once more brings the same flight once more, and no other handshake.
    dtls.handle_datagram(2_100, client.peer, &hello[0]);
    assert_eq!(flights(&mut dtls).len(), 1);
    assert_eq!((dtls.counters().begun, dtls.counters().handshakes), (1, 1));
    client.takes(&flight);
    talk(&mut dtls, &mut client);
    assert!(client.is_connected);
}

/// The last flight is repeated for a device that did not get it.
#[test]
fn a_last_flight_that_was_lost_comes_again() {
    let own = psk("dev1", 1);
    let mut dtls = gateway(std::slice::from_ref(&own));
    let mut client = Client::new(address(1), &own);
    for _ in 0..2 {
        for datagram in client.sends(0) {
            dtls.handle_datagram(0, client.peer, &datagram);
        }
        flights(&mut dtls).iter().for_each(|flight| client.takes(flight));
    }
    for datagram in client.sends(0) {
        dtls.handle_datagram(0, client.peer, &datagram);
    }
    assert_eq!((flights(&mut dtls).len(), client.is_connected), (1, false));
    for datagram in client.sends(3_000) {
        dtls.handle_datagram(3_000, client.peer, &datagram);
    }
    let again = flights(&mut dtls);
    assert!(!again.is_empty());
    again.iter().for_each(|flight| client.takes(flight));
    client.sends(3_000);
    assert!(client.is_connected);
    assert_eq!(dtls.counters().completed, 1);
}

#[test]
fn a_wrong_key_and_an_unknown_identity_end_alike() {
    let told = |psk: &Psk| {
        let mut dtls = gateway(&[self::psk("dev1", 1), self::psk("dev2", 2)]);
        let mut client = Client::new(address(1), psk);
        let lengths = talk(&mut dtls, &mut client);
        assert!(!client.is_connected);
        (lengths, dtls.counters())
    };
    let (lengths, counters) = told(&psk("dev1", 9));
    assert_eq!(
        (counters.refused, counters.sessions, counters.handshakes),
        (1, 0, 0)
    );
    assert_eq!(lengths.last(), Some(&-15));
    assert_eq!(told(&psk("dev9", 9)), (lengths.clone(), counters));
    // Another device's key is none.
    assert_eq!(told(&psk("dev1", 2)), (lengths, counters));
}

#[test]
fn a_client_that_offers_nothing_of_ours_is_told_so() {
    let mut dtls = gateway(&[]);
    let (suites, extensions) = hello::tests::FITTING;
    let none = hello::tests::hello(0, &[], &[0xC0, 0xAE], extensions);
    dtls.handle_datagram(0, address(1), &none);
    let no_master_secret = hello::tests::hello(0, &[], suites, &[]);
    dtls.handle_datagram(0, address(1), &no_master_secret);
    let told = flights(&mut dtls);
    assert_eq!(told, vec![record::alert(0, record::HANDSHAKE_FAILURE); 2]);
    let counters = dtls.counters();
    assert_eq!(
        (counters.unfit_suite, counters.unfit_master_secret, counters.begun),
        (1, 1, 0)
    );
}

#[test]
fn what_is_altered_replayed_or_held_back_is_no_message() {
    let own = psk("dev1", 1);
    let mut dtls = gateway(std::slice::from_ref(&own));
    let mut client = connected(&mut dtls, address(1), &own);
    let held_back = client.says(b"old");
    let record = client.says(b"new");
    for at in 0..record.len() {
        let mut altered = record.clone();
        altered[at] ^= 1;
        dtls.handle_datagram(0, client.peer, &altered);
        assert_eq!(messages(&mut dtls), [], "byte {at}");
    }
    dtls.handle_datagram(0, client.peer, &record);
    assert_eq!(messages(&mut dtls).len(), 1);
    for old in [&record, &held_back] {
        dtls.handle_datagram(0, client.peer, old);
        dtls.handle_datagram(0, address(2), old);
    }
    assert_eq!((messages(&mut dtls), flights(&mut dtls).len()), (vec![], 0));
    // A forged one before it takes none along.
    let next = client.says(b"next");
    let mut forged = next.clone();
    *forged.last_mut().unwrap() ^= 1;
    dtls.handle_datagram(0, client.peer, &[&forged[..], &next].concat());
    assert_eq!(messages(&mut dtls)[0].bytes, b"next");
    let counters = dtls.counters();
    assert_eq!(
        (counters.sessions, counters.late, counters.broken, counters.failed),
        // One says that it is of an epoch that there is not.
        (1, 3, 0, 0)
    );
    assert_eq!(counters.strangers, 2);
}

/// RFC 6347 §4.2.8: a device that restarted comes from the same address, and so might somebody else say.
#[test]
fn a_session_goes_for_another_only_when_that_is_proven() {
    let (own, other) = (psk("dev1", 1), psk("dev2", 2));
    let mut dtls = gateway(&[own.clone(), other.clone()]);
    let mut before = connected(&mut dtls, address(1), &own);
    let mut liar = Client::new(address(1), &psk("dev1", 9));
    talk(&mut dtls, &mut liar);
    assert!(!liar.is_connected);
    let record = before.says(b"still here");
    dtls.handle_datagram(0, before.peer, &record);
    let [message] = messages(&mut dtls).try_into().unwrap();
    let mut again = connected(&mut dtls, address(1), &own);
    assert_eq!((dtls.counters().replaced, dtls.counters().sessions), (1, 1));
    assert_eq!(dtls.protect(0, message.session, b"to nobody"), None);
    let record = again.says(b"here again");
    dtls.handle_datagram(0, again.peer, &record);
    assert_eq!(messages(&mut dtls)[0].bytes, b"here again");
    // From another address as well: what it had is of no use to it any more.
    connected(&mut dtls, address(2), &own);
    assert_eq!((dtls.counters().replaced, dtls.counters().sessions), (2, 1));
    connected(&mut dtls, address(2), &other);
    assert_eq!((dtls.counters().replaced, dtls.counters().sessions), (3, 1));
}

#[test]
fn a_session_ends_with_its_key() {
    let own = psk("dev1", 1);
    let mut dtls = gateway(std::slice::from_ref(&own));
    let mut client = connected(&mut dtls, address(1), &own);
    // In the middle of a handshake, too.
    let mut late = Client::new(address(2), &own);
    for _ in 0..2 {
        for datagram in late.sends(0) {
            dtls.handle_datagram(0, late.peer, &datagram);
        }
        flights(&mut dtls).iter().for_each(|flight| late.takes(flight));
    }
    dtls.set_keys([psk("dev1", 2)].iter());
    let record = client.says(b"old key");
    dtls.handle_datagram(0, client.peer, &record);
    talk(&mut dtls, &mut late);
    assert_eq!((messages(&mut dtls), dtls.counters().sessions), (vec![], 0));
    assert!(!late.is_connected);
}

#[test]
fn the_longest_unused_session_goes_when_there_is_no_room() {
    let psks: Vec<Psk> = (0..5)
        .map(|number| psk(&format!("dev{number}"), 1 + number))
        .collect();
    let mut dtls = gateway(&psks);
    dtls.sessions = Sessions::new(3);
    let mut clients: Vec<Client> = (0..3)
        .map(|number| connected(&mut dtls, address(number), &psks[usize::from(number)]))
        .collect();
    let record = clients[0].says(b"in use");
    dtls.handle_datagram(0, clients[0].peer, &record);
    connected(&mut dtls, address(3), &psks[3]);
    assert_eq!((dtls.counters().sessions, dtls.counters().evicted), (3, 1));
    for (number, is_there) in [(0, true), (1, false), (2, true)] {
        let record = clients[number].says(b"?");
        messages(&mut dtls);
        let peer = clients[number].peer;
        dtls.handle_datagram(0, peer, &record);
        assert_eq!(messages(&mut dtls).len(), usize::from(is_there), "{number}");
    }
}

/// A client that goes as far as its cookie and no further.
fn half(dtls: &mut Dtls, now_ms: u64, peer: SocketAddr) -> Client {
    let mut client = Client::new(peer, &psk("dev1", 1));
    for _ in 0..2 {
        for datagram in client.sends(0) {
            dtls.handle_datagram(now_ms, peer, &datagram);
        }
        flights(dtls).iter().for_each(|flight| client.takes(flight));
    }
    client
}

#[test]
fn handshakes_are_few_and_not_all_of_one_neighbourhood() {
    let mut dtls = gateway(&[psk("dev1", 1)]);
    let mut neighbour = half(&mut dtls, 0, SocketAddr::from(([10, 9, 9, 9], 5_000)));
    for port in 0..1_000 {
        half(
            &mut dtls,
            0,
            SocketAddr::from(([10, 0, 0, port as u8], 1_000 + port)),
        );
    }
    assert_eq!(dtls.counters().handshakes as usize, HANDSHAKES_PER_PREFIX_MAX + 1);
    for number in 0..1_000_u16 {
        // From four neighbourhoods, which have no more than their share either.
        let [high, low] = number.to_be_bytes();
        half(
            &mut dtls,
            0,
            SocketAddr::from(([10, 1, low % 5, high], 2_000 + number)),
        );
        assert!(dtls.counters().handshakes as usize <= HANDSHAKES_MAX);
    }
    // Whoever was there before all of them goes on.
    talk(&mut dtls, &mut neighbour);
    assert!(neighbour.is_connected);
}

#[test]
fn a_handshake_that_nobody_goes_on_with_is_repeated_twice_and_then_given_up() {
    let mut dtls = gateway(&[psk("dev1", 1)]);
    half(&mut dtls, 0, address(1));
    let mut sent = Vec::new();
    while let Some(at_ms) = dtls.poll_timeout() {
        assert!(
            at_ms > sent.last().copied().unwrap_or_default() && at_ms <= 70_000,
            "{at_ms}"
        );
        dtls.handle_timeout(at_ms);
        let flights = flights(&mut dtls).len();
        sent.extend(std::iter::repeat_n(at_ms, flights));
    }
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!((6_750..=11_251).contains(&sent[0]), "{sent:?}");
    assert_eq!((dtls.counters().timed_out, dtls.counters().handshakes), (1, 0));
}

/// What a fuzzer calls, too.
#[test]
fn ten_thousand_random_datagrams_leave_a_session_and_memory_alone() {
    let mut state = 1_u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let own = psk("dev1", 1);
    let mut dtls = gateway(std::slice::from_ref(&own));
    let mut client = connected(&mut dtls, address(1), &own);
    half(&mut dtls, 0, address(2));
    let true_ones = [
        client.says(b"1"),
        Client::new(address(3), &own).sends(0).remove(0),
    ];
    for round in 0..10_000 {
        let mut datagram = true_ones[round % 2].clone();
        for _ in 0..=random() % 8 {
            let at = random() % datagram.len();
            datagram[at] = random() as u8;
        }
        datagram.truncate(1 + random() % 200);
        dtls.handle_datagram(0, address(1 + (random() % 3) as u16), &datagram);
    }
    flights(&mut dtls);
    // A true one that nothing was done to, once at most.
    let through = messages(&mut dtls);
    assert!(through.len() <= 1 && through.iter().all(|message| message.bytes == b"1"));
    let counters = dtls.counters();
    assert_eq!((counters.sessions, counters.broken), (1, 0), "{counters:?}");
    assert!(counters.handshakes <= 3, "{counters:?}");
    let record = client.says(b"2");
    dtls.handle_datagram(0, client.peer, &record);
    assert_eq!(messages(&mut dtls)[0].bytes, b"2");
}

/// Records that look like something: types, versions, epochs and lengths that mean something, and anything in them.
fn any_record() -> impl Strategy<Value = Vec<u8>> {
    let numbers = (0_u64..4, prop::sample::select(vec![0_u16, 1, 1, 2]));
    let parts = (
        prop::sample::select(vec![20_u8, 21, 22, 22, 23, 25]),
        numbers,
        prop::collection::vec(any::<u8>(), 0..80),
    );
    parts.prop_map(|(kind, (number, epoch), body)| {
        let mut bytes = record::record(kind, record::VERSION_1_2, number, &body);
        bytes[3..5].copy_from_slice(&epoch.to_be_bytes());
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whoever can send from a device's address, before, between and after its own datagrams, with whatever.
    #[test]
    fn no_datagrams_end_a_session_that_has_been_used(hostile in prop::collection::vec(prop::collection::vec(any_record(), 1..4), 0..40)) {
        let own = psk("dev1", 1);
        let mut dtls = gateway(std::slice::from_ref(&own));
        let mut client = connected(&mut dtls, address(1), &own);
        let first = client.says(b"first");
        dtls.handle_datagram(0, client.peer, &first);
        messages(&mut dtls);
        for datagram in &hostile {
            dtls.handle_datagram(0, client.peer, &datagram.concat());
        }
        flights(&mut dtls);
        prop_assert_eq!(messages(&mut dtls), vec![]);
        let next = client.says(b"next");
        dtls.handle_datagram(0, client.peer, &next);
        prop_assert_eq!(&messages(&mut dtls)[0].bytes, b"next");
        prop_assert_eq!(dtls.counters().broken, 0);
    }

    #[test]
    fn no_datagrams_of_strangers_lead_anywhere(hostile in prop::collection::vec(prop::collection::vec(any_record(), 1..4), 0..40)) {
        let mut dtls = gateway(&[psk("dev1", 1)]);
        half(&mut dtls, 0, address(1));
        for datagram in &hostile {
            dtls.handle_datagram(0, address(1), &datagram.concat());
        }
        prop_assert_eq!(messages(&mut dtls), vec![]);
        prop_assert_eq!((dtls.counters().sessions, dtls.counters().broken), (0, 0));
    }
}

/// `docs/dtls.md` has the figures.
#[test]
#[ignore = "measures: scripts/bench-dtls"]
fn ten_thousand_idle_sessions() {
    let rss_kb = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
    };
    let psks: Vec<Psk> = (0..10_000_u32)
        .map(|number| {
            let key = [&number.to_be_bytes()[..], &[7; 12]].concat();
            Psk {
                identity: format!("urn:dev:mac:{number:016x}").parse().unwrap(),
                key: PskKey::new(&key).unwrap(),
            }
        })
        .collect();
    let mut dtls = gateway(&psks);
    // What one client takes is not the gateway's.
    drop(connected(&mut dtls, address(0), &psks[0]));
    let (before, began) = (rss_kb(), Instant::now());
    for (number, psk) in (0..).zip(&psks) {
        let mut client = connected(&mut dtls, address(number), psk);
        let request = client.says(&[1; 60]);
        dtls.handle_datagram(0, client.peer, &request);
        let [message] = messages(&mut dtls).try_into().unwrap();
        dtls.protect(0, message.session, &[2; 1_050]).unwrap();
    }
    let (after, took) = (rss_kb(), began.elapsed());
    assert_eq!(dtls.counters().sessions, 10_000);
    let each = (after - before) * 1_024 / 10_000;
    println!("{before} KB before, {after} KB after: {each} bytes a session; {took:?} for both ends");
}
