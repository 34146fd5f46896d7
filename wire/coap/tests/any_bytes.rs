//! Any bytes end in a message or in a named error, and every message is its own round trip.
//!
//! `exercise` is also what a fuzzer calls.

use proptest::prelude::*;
use wire_coap::{
    Block2Fetch, BlockSize, FetchPlan, FetchedBlock, Kind, Message, OptionNumber, ParseError, Retransmission,
    TransmissionParameters, Writer, reject, slice,
};

/// Walks everything that a datagram can reach.
fn exercise(datagram: &[u8]) {
    let message = match Message::parse(datagram) {
        Ok(message) => message,
        Err(error) => return check_rejection(datagram, error),
    };
    assert!(message.kind().may_carry(message.code()));
    assert_eq!(
        rewrite(&message, datagram.len()),
        datagram,
        "an accepted datagram has one encoding"
    );
    read_options(&message);
    feed_state_machines(&message);
}

fn check_rejection(datagram: &[u8], error: ParseError) {
    match reject(datagram) {
        None => {}
        Some(reset) => {
            assert_ne!(error, ParseError::UnknownVersion);
            assert_eq!(
                Message::parse(&reset).expect("a reset is a message").kind(),
                Kind::Reset
            );
            assert_eq!(reset[2..], datagram[2..4]);
        }
    }
}

fn rewrite(message: &Message<'_>, length: usize) -> Vec<u8> {
    let mut buffer = vec![0; length];
    let (kind, code, id) = (message.kind(), message.code(), message.message_id());
    let mut writer = Writer::new(&mut buffer, kind, code, id, message.token()).expect("fits");
    for option in message.options() {
        writer
            .option(option.number, option.value)
            .expect("options come in order and fit");
    }
    writer.payload(message.payload()).expect("fits");
    writer.finish().to_vec()
}

fn read_options(message: &Message<'_>) {
    let numbers: Vec<OptionNumber> = message.options().map(|option| option.number).collect();
    assert!(numbers.is_sorted());
    for number in &numbers {
        assert!(message.option(*number).is_some());
        let _ = message.uint(*number);
    }
    let _ = (
        message.block1(),
        message.accept(),
        message.max_age(),
        message.content_format(),
    );
    assert!(
        message
            .unrecognized_critical(&[])
            .eq(numbers.iter().copied().filter(|number| number.is_critical()))
    );
    assert!(message.unrecognized_critical(&numbers).count() <= numbers.len());
}

fn feed_state_machines(message: &Message<'_>) {
    if let Ok(requested) = message.block2() {
        let total = u32::from(message.message_id().0) << 9;
        if let Ok(slice) = slice(total, requested, BlockSize::B512) {
            assert!(slice.offset + slice.length <= total);
            assert_eq!(slice.value.more, slice.offset + slice.length < total);
        }
    }
    if let Ok(block) = FetchedBlock::of(message) {
        let plan = FetchPlan {
            etag: None,
            total: None,
            offset: 1024,
            size: BlockSize::B64,
        };
        let mut fetch = Block2Fetch::new(plan).expect("within reach");
        let before = fetch.clone();
        match fetch.handle_response(block) {
            Ok(_) => assert!(fetch.offset() >= before.offset()),
            Err(_) => assert_eq!(fetch, before),
        }
    }
    let parameters = TransmissionParameters::DEFAULT;
    let mut exchange = Retransmission::new(&parameters, message.message_id(), message.token(), 0, 0);
    let _ = exchange.handle_message(1, message);
}

/// Numbers from a seed, so that a failure can be repeated: an LCG with its high bits taken.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Random bytes rarely get past the header; bytes that begin right and then go wrong get everywhere.
#[test]
fn seeded_datagrams_end_well() {
    for seed in 0..40_000 {
        let mut numbers = Numbers(seed);
        let length = numbers.below(120);
        let mut datagram: Vec<u8> = (0..length).map(|_| numbers.below(256) as u8).collect();
        if let [first, code, ..] = datagram.as_mut_slice() {
            *first = 0x40 | *first & 0x34;
            *code &= 0x47;
        }
        exercise(&datagram);
        for byte in datagram.iter_mut().skip(8) {
            // Small deltas and lengths, and now and then a payload marker.
            *byte = if numbers.below(20) == 0 {
                0xFF
            } else {
                *byte & 0x73
            };
        }
        exercise(&datagram);
    }
}

/// Every truncation, every single-bit change and every byte set to 0xFF of a message with all that ours have.
#[test]
fn damaged_messages_end_well() {
    let whole: &[u8] =
        b"\x44\x45\x12\x34tokn\x44etag\x71\x2a\x23\x00\x00\x3c\x92\x08\x0e\x52\xe4\x00\xffpayload bytes";
    assert!(Message::parse(whole).is_ok());
    for length in 0..=whole.len() {
        exercise(&whole[..length]);
    }
    for position in 0..whole.len() {
        for change in (0..8).map(|bit| 1 << bit).chain([whole[position] ^ 0xFF]) {
            let mut damaged = whole.to_vec();
            damaged[position] ^= change;
            exercise(&damaged);
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_end_well(datagram in proptest::collection::vec(any::<u8>(), 0..200)) {
        exercise(&datagram);
    }

    #[test]
    fn what_is_written_is_read_back(
        kind in 0..2_u8,
        code in prop_oneof![1..32_u8, 64..192_u8],
        id in any::<u16>(),
        token in proptest::collection::vec(any::<u8>(), 0..=8),
        mut options in proptest::collection::vec(
            (any::<u16>(), proptest::collection::vec(any::<u8>(), 0..300)),
            0..=wire_coap::OPTIONS_MAX,
        ),
        payload in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        options.sort_by_key(|(number, _)| *number);
        let mut buffer = vec![0; 16_384];
        let token = wire_coap::Token::new(&token).expect("at most 8 bytes");
        let id = wire_coap::MessageId(id);
        let (kind, code) = (Kind::from_bits(kind), wire_coap::Code(code));
        let mut writer = Writer::new(&mut buffer, kind, code, id, token).expect("fits");
        for (number, value) in &options {
            writer.option(OptionNumber(*number), value).expect("in order");
        }
        writer.payload(&payload).expect("fits");
        let datagram = writer.finish();
        exercise(datagram);
        let message = Message::parse(datagram).expect("what we write we read");
        let read: Vec<(u16, Vec<u8>)> =
            message.options().map(|option| (option.number.0, option.value.to_vec())).collect();
        prop_assert_eq!(read, options);
        prop_assert_eq!(message.payload(), payload);
        prop_assert_eq!((message.kind(), message.code()), (kind, code));
        prop_assert_eq!((message.message_id(), message.token()), (id, token));
    }
}
