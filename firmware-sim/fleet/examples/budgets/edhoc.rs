//! The agent with a key of its own and no credentials: it makes message_1, hears message_2, and is answered under the keys that follow,
//! which it stores. The other end of the cable is the gateway's core.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use deltagate_flash::{OwnKey, credentials_behind};
use fleet::bridge::DeviceNumber;
use fleet::firmware::Firmware;
use fleet::lines::Lines;
use fleet::sim::{GatewaySide, Publisher};
use gateway_core::{Command, CoreConfig, Enrolment, IdentityCommand};
use wire_checkin::DeviceId;
use wire_edhoc::PrivateKey;

use crate::{BOARD, TELLING, device, image, numbers, shipped};

/// Destination and source address, and type; datagrams lie right behind.
const HEADER_BYTES: usize = 14;
const DEVICE: DeviceNumber = DeviceNumber(1);
/// For what takes a second.
const PATIENCE: Duration = Duration::from_secs(120);

/// Prints its stack and its state.
pub(crate) fn print() -> Result<(), Box<dyn Error>> {
    let firmware = Firmware::of_checkout(BOARD);
    let shipped = shipped(&Publisher::new(1), image(&firmware, "bare-edhoc.bin")?)?;
    let [devices, gateways] = [1, 2].map(|seed| PrivateKey::of_seed(&[seed; 32]));
    let (devices, gateways) = (devices?, gateways?);
    let key = OwnKey {
        private: *devices.expose(),
        gateway: *gateways.public().as_bytes(),
    };
    let credentials = credentials_behind(&BOARD.layout());
    let mut bytes = shipped.bytes().to_vec();
    bytes.resize((credentials.offset + credentials.bytes) as usize, 0xFF);
    bytes.extend_from_slice(&key.encode());
    let [.., stack, state] = established(&firmware.bootloader(BOARD)?, &bytes, gateway(&devices, gateways)?)?;
    println!("agent_edhoc_stack_bytes {stack}");
    println!("agent_edhoc_state_bytes {state}");
    Ok(())
}

/// A gateway that knows this device by its public key, and nobody else.
fn gateway(device: &PrivateKey, own: PrivateKey) -> Result<GatewaySide, Box<dyn Error>> {
    let mut gateway = GatewaySide::new(CoreConfig::default());
    gateway.hold_key(own);
    let enrolment = Enrolment {
        device: DeviceId::new(&DEVICE.mac()).ok_or("six bytes are a device id")?,
        credentials: None,
        psk: None,
        public_key: Some(*device.public()),
        names: Vec::new(),
        label: None,
        group: None,
    };
    gateway
        .command(0, Command::Identity(IdentityCommand::Enrol(enrolment)))
        .map_err(|refusal| format!("enrolling the device: {refusal:?}"))?;
    Ok(gateway)
}

/// What the bare agent says when it has established its keys.
fn established(bootloader: &Path, flash: &[u8], gateway: GatewaySide) -> Result<[u64; 4], Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let [own, remote] = ["q", "b"].map(|name| folder.path().join(name));
    let cable = UnixDatagram::bind(&remote)?;
    let mut qemu = device(bootloader, flash, folder.path())?
        .args(["-monitor", "none", "-netdev"])
        .arg(format!(
            "dgram,id=n0,local.type=unix,local.path={},remote.type=unix,remote.path={}",
            own.display(),
            remote.display()
        ))
        .arg("-net")
        .arg(format!(
            "nic,netdev=n0,model=lan9118,macaddr={}",
            DEVICE.mac_text()
        ))
        .spawn()?;
    let output = qemu.stdout.take().ok_or("QEMU has no output")?;
    let said = Lines::open(&folder.path().join("uart.log"))?;
    let log = said.clone();
    std::thread::spawn(move || log.read_all(output));
    // It ends with this program.
    std::thread::spawn(move || serve(gateway, &cable, &own));
    let mut told = 0;
    let line = said.wait_for(0, PATIENCE, |line| {
        told += usize::from(line.starts_with(TELLING));
        told == 2
    });
    qemu.kill()?;
    qemu.wait()?;
    let (_, line) = line.ok_or_else(|| {
        let said = said.lines_from(0);
        format!("the device did not establish its keys; it said {said:?}")
    })?;
    numbers(&line)
}

/// Answers what the device sends.
fn serve(mut gateway: GatewaySide, cable: &UnixDatagram, device: &Path) -> std::io::Result<()> {
    let (start, peer) = (Instant::now(), SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    let mut frame = [0; 2_048];
    loop {
        let length = cable.recv(&mut frame)?;
        let now_us = start.elapsed().as_micros() as u64;
        if let Some(datagram) = frame.get(HEADER_BYTES..length) {
            gateway.receive(now_us, peer, datagram);
        }
        for answer in gateway.drain().map_err(std::io::Error::other)? {
            let header = [&DEVICE.mac()[..], &[0; HEADER_BYTES - 6]].concat();
            cable.send_to(&[header, answer.bytes].concat(), device)?;
        }
    }
}
