//! Namespaces of the run's own: a network that nobody else is on, mounts that nobody else sees, and processes that all end
//! with the run. Root is not needed where the machine lets a user make namespaces. What is put into them is told elsewhere.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tokio::signal::unix::{SignalKind, signal};

/// Set in the environment of a run that is inside.
const INSIDE: &str = "VAULTAIRE_JEPSEN_INSIDE";

/// What the harness needs inside: a bridge, network namespaces that are found by name, packet filters, a mount.
const PROBE: &str = "mount -t tmpfs tmpfs /run && ip link set lo up && ip link add probe type bridge && ip netns add probe \
    && nsenter --net=/run/netns/probe nft add table ip probe";

/// The same, to stay.
const SETTLE: &str = "mount -t tmpfs tmpfs /run && ip link set lo up";

/// How a shell names a command that was ended by SIGINT.
const INTERRUPTED: i32 = 130;

/// Whether this process is inside.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Goes on inside as the same command line, and comes back only where the machine does not allow that: with the reason.
pub fn enter(binary: &Path) -> String {
    let own = match std::env::current_exe() {
        Ok(own) => own,
        Err(error) => return format!("this program cannot be found: {error}"),
    };
    let probed = unshare().args(["sh", "-ec", PROBE]).stdin(Stdio::null()).output();
    match probed {
        Ok(done) if done.status.success() => {}
        Ok(done) => return String::from_utf8_lossy(&done.stderr).trim().to_owned(),
        Err(error) => return format!("unshare cannot be run: {error}"),
    }
    let mut command = unshare();
    command.args(["sh", "-ec", &format!("{SETTLE}; exec \"$@\""), "sh"]).arg(own);
    command.args(std::env::args_os().skip(1)).env(INSIDE, "1").env("VAULTAIRE_BINARY", binary);
    format!("unshare cannot be run: {}", command.exec())
}

/// A command in new namespaces. All of its processes end with it.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--"]);
    command.env("PATH", path());
    command
}

/// Where programs of administrators lie is not on everybody's path.
fn path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

/// Ends the run when it is told to: the first process of a namespace is not ended by a signal that it does not await.
pub fn end_when_told() {
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let Ok(mut told) = signal(kind) else { continue };
        tokio::spawn(async move {
            if told.recv().await.is_some() {
                std::process::exit(INTERRUPTED);
            }
        });
    }
}
