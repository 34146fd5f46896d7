//! Who asks: the user at the other end of the socket, as the kernel vouches for it (unix(7), `SO_PEERCRED`), and the one
//! who logged in to become it. What the caller says of itself, `SUDO_UID` in its environment for one, is not asked for:
//! whoever may be root may write anything there.

use tokio::net::UnixStream;

/// A caller's name for the audit trail: `alice (uid 1000)`, or with `sudo` `alice (uid 1000) as root (uid 0)`.
pub(super) fn caller(stream: &UnixStream) -> String {
    match stream.peer_cred() {
        Ok(peer) => {
            let passwd = std::fs::read_to_string(PASSWD).ok();
            let login = peer.pid().and_then(login_uid);
            named(peer.uid(), login, passwd.as_deref())
        }
        // The connection was let in, so this is a race with its end.
        Err(_) => "somebody who went away".to_owned(),
    }
}

/// Who logged in and started this process, through whatever `sudo` and `su` in between: the kernel hands it down from the
/// login on and lets only a privileged process set it (proc(5), `loginuid`). `None` when nobody did, as with a timer, or
/// when the system keeps no such record. A caller that ends at once may leave its number to another process: it is read as
/// soon as the connection is there, while the caller waits for its answer.
fn login_uid(pid: i32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/loginuid")).ok()?;
    text.trim().parse().ok().filter(|uid| *uid != NOBODY_LOGGED_IN)
}

fn named(uid: u32, login: Option<u32>, passwd: Option<&str>) -> String {
    match login.filter(|login| *login != uid) {
        Some(login) => format!("{} as {}", user(login, passwd), user(uid, passwd)),
        None => user(uid, passwd),
    }
}

/// A user of a directory service has a number only.
fn user(uid: u32, passwd: Option<&str>) -> String {
    let name = passwd.into_iter().flat_map(str::lines).find_map(|line| {
        // passwd(5): name, password, uid.
        let mut fields = line.split(':');
        let (name, uid_field) = (fields.next()?, fields.nth(1)?);
        (uid_field.parse() == Ok(uid)).then_some(name)
    });
    match name {
        Some(name) => format!("{name} (uid {uid})"),
        None => format!("uid {uid}"),
    }
}

/// Unset: −1 as the kernel prints it.
const NOBODY_LOGGED_IN: u32 = u32::MAX;
const PASSWD: &str = "/etc/passwd";

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nalice:x:1000:1000::/home/alice:/bin/sh\n";

    #[test]
    fn a_user_has_a_name_when_the_machine_knows_it() {
        assert_eq!(named(0, None, Some(USERS)), "root (uid 0)");
        assert_eq!(named(1_000, None, Some(USERS)), "alice (uid 1000)");
        assert_eq!(named(1_001, None, Some(USERS)), "uid 1001");
        assert_eq!(named(1_000, None, None), "uid 1000");
    }

    #[test]
    fn who_became_root_is_named_before_root() {
        assert_eq!(
            named(0, Some(1_000), Some(USERS)),
            "alice (uid 1000) as root (uid 0)"
        );
        assert_eq!(named(0, Some(0), Some(USERS)), "root (uid 0)");
        assert_eq!(named(1_000, Some(1_001), None), "uid 1001 as uid 1000");
    }

    /// The kernel's record of this very process, where the kernel has one: scripts/try-service logs in and uses `sudo`.
    #[test]
    fn a_process_that_nobody_logged_in_for_has_no_login() {
        let kept = std::fs::read_to_string("/proc/self/loginuid").ok();
        let expected = kept.and_then(|text| text.trim().parse().ok());
        let pid = i32::try_from(std::process::id()).unwrap();
        assert_eq!(login_uid(pid), expected.filter(|uid: &u32| *uid != u32::MAX));
        assert_eq!(login_uid(-1), None);
    }
}
