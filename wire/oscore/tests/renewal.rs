//! The exchange of Appendix B.2, and what does not pass for it.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use support::{content, fresh, get};
use wire_coap::{BlockSize, BlockValue, Code, Message, MessageId, OptionNumber};
use wire_oscore::renewal::{ClientRenewal, Inputs, Random, RenewalError, ServerRenewal};
use wire_oscore::{
    ClientExchange, Context, Id, IdContext, OscoreOption, Received, ReplayWindow, SameIds, UnprotectError,
};

const BLOCK: BlockValue = BlockValue::first(BlockSize::B64);

fn inputs(own: &[u8], other: &[u8]) -> Inputs<'static> {
    Inputs {
        master_secret: b"a secret of 16 B",
        master_salt: b"salt",
        sender_id: Id::new(own).unwrap(),
        recipient_id: Id::new(other).unwrap(),
    }
}

fn client() -> Inputs<'static> {
    inputs(b"d", b"g")
}

fn server() -> Inputs<'static> {
    inputs(b"g", b"d")
}

fn derive(id_context: IdContext) -> Result<Context, SameIds> {
    client().derive(id_context)
}

fn random(byte: u8) -> Random {
    Random([byte; 8])
}

fn kid_context(datagram: &[u8]) -> Option<Vec<u8>> {
    let message = Message::parse(datagram).unwrap();
    let option = OscoreOption::parse(message.option(OptionNumber::OSCORE).unwrap()).unwrap();
    option.kid_context.map(<[u8]>::to_vec)
}

fn ask(context: &Context, number: u64) -> (Vec<u8>, ClientExchange) {
    let (plain, mut out) = (get(1, BLOCK), [0; 200]);
    let plain = Message::parse(&plain).unwrap();
    let (sent, exchange) = context.protect_request(fresh(number), &plain, &mut out).unwrap();
    (sent.to_vec(), exchange)
}

/// An exchange up to response 1.
struct Begun {
    renewal: ClientRenewal,
    waiting: ClientExchange,
    request: Vec<u8>,
    pending: ServerRenewal,
    response: Vec<u8>,
}

fn begun() -> Begun {
    let renewal = ClientRenewal::new(random(1));
    let (request, waiting) = ask(&renewal.context(&mut derive).unwrap(), 0);
    let (pending, response) = answered(&request, random(2)).unwrap();
    Begun {
        renewal,
        waiting,
        request,
        pending,
        response,
    }
}

fn answered(request: &[u8], r2: Random) -> Result<(ServerRenewal, Vec<u8>), RenewalError> {
    let mut out = [0; 200];
    let pending = ServerRenewal::new(r2);
    let sent = pending.answer(&server(), &mut request.to_vec(), MessageId(7), &mut out)?;
    Ok((pending, sent.to_vec()))
}

#[test]
fn both_sides_end_with_the_same_new_keys() {
    let mut begun = begun();
    let named = kid_context(&begun.request).unwrap();
    assert_eq!(named, [&[0x48][..], &[1; 8]].concat());
    assert!(ServerRenewal::is_asked(&named));
    assert_eq!(
        kid_context(&begun.response).unwrap(),
        [&[0x48][..], &[2; 8]].concat()
    );

    let arrived = &mut begun.response;
    let keys = begun
        .renewal
        .handle_response(&mut derive, &mut begun.waiting, arrived, random(3))
        .unwrap();
    let (mut second, mut waiting) = ask(&keys, 0);
    let named = kid_context(&second).unwrap();
    assert_eq!(named, [&[0x50][..], &[2; 8], &[3; 8]].concat());
    assert!(!ServerRenewal::is_asked(&named));

    let theirs = begun.pending.keys(&server(), &named).unwrap().unwrap();
    assert_eq!(theirs.keys().sender_key, keys.keys().recipient_key);
    let mut window = ReplayWindow::new();
    let Ok(Received::Request { mut exchange, .. }) = theirs.unprotect_request(&mut window, &mut second)
    else {
        panic!("request 2 is authentic");
    };
    let (plain, mut out) = (content(1, BLOCK, 64), [0; 200]);
    let plain = Message::parse(&plain).unwrap();
    let answer = theirs
        .protect_response(&mut exchange, None, &plain, &mut out)
        .unwrap();
    assert_eq!(kid_context(answer), None);
    let mut arrived = answer.to_vec();
    let heard = keys.unprotect_response(&mut waiting, &mut arrived).unwrap();
    assert_eq!(heard.code(), Code::CONTENT);

    // Named once, the context need not be named again.
    let (third, _) = ask(&keys.silent(), 1);
    assert_eq!(kid_context(&third), None);
    assert!(theirs.unprotect_request(&mut window, &mut third.clone()).is_ok());
    assert!(theirs.unprotect_request(&mut window, &mut third.clone()).is_err());
}

/// Whoever replays request 1 gets an answer under keys that nobody will use, and cannot make request 2 of it.
#[test]
fn a_replay_of_request_1_leads_nowhere() {
    let begun = begun();
    let (again, answer) = answered(&begun.request, random(9)).unwrap();
    assert_ne!(again, begun.pending);
    let named = [&[0x50][..], &[9; 8], &[3; 8]].concat();
    let keys = again.keys(&server(), &named).unwrap().unwrap();
    for mut replayed in [begun.request, begun.response, answer] {
        let refused = keys.unprotect_request(&mut ReplayWindow::new(), &mut replayed);
        assert!(refused.is_err());
    }
}

/// One R2 for all of them: the same request gets the same bytes, and the true one goes on.
#[test]
fn a_replay_of_request_1_takes_nothing_from_the_true_one() {
    let mut begun = begun();
    let answer = |request: &[u8]| answered(request, random(2)).unwrap().1;
    assert_eq!(answer(&begun.request), begun.response);
    let other = ClientRenewal::new(random(7)).context(&mut derive).unwrap();
    let (other, _) = ask(&other, 0);
    assert_ne!(answer(&other), begun.response);
    let renewal = begun.renewal;
    let heard = renewal.handle_response(&mut derive, &mut begun.waiting, &mut begun.response, random(3));
    let (second, _) = ask(&heard.unwrap(), 0);
    let keys = begun.pending.keys(&server(), &kid_context(&second).unwrap());
    let mut window = ReplayWindow::new();
    let keys = keys.unwrap().unwrap();
    assert!(keys.unprotect_request(&mut window, &mut second.clone()).is_ok());
}

#[test]
fn request_2_needs_the_servers_own_random() {
    let pending = begun().pending;
    for kid_context in [
        [&[0x50][..], &[4; 8], &[3; 8]].concat(),
        [&[0x4f][..], &[2; 8], &[3; 7]].concat(),
        [&[0x48][..], &[2; 8]].concat(),
        vec![2; 16],
        vec![],
    ] {
        let keys = pending.keys(&server(), &kid_context).unwrap();
        assert!(keys.is_none(), "{kid_context:02x?}");
    }
}

/// Every byte of both messages behind the token.
#[test]
fn what_is_altered_is_refused_and_the_true_one_still_taken() {
    let begun = begun();
    for position in 8..begun.request.len() {
        let mut altered = begun.request.clone();
        altered[position] ^= 0x04;
        let refused = answered(&altered, random(2));
        assert!(
            matches!(refused, Err(RenewalError::Request(_))),
            "byte {position}"
        );
    }
    for position in 8..begun.response.len() {
        let (mut altered, mut after) = (begun.response.clone(), begun.waiting.clone());
        altered[position] ^= 0x04;
        let mut hear = |datagram: &mut Vec<u8>| {
            begun
                .renewal
                .handle_response(&mut derive, &mut after, datagram, random(3))
        };
        assert!(hear(&mut altered).is_err(), "byte {position}");
        assert!(hear(&mut begun.response.clone()).is_ok());
        assert!(hear(&mut begun.response.clone()).is_err(), "once");
    }
}

/// Elsewhere a response has no kid context, and here it has one.
#[test]
fn response_1_is_no_response_of_other_exchanges() {
    let mut begun = begun();
    let context = begun.renewal.context(&mut derive).unwrap();
    let refused = context.unprotect_response(&mut begun.waiting, &mut begun.response);
    assert_eq!(refused.map(|_| ()), Err(UnprotectError::Malformed));
    let mut plain = content(1, BLOCK, 16);
    let refused = begun
        .renewal
        .handle_response(&mut derive, &mut begun.waiting, &mut plain, random(3));
    assert_eq!(refused.map(|_| ()), Err(UnprotectError::NotProtected));
}
