//! RFC 8613 Appendix C, byte by byte: derivations, requests, responses. What lies between (AAD, nonce, plaintext) is compared
//! by what comes of it: the ciphertext has all of it in it.

use serde_json::Value;
use wire_coap::Message;
use wire_oscore::{Context, FreshPartialIv, Id, IdContext, PartialIv, Received, ReplayWindow};

fn vectors() -> Value {
    let text = include_str!("../../../fixtures/oscore/rfc8613-appendix-c.json");
    serde_json::from_str(text).expect("the fixture is JSON")
}

fn bytes(value: &Value) -> Vec<u8> {
    let hex = value.as_str().expect("hexadecimal digits");
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal digits"))
        .collect()
}

fn rows(name: &str) -> Vec<Value> {
    vectors()[name].as_array().expect("a list").clone()
}

fn derive(row: &Value, swapped: bool) -> Context {
    let [sender_id, recipient_id] =
        ["sender_id", "recipient_id"].map(|name| Id::new(&bytes(&row[name])).expect("short"));
    let (own, other) = if swapped {
        (recipient_id, sender_id)
    } else {
        (sender_id, recipient_id)
    };
    let id_context =
        (!row["id_context"].is_null()).then(|| IdContext::new(&bytes(&row["id_context"])).expect("short"));
    let (secret, salt) = (bytes(&row["master_secret"]), bytes(&row["master_salt"]));
    Context::derive(&secret, &salt, id_context, own, other).expect("two ids")
}

/// The context that a message row names, and the other side's.
fn contexts(row: &Value) -> (Context, Context) {
    let derivation = rows("derivations")
        .into_iter()
        .find(|derivation| derivation["section"] == row["derivation"])
        .expect("named by its section");
    let own = derive(&derivation, false);
    let announces = row["announces_id_context"] == true;
    let own = if announces { own.announcing() } else { own };
    (own, derive(&derivation, true))
}

fn fresh(row: &Value) -> Option<FreshPartialIv> {
    let number = row["sender_sequence_number"].as_u64()?;
    PartialIv::new(number).map(FreshPartialIv::dangerous)
}

#[test]
fn contexts_are_derived() {
    let derivations = rows("derivations");
    assert_eq!(derivations.len(), 6);
    for row in derivations {
        let context = derive(&row, false);
        let keys = context.keys();
        assert_eq!(keys.sender_key[..], bytes(&row["sender_key"]), "{row}");
        assert_eq!(keys.recipient_key[..], bytes(&row["recipient_key"]), "{row}");
        assert_eq!(keys.common_iv[..], bytes(&row["common_iv"]), "{row}");
    }
}

#[test]
fn requests_are_protected_and_verified() {
    let requests = rows("requests");
    assert_eq!(requests.len(), 3);
    for row in requests {
        let (client, server) = contexts(&row);
        let plain = bytes(&row["unprotected"]);
        let plain = Message::parse(&plain).expect("a message");
        let mut out = [0; 100];
        let number = fresh(&row).expect("a request has one");
        let (sent, _) = client.protect_request(number, &plain, &mut out).expect("fits");
        assert_eq!(sent, bytes(&row["protected"]), "{row}");

        let mut arrived = sent.to_vec();
        let mut window = ReplayWindow::new();
        let received = server.unprotect_request(&mut window, &mut arrived);
        let Ok(Received::Request { message, .. }) = received else {
            panic!("{row}: {received:?}");
        };
        let text = bytes(&row["plaintext"]);
        assert_eq!(message.code().0, text[0]);
        assert!(message.path_is(&["tv1"]));
        assert_eq!(message.token(), plain.token());
        assert_eq!(message.options().count(), 1, "what is outside is not believed");
    }
}

#[test]
fn responses_are_protected_and_verified() {
    let responses = rows("responses");
    assert_eq!(responses.len(), 2);
    let request = &rows("requests")[0];
    for row in responses {
        let (server, client) = contexts(&row);
        let plain = bytes(&request["unprotected"]);
        let mut out = [0; 100];
        let number = fresh(request).expect("a request has one");
        let (_, mut waiting) = client
            .protect_request(number, &Message::parse(&plain).expect("a message"), &mut out)
            .expect("fits");
        let mut arrived = bytes(&request["protected"]);
        let received = server.unprotect_request(&mut ReplayWindow::new(), &mut arrived);
        let Ok(Received::Request { mut exchange, .. }) = received else {
            panic!("{row}: {received:?}");
        };
        let plain = bytes(&row["unprotected"]);
        let plain = Message::parse(&plain).expect("a message");
        let sent = server
            .protect_response(&mut exchange, fresh(&row), &plain, &mut out)
            .expect("fits");
        assert_eq!(sent, bytes(&row["protected"]), "{row}");

        let mut arrived = sent.to_vec();
        let message = client
            .unprotect_response(&mut waiting, &mut arrived)
            .expect("authentic");
        assert_eq!(
            (message.code(), message.payload()),
            (plain.code(), plain.payload())
        );
    }
}
