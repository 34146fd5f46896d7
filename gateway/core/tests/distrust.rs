//! A publisher's key that is not trusted any more.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::*;
use gateway_core::{CoreConfig, Stage, UpdateState};
use std::collections::BTreeSet;
use wire_coap::Code;

/// The key of every image in these tests.
const KEY: [u8; 8] = [7; 8];

fn trusting(keys: &[[u8; 8]]) -> CoreConfig {
    CoreConfig {
        trusted_keys: Some(BTreeSet::from_iter(keys.iter().copied())),
        ..open()
    }
}

fn restart_trusting(shell: &mut Shell, keys: &[[u8; 8]]) {
    shell.config = trusting(keys);
    shell.restart();
    shell.gateway.handle_start(shell.now());
    shell.drain();
}

#[test]
fn what_a_revoked_key_signed_is_withdrawn_and_offered_to_nobody() {
    let mut shell = Shell::ready(trusting(&[KEY]));
    let path = shell.check_in(1, 2, &check_in(1, 1)).job.unwrap().path;
    restart_trusting(&mut shell, &[[8; 8]]);
    assert_eq!(
        code(&shell.ask(peer(1), &get(3, &[path.as_str()], None))),
        Code::NOT_FOUND
    );
    assert_eq!(shell.update(1, 2).unwrap().0, UpdateState::Released);
    assert_eq!(shell.check_in(1, 4, &check_in(1, 1)).job, None);
    assert_eq!(shell.gateway.updates()[0].stage, Stage::Blocked);
    let view = shell.gateway.device(id(1)).unwrap();
    let last = view.chain.last().unwrap();
    assert!(
        last.contains("0707070707070707") && last.contains("not trusted here any more"),
        "{last}"
    );
    let step = view.next_step.unwrap();
    assert!(step.why.contains("`trust` in gateway.toml"));
    let [need] = &shell.gateway.needs(shell.now())[..] else {
        panic!("one device needs a person");
    };
    assert_eq!((&need.why, &need.step), (last, &step));

    restart_trusting(&mut shell, &[[8; 8], KEY]);
    assert!(shell.check_in(1, 5, &check_in(1, 1)).job.is_some());
}

#[test]
fn a_device_may_go_on_running_what_a_revoked_key_signed() {
    let mut shell = Shell::ready(trusting(&[KEY]));
    restart_trusting(&mut shell, &[]);
    assert_eq!(shell.check_in(1, 3, &check_in(1, 2)).job, None);
    assert_eq!(shell.gateway.updates()[0].stage, Stage::UpToDate);
}
