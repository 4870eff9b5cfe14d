//! The network between nodes: a namespace for each, a bridge that the clients are on too, and packet filters that cut what
//! a fault wants cut. Clients always reach every node. Which links are hurt, and when, is decided in `faults`.

pub mod detour;

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use self::detour::{Detours, Passage};
use crate::error::Error;

/// Where clients are, and detours.
const HARNESS: &str = "10.77.0.1";

/// The port on which nodes hear each other.
pub const PEER_PORT: u16 = 9003;

/// The address of a node.
pub fn address(node: u32) -> String {
    format!("10.77.0.{}", node + 10)
}

/// What happens to packets on the way from one node to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// None arrives.
    Drop { from: u32, to: u32 },
    /// So many of a hundred do not arrive.
    Lose { from: u32, to: u32, percent: u32 },
    /// Connections that the one has to the other are reset, and new ones refused.
    Reset { from: u32, to: u32 },
    /// Connections of the one to the other are reset, and new ones lead through the harness.
    Detour { from: u32, to: u32 },
}

/// The nodes' network.
#[derive(Debug)]
pub struct Network {
    nodes: u32,
    detours: Detours,
}

impl Network {
    /// The bridge and a namespace for each node. Everything is gone when the sandbox ends.
    pub async fn create(nodes: u32) -> Result<Self, Error> {
        let mut script = format!(
            "ip link add nodes type bridge; ip addr add {HARNESS}/24 dev nodes; ip link set nodes up\n"
        );
        for node in 0..nodes {
            let address = address(node);
            // Writing to a string cannot fail.
            let _ = write!(
                script,
                "ip netns add n{node}; ip link add v{node} type veth peer name eth0 netns n{node}\n\
                 ip link set v{node} master nodes up; ip -n n{node} link set lo up\n\
                 ip -n n{node} addr add {address}/24 dev eth0; ip -n n{node} link set eth0 up\n"
            );
        }
        run("sh", &["-ec".into(), script], "").await?;
        Ok(Self { nodes, detours: Detours::listen(nodes).await? })
    }

    /// A program in the place of a node.
    pub fn command(&self, node: u32, program: &std::path::Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(inside(node)).arg("--").arg(program);
        command
    }

    /// Does this, and only this, to the links from now on.
    pub async fn apply(&self, rules: &[Rule], passage: Passage) -> Result<(), Error> {
        self.detours.pass(passage);
        for node in 0..self.nodes {
            let arguments = [inside(node), "nft".into(), "--file".into(), "-".into()];
            run("nsenter", &arguments, &ruleset(node, rules)).await?;
        }
        Ok(())
    }
}

fn inside(node: u32) -> String {
    format!("--net=/run/netns/n{node}")
}

/// The packet filters of one node: what it does not hear, and what it cannot say.
fn ruleset(node: u32, rules: &[Rule]) -> String {
    let (mut hears, mut says, mut goes) = (String::new(), String::new(), String::new());
    for rule in rules {
        // Writing to a string cannot fail.
        let _ = match *rule {
            Rule::Drop { from, to } if to == node => {
                writeln!(hears, "ip saddr {} drop", address(from))
            }
            Rule::Lose { from, to, percent } if to == node => {
                writeln!(hears, "ip saddr {} numgen random mod 100 < {percent} drop", address(from))
            }
            Rule::Reset { from, to } if from == node => {
                writeln!(
                    says,
                    "ip daddr {} tcp dport {PEER_PORT} reject with tcp reset",
                    address(to)
                )
            }
            Rule::Detour { from, to } if from == node => {
                let (to_address, port) = (address(to), detour::port(from, to));
                // A packet that was led elsewhere has another address by the time it is filtered.
                let _ = writeln!(
                    says,
                    "ip daddr {to_address} tcp dport {PEER_PORT} reject with tcp reset"
                );
                writeln!(
                    goes,
                    "ip daddr {to_address} tcp dport {PEER_PORT} dnat to {HARNESS}:{port}"
                )
            }
            Rule::Drop { .. } | Rule::Lose { .. } | Rule::Reset { .. } | Rule::Detour { .. } => {
                Ok(())
            }
        };
    }
    format!(
        "table ip faults {{}}\ndelete table ip faults\ntable ip faults {{\n\
         chain hears {{ type filter hook input priority 0;\n{hears}}}\n\
         chain says {{ type filter hook output priority 0;\n{says}}}\n\
         chain goes {{ type nat hook output priority -100;\n{goes}}}\n}}\n"
    )
}

async fn run(program: &str, arguments: &[String], input: &str) -> Result<(), Error> {
    let fail = |why: String| Error::Command { what: format!("{program} {arguments:?}"), why };
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.map_err(Error::file("run", &PathBuf::from(program)))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await.map_err(|error| fail(error.to_string()))?;
    }
    let done = child.wait_with_output().await.map_err(|error| fail(error.to_string()))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(fail(String::from_utf8_lossy(&done.stderr).trim().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_filters_its_own_side_of_a_link() {
        let rules = [
            Rule::Drop { from: 0, to: 1 },
            Rule::Lose { from: 2, to: 1, percent: 7 },
            Rule::Reset { from: 1, to: 0 },
            Rule::Detour { from: 2, to: 0 },
        ];
        let one = ruleset(1, &rules);
        for wanted in [
            "ip saddr 10.77.0.10 drop",
            "ip saddr 10.77.0.12 numgen random mod 100 < 7 drop",
            "ip daddr 10.77.0.10 tcp dport 9003 reject",
        ] {
            assert!(one.contains(wanted), "{one}");
        }
        assert!(!one.contains("dnat"));
        let two = ruleset(2, &rules);
        assert!(two.contains("reject") && two.contains("dnat to 10.77.0.1:"), "{two}");
        let zero = ruleset(0, &rules);
        assert!(!["drop", "reject", "dnat"].iter().any(|word| zero.contains(word)), "{zero}");
    }
}
