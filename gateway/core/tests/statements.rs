//! "Latest is N": kept, passed on to who asks, and held against what is here.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::{CLASS, Shell, VENDOR, check_in, digest, id, image, peer};
use gateway_core::{Command, Refusal, Reply, StatementRecord, WRITTEN_UNIX_S};
use wire_checkin::{Answer, CheckIn, Freshness};
use wire_coap::Message;
use wire_manifest::{Latest, SignedLatest};

/// The key of the images of these tests.
const KEY: [u8; 8] = [7; 8];

fn statement(number: u32, sequence: u32) -> StatementRecord {
    StatementRecord {
        vendor: VENDOR,
        class: CLASS,
        signed: SignedLatest {
            latest: Latest {
                number,
                sequence,
                issued_s: WRITTEN_UNIX_S as u32,
                valid_s: 14 * 86_400,
            },
            signature: [number as u8; 64],
        },
        key_id: KEY,
        imported_unix_s: 1,
    }
}

fn import(shell: &mut Shell, statement: StatementRecord) -> Result<Reply, Refusal> {
    shell.command(Command::ImportStatement(statement))
}

fn knowing(number: u32) -> CheckIn {
    CheckIn {
        freshness: Some(Freshness {
            number,
            is_stale: false,
            is_behind: false,
        }),
        ..check_in(1, 1)
    }
}

/// The number of the statement that a check-in is answered with, and the length of the answer's body.
fn told(shell: &mut Shell, message: u16, said: &CheckIn) -> (Option<u32>, usize) {
    let reply = shell.ask(peer(1), &common::post(message, said));
    let body = Message::parse(&reply).unwrap().payload().to_vec();
    let answer = Answer::decode(&body).unwrap();
    let read = |bytes| SignedLatest::decode(bytes).unwrap().latest.number;
    (answer.statement.map(read), body.len())
}

fn site() -> Shell {
    let mut shell = Shell::new(common::open());
    shell.command(Command::ClaimDevice(id(1))).unwrap();
    shell
}

#[test]
fn a_statement_goes_to_who_asks_and_names_an_older_one() {
    let mut shell = site();
    assert_eq!(told(&mut shell, 1, &knowing(0)).0, None);
    let (_, without) = told(&mut shell, 2, &check_in(1, 1));
    import(&mut shell, statement(3, 1)).unwrap();
    assert_eq!(
        told(&mut shell, 3, &check_in(1, 1)),
        (None, without),
        "nobody asked"
    );
    assert_eq!(told(&mut shell, 4, &knowing(0)), (Some(3), without + 83));
    assert_eq!(told(&mut shell, 5, &knowing(2)), (Some(3), without + 83));
    assert_eq!(told(&mut shell, 6, &knowing(3)), (None, without));
    assert_eq!(told(&mut shell, 7, &knowing(4)), (None, without));
    let small = CheckIn {
        block_szx_max: 2,
        ..knowing(0)
    };
    assert_eq!(
        told(&mut shell, 8, &small),
        (None, without),
        "64 bytes do not hold it"
    );
}

#[test]
fn a_stranger_and_another_class_get_none() {
    let mut shell = site();
    import(&mut shell, statement(3, 1)).unwrap();
    let stranger = CheckIn {
        device_id: id(2),
        ..knowing(0)
    };
    assert_eq!(told(&mut shell, 1, &stranger).0, None);
    let other = CheckIn {
        vendor_id: [9; 16],
        ..knowing(0)
    };
    assert_eq!(told(&mut shell, 2, &other).0, None);
}

#[test]
fn an_old_statement_or_another_of_the_same_number_is_refused() {
    let mut shell = site();
    assert_eq!(import(&mut shell, statement(3, 7)), Ok(Reply::Done));
    assert_eq!(import(&mut shell, statement(3, 7)), Ok(Reply::Unchanged));
    for old in [statement(2, 7), statement(3, 8)] {
        let refused = import(&mut shell, old).unwrap_err();
        assert!(matches!(refused, Refusal::StatementNotNewer { known: 3, .. }));
    }
    assert_eq!(told(&mut shell, 1, &knowing(0)).0, Some(3));
    assert_eq!(
        import(&mut shell, statement(4, 6)),
        Ok(Reply::Done),
        "called back"
    );
}

#[test]
fn a_statement_from_the_future_is_refused_while_the_clock_tells() {
    let mut shell = site();
    let mut ahead = statement(3, 7);
    ahead.signed.latest.issued_s += 30 * 86_400;
    let refused = import(&mut shell, ahead).unwrap_err();
    assert!(matches!(refused, Refusal::StatementAhead { .. }), "{refused}");
    assert_eq!(told(&mut shell, 1, &knowing(0)).0, None);
}

#[test]
fn what_a_key_stated_that_is_not_trusted_any_more_goes_to_nobody() {
    let mut shell = site();
    import(&mut shell, statement(3, 7)).unwrap();
    shell.config.trusted_keys = Some([[8; 8]].into());
    shell.restart();
    assert_eq!(told(&mut shell, 1, &knowing(0)).0, None);
    let by_another = StatementRecord {
        key_id: [8; 8],
        ..statement(1, 7)
    };
    assert_eq!(
        import(&mut shell, by_another),
        Ok(Reply::Done),
        "a new key may begin anew"
    );
    assert_eq!(told(&mut shell, 2, &knowing(0)).0, Some(1));
}

#[test]
fn the_operator_is_told_what_is_missing_what_is_old_and_what_devices_say() {
    let mut shell = site();
    import(&mut shell, statement(3, 2)).unwrap();
    let view = |shell: &Shell, later_s: u64| {
        let mut now = shell.now();
        now.unix_s += later_s;
        shell.gateway.statements(now)[0]
    };
    let bare = view(&shell, 0);
    assert!(bare.is_behind() && bare.held.is_none() && bare.is_old == Some(false));
    shell.command(Command::ImportImage(image(1))).unwrap();
    assert_eq!(
        (view(&shell, 0).held, view(&shell, 0).is_behind()),
        (Some(1), true)
    );
    shell.command(Command::ImportImage(image(2))).unwrap();
    assert!(!view(&shell, 0).is_behind());
    assert_eq!(view(&shell, 14 * 86_400 + 3_600).is_old, Some(true));

    let said = CheckIn {
        freshness: Some(Freshness {
            number: 2,
            is_stale: true,
            is_behind: true,
        }),
        ..check_in(1, 1)
    };
    shell.ask(peer(1), &common::post(1, &said));
    let heard = view(&shell, 0);
    assert_eq!((heard.stale_devices, heard.behind_devices), (1, 1));
    let chain = shell.gateway.device(id(1)).unwrap().chain.join("\n");
    assert!(chain.contains("statement 2, is too old"), "{chain}");
    assert!(
        chain.contains("by statement 2 there is a newer release"),
        "{chain}"
    );
    shell.ask(peer(1), &common::post(2, &check_in(1, 1)));
    assert_eq!(view(&shell, 0).stale_devices, 0);
    assert!(shell.gateway.image(digest(2)).is_some());
}
