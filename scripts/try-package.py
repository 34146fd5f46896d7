"""Starts the installed gateway in a clean root as systemd would, waits until it says that it is ready, looks, and stops it.

usage: try-package.py ROOT IDLE_RSS_KIB_MAX
"""

import os
import signal
import socket
import subprocess
import sys
import urllib.request

ROOT, IDLE_RSS_KIB_MAX = sys.argv[1], int(sys.argv[2])
NOBODY = 65534
PATIENCE_S = 60


def main():
    supervisor = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    # A path of its own length limit, 107 bytes, seen from inside and from outside.
    os.chdir(ROOT + "/run")
    supervisor.bind("notify")
    os.chmod("notify", 0o666)
    supervisor.settimeout(PATIENCE_S)
    gateway = subprocess.Popen(
        ["chroot", f"--userspec={NOBODY}:{NOBODY}", ROOT, "/usr/bin/deltagate", "serve", "--config", "/run/try.toml"],
        env={"NOTIFY_SOCKET": "/run/notify", "PATH": os.environ["PATH"]},
        stdout=subprocess.DEVNULL,
    )
    try:
        look(supervisor, gateway)
    finally:
        gateway.kill()
        gateway.wait()
        os.unlink("notify")


def look(supervisor, gateway):
    await_word(supervisor, "READY=1")
    with open(ROOT + "/var/lib/deltagate/metrics.addr") as file:
        address = file.read().strip()
    with urllib.request.urlopen(f"http://{address}/readyz", timeout=PATIENCE_S) as page:
        text = page.read().decode()
    assert page.status == 200 and text.endswith("\nready\n"), text
    status = subprocess.run(
        ["chroot", ROOT, "/usr/bin/deltagate", "status"], capture_output=True, text=True, timeout=PATIENCE_S,
        env={"DELTAGATE_SOCKET": "/run/deltagate/admin.sock", "PATH": os.environ["PATH"]},
    )
    assert status.returncode == 0, status
    with open(f"/proc/{gateway.pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    resident_kib = int(fields["VmRSS"].split()[0])
    assert int(fields["CapEff"], 16) == 0, fields["CapEff"]
    print(f"package: ready and idle as an ordinary user: {resident_kib} KiB resident (at most {IDLE_RSS_KIB_MAX})")
    assert resident_kib <= IDLE_RSS_KIB_MAX, resident_kib
    gateway.send_signal(signal.SIGTERM)
    await_word(supervisor, "STOPPING=1")
    code = gateway.wait(timeout=PATIENCE_S)
    assert code == 0, code


def await_word(supervisor, word):
    """Reads what the gateway tells its supervisor until a line is this word."""
    while word not in supervisor.recv(4096).decode().split("\n"):
        pass


main()
