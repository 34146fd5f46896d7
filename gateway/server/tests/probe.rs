//! `deltagate probe`, through `coap-lite`, against the real gateway, against one behind a bad link, and against what is none.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use std::net::{SocketAddr, UdpSocket};

use support::device::Device;
use support::{CLASS, Ran, Site, VENDOR, firmware};
use wire_coap::{Code, Kind, Message, Writer, reset};

/// Ends by itself when the process does.
fn serve(mut answer: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2_048];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            if let Some(reply) = answer(&buffer[..length]) {
                socket.send_to(&reply, peer).unwrap();
            }
        }
    });
    address
}

/// Steps that succeeded, and what ended it.
fn steps(ran: &Ran) -> (Vec<&str>, &str) {
    let step = |line: &'_ str| line.split_once(" ok: ").is_some();
    assert!(ran.stdout.lines().all(step), "{ran:?}");
    let names = ran
        .stdout
        .lines()
        .map(|line| line.split_whitespace().next().unwrap());
    (names.collect(), ran.stderr.lines().next().unwrap_or(""))
}

#[test]
fn a_stranger_is_told_that_its_class_is_unknown_and_is_not_listed() {
    let site = Site::started();
    let ran = site.run(&format!("probe {}", site.address()));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let (done, ended) = steps(&ran);
    assert_eq!(done, ["name", "UDP", "CoAP"]);
    assert!(
        ended.starts_with("error: check-in refused: unknown class 00000000-0000-0000-0000-000000000000"),
        "{ran:?}"
    );
    assert!(
        ran.stderr
            .contains("\nhint: name the class of an imported image: "),
        "{ran:?}"
    );
    assert!(site.json("device list")["devices"].as_array().unwrap().is_empty());
}

#[test]
fn each_thing_that_an_operator_must_do_first_is_named_with_its_command() {
    let site = Site::started();
    let (v1, v2) = (firmware(1, 20_000), firmware(2, 20_000));
    let old = site.import("v1", &v1, 1);
    let new = site.import("v2", &v2, 2);
    let probe = format!(
        "probe {} --vendor {VENDOR} --class {CLASS} --device 5254000000aa --running {} --sequence 1",
        site.address(),
        &old[..16]
    );
    let ran = site.run(&probe);
    assert_eq!(
        steps(&ran).1,
        "error: check-in refused: device 5254000000aa is not claimed"
    );
    assert!(ran.stderr.contains("deltagate device claim ID"), "{ran:?}");

    site.done("device claim 5254000000aa");
    let shown = site.done(&probe);
    assert!(
        shown.contains("check-in  ok: nothing is assigned to it, its groups or its class"),
        "{shown}"
    );
    site.done(&format!("update assign {} --device 5254000000aa", &new[..16]));
    let shown = site.done(&probe);
    assert!(
        shown.contains("its delta is not built yet; nothing was recorded"),
        "{shown}"
    );
    // Asking changed nothing: the device was never heard.
    assert_eq!(site.json("device list")["devices"][0]["last_seen_unix_s"], 0);

    let shown = site.done(&format!("{probe} --record"));
    assert!(
        shown.contains("check-in  ok: recorded, and told nothing but to come again in 10 s"),
        "{shown}"
    );
    site.wait_until_built();
    let shown = site.done(&probe);
    assert!(shown.contains("check-in  ok: of what it can take, "), "{shown}");
    assert!(site.json("update status")["updates"][0]["transfer"].is_null());
    let shown = site.done(&format!("{probe} --record"));
    assert!(
        shown.contains("check-in  ok: recorded, and told to fetch /"),
        "{shown}"
    );

    let mut device = Device::running(0xaa, &v1, 1);
    device.report(site.address(), 2, wire_checkin::Outcome::RevertedFault);
    let ran = site.run(&probe);
    assert!(
        steps(&ran)
            .1
            .starts_with("error: check-in refused: the device reported \"reverted: fault\""),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("hint: on the gateway: deltagate why ID"),
        "{ran:?}"
    );
}

/// 80,000 bytes in blocks of 16: block numbers beyond 4,095, which `coap-lite`'s own block option cannot hold.
#[test]
fn an_image_is_fetched_in_any_block_size_and_compared() {
    let site = Site::started();
    let digest = site.import("v1", &firmware(1, 80_000), 1);
    site.done("device claim 70726f6265");
    let probe = format!("probe {} --vendor {VENDOR} --class {CLASS}", site.address());
    for (size, blocks) in [(1_024, 79), (16, 5_000)] {
        let shown = site.json(&format!("{probe} --image {digest} --block-size {size}"));
        let image = &shown["image"];
        assert_eq!(image["digest"], digest.as_str());
        assert_eq!(
            (&image["size_bytes"], &image["blocks"], &image["block_bytes"]),
            (&80_000.into(), &blocks.into(), &size.into())
        );
        let named: Vec<_> = shown["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| &step["step"])
            .collect();
        assert_eq!(named, ["name", "UDP", "CoAP", "check-in", "image"]);
    }
    let ran = site.run(&format!("{probe} --image 0011223344556677"));
    assert_eq!(
        steps(&ran).1,
        "error: image: 0011223344556677 is not on this gateway"
    );
    assert!(
        ran.stderr.contains("hint: on the gateway: deltagate image list"),
        "{ran:?}"
    );
    // The right image by the path, and another by the rest of the digest.
    let wrong = format!("{}{}", &digest[..16], "00000000");
    let ran = site.run(&format!("{probe} --image {wrong}"));
    assert_eq!(
        steps(&ran).1,
        format!("error: image: what came has digest {digest}")
    );
}

#[test]
fn what_a_bad_link_loses_is_sent_again_and_counted() {
    let site = Site::started();
    let digest = site.import("v1", &firmware(1, 30_000), 1);
    site.done("device claim 70726f6265");
    let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
    upstream.connect(site.address()).unwrap();
    let mut count = 0;
    // Every third datagram is lost, and every fifth answer.
    let link = serve(move |datagram| {
        count += 1;
        if count % 3 == 0 {
            return None;
        }
        upstream.send(datagram).unwrap();
        let mut buffer = [0; 2_048];
        let length = upstream.recv(&mut buffer).unwrap();
        (count % 5 != 0).then(|| buffer[..length].to_vec())
    });
    let shown = site.json(&format!(
        "probe {link} --vendor {VENDOR} --class {CLASS} --image {digest} --block-size 512 --ack-timeout 20"
    ));
    assert_eq!(shown["image"]["digest"], digest.as_str());
    assert!(shown["image"]["repeated"].as_u64().unwrap() >= 20, "{shown}");
}

#[test]
fn what_is_no_gateway_is_told_apart() {
    let site = Site::new();
    let probe = |address: SocketAddr| site.run(&format!("probe {address} --ack-timeout 10"));

    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = probe(closed);
    assert_eq!(
        steps(&ran),
        (
            vec!["name"],
            "error: UDP: nobody listens on that port, says the host"
        )
    );
    assert_eq!(ran.code, Some(1));

    let ran = probe(serve(|_| None));
    let (done, ended) = steps(&ran);
    assert_eq!(done, ["name"]);
    assert!(
        ended.starts_with("error: UDP: no answer to 4 datagrams within 0."),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("\nhint: on the gateway: deltagate doctor; "),
        "{ran:?}"
    );

    let ran = probe(serve(|_| Some(b"220 mail.example.com ESMTP".to_vec())));
    assert_eq!(steps(&ran).1, "error: UDP: what answers does not speak CoAP");

    let ran = probe(serve(|datagram| {
        let message = Message::parse(datagram).unwrap();
        if !message.code().is_request() {
            return Some(reset(message.message_id()).to_vec());
        }
        let mut buffer = [0; 64];
        let (id, token) = (message.message_id(), message.token());
        let reply = Writer::new(&mut buffer, Kind::Acknowledgement, Code::NOT_FOUND, id, token).unwrap();
        Some(reply.finish().to_vec())
    }));
    assert_eq!(
        steps(&ran),
        (
            vec!["name", "UDP"],
            "error: CoAP: a CoAP server answers, and it is no deltagate gateway"
        )
    );

    let ran = site.run("probe no-such-host.invalid");
    assert!(
        steps(&ran)
            .1
            .starts_with("error: name: no-such-host.invalid has no address"),
        "{ran:?}"
    );
    let ran = site.run(&format!("probe {closed} --class thermometer"));
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
fn a_pause_is_said_at_once_instead_of_waited_for() {
    let site = Site::started();
    let image = site.import("v1", &firmware(1, 5_000), 1);
    site.done("device claim 5254000000aa");
    site.done("update pause");
    let probe = format!(
        "probe {} --vendor {VENDOR} --class {CLASS} --device 5254000000aa --image {}",
        site.address(),
        &image[..16]
    );
    let ran = site.run(&probe);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "error: image: the gateway puts block 0 off for 300 s: updates are paused there, or its link is full\n\
         hint: on the gateway: deltagate status; deltagate update resume ends a pause\n"
    );
    site.done("update resume");
    assert!(
        site.done(&probe)
            .contains("image     ok: 5000 bytes are the image")
    );
}

/// A gateway of an older version must not list a device because somebody probed it.
#[test]
fn a_gateway_without_dry_check_ins_is_not_checked_in_to() {
    let site = Site::started();
    let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
    upstream.connect(site.address()).unwrap();
    let old = serve(move |datagram| {
        let message = Message::parse(datagram).unwrap();
        if message.code() == Code::POST {
            let path: Vec<_> = message.uri_path().collect();
            assert_eq!(path, [b"c".as_slice(), b"dry"]);
            let mut buffer = [0; 64];
            let (id, token) = (message.message_id(), message.token());
            let reply = Writer::new(&mut buffer, Kind::Acknowledgement, Code::NOT_FOUND, id, token).unwrap();
            return Some(reply.finish().to_vec());
        }
        upstream.send(datagram).unwrap();
        let mut buffer = [0; 2_048];
        let length = upstream.recv(&mut buffer).unwrap();
        Some(buffer[..length].to_vec())
    });
    let ran = site.run(&format!("probe {old}"));
    assert_eq!(
        steps(&ran).1,
        "error: check-in: this gateway knows no dry check-ins"
    );
    assert!(
        ran.stderr.contains("hint: --record checks in for real"),
        "{ran:?}"
    );
}
