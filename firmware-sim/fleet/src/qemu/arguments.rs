//! The command lines of QEMU, one for each kind of board.

use super::MachineConfig;
use crate::board::Board;

impl MachineConfig {
    /// What QEMU has to be told.
    pub(super) fn arguments(&self, takes_writes: bool) -> Vec<String> {
        let mut arguments: Vec<String> = [
            "-nodefaults",
            "-display",
            "none",
            "-monitor",
            "none",
            // What the device says goes to the log and to whoever has called.
            "-chardev",
            &format!(
                "socket,id=serial,path={},server=on,wait=off,logfile=/dev/stdout,logappend=on",
                self.serial_socket.display()
            ),
            "-serial",
            "chardev:serial",
        ]
        .map(str::to_owned)
        .to_vec();
        let (own, remote) = &self.network;
        arguments.extend([
            "-netdev".into(),
            format!(
                "dgram,id=n0,local.type=unix,local.path={},remote.type=unix,remote.path={}",
                own.display(),
                remote.display()
            ),
        ]);
        arguments.extend(match self.board {
            Board::Mps2An385 | Board::Mps2An386 | Board::SingleSlot => self.mps2(),
            Board::Virt => self.virt(takes_writes),
        });
        arguments
    }

    /// The PSRAM is backed by the flash file; the boot ROM is reloaded from the ELF file at each reset.
    fn mps2(&self) -> Vec<String> {
        vec![
            "-object".into(),
            format!(
                "memory-backend-file,id=mem,size=16M,mem-path={},share=on",
                self.flash.display()
            ),
            "-machine".into(),
            format!("{},memory-backend=mem", self.board),
            "-semihosting-config".into(),
            "enable=on,target=native".into(),
            "-net".into(),
            format!("nic,netdev=n0,model=lan9118,macaddr={}", self.mac),
            "-kernel".into(),
            self.bootloader.display().to_string(),
        ]
    }

    /// Two banks of flash, the first read only. The RAM is more than the firmware uses, because QEMU puts its description
    /// of the machine at the end of it.
    fn virt(&self, takes_writes: bool) -> Vec<String> {
        let read_only = if takes_writes { "off" } else { "on" };
        vec![
            "-machine".into(),
            "virt".into(),
            "-m".into(),
            "32M".into(),
            "-bios".into(),
            "none".into(),
            "-drive".into(),
            format!(
                "if=pflash,unit=0,format=raw,readonly=on,file={}",
                self.bootloader.display()
            ),
            "-drive".into(),
            format!(
                "if=pflash,unit=1,format=raw,readonly={read_only},file={}",
                self.flash.display()
            ),
            "-global".into(),
            "virtio-mmio.force-legacy=false".into(),
            "-device".into(),
            format!(
                "virtio-net-device,netdev=n0,mac={},bus=virtio-mmio-bus.0",
                self.mac
            ),
            "-device".into(),
            "i6300esb,addr=1".into(),
        ]
    }
}
