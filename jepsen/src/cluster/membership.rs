//! The membership of the cluster as an operator sees and changes it: by commands to whatever node answers.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::site::Site;
use crate::error::Error;

/// How long a change of the membership may take once nothing stands in its way.
const SETTLE_MAX: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(500);

/// What a node is let in as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    Voter,
    Learner,
    Gateway,
}

impl Seat {
    fn flag(self) -> Option<&'static str> {
        match self {
            Self::Voter => None,
            Self::Learner => Some("--learner"),
            Self::Gateway => Some("--gateway"),
        }
    }
}

/// One node that belongs to the cluster or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: String,
    pub name: String,
    pub is_voter: bool,
    pub state: String,
    /// How many groups it leads.
    pub leads: usize,
}

impl Member {
    /// Whether no change of it is under way.
    fn is_settled(&self) -> bool {
        ["member", "removed"].contains(&self.state.as_str())
    }
}

impl Site {
    pub async fn members(&self) -> Result<Vec<Member>, Error> {
        let told = self.ask_any(&["cluster", "members"]).await?;
        Ok(read(&told))
    }

    /// The node of this name that belongs to the cluster.
    pub async fn member(&self, number: u32) -> Result<Option<Member>, Error> {
        let name = Self::name(number);
        let members = self.members().await?;
        Ok(members.into_iter().find(|member| member.name == name && member.state != "removed"))
    }

    /// The place whose node leads most.
    pub async fn leader(&self) -> Option<u32> {
        let members = self.members().await.ok()?;
        let most = members.iter().filter(|one| one.state != "removed" && one.leads > 0);
        let name = &most.max_by_key(|member| member.leads)?.name;
        (0..self.keepers()).find(|number| Self::name(*number) == *name)
    }

    /// Waits until no change of the membership is under way.
    pub async fn settled(&self) -> Result<(), Error> {
        self.until("a settled membership", || async {
            let members = self.members().await?;
            Ok(!members.is_empty() && members.iter().all(Member::is_settled))
        })
        .await
    }

    /// Makes an empty place that of a new node.
    pub async fn join(&self, number: u32, seat: Seat) -> Result<(), Error> {
        let told = self.ask_any(&["cluster", "token"]).await?;
        let token = told["token"].as_str().unwrap_or_default();
        let token_file = self.token_file(number);
        std::fs::write(&token_file, token).map_err(Error::file("write", &token_file))?;
        let token_file = token_file.to_string_lossy();
        let mut last = None;
        for member in (0..self.keepers()).filter(|member| *member != number) {
            let line = ["cluster", "join", "--member", self.peer(member), "--token-file"];
            let line = line.into_iter().chain([token_file.as_ref()]);
            let line: Vec<&str> = line.chain(seat.flag()).collect();
            match self.configured(number, &line).await {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(Error::Command {
            what: "joining".to_owned(),
            why: "there is no other node".to_owned(),
        }))
    }

    /// Takes the node at a place out of the cluster, if there is one, and waits until it is. What lay on its disks is lost, and
    /// copied again from other copies.
    pub async fn remove(&self, number: u32) -> Result<(), Error> {
        self.until("the removal of a node", || async {
            let Some(member) = self.member(number).await? else { return Ok(true) };
            if member.state != "leaving" {
                self.ask_any(&["cluster", "remove", &member.id, "--lost"]).await?;
            }
            Ok(false)
        })
        .await
    }

    /// Gives the node at a place a vote or takes it, and waits until that is done.
    pub async fn set_role(&self, number: u32, is_voter: bool) -> Result<(), Error> {
        self.until("a change of who votes", || async {
            let Some(member) = self.member(number).await? else { return Ok(true) };
            if member.is_voter != is_voter {
                let verb = if is_voter { "promote" } else { "demote" };
                self.ask_any(&["cluster", verb, &member.id]).await?;
                return Ok(false);
            }
            Ok(member.is_settled())
        })
        .await
    }

    /// Tries again until it is so. What stands in the way, another change or a lack of leaders, passes.
    async fn until<F: Future<Output = Result<bool, Error>>>(
        &self,
        what: &str,
        is_so: impl Fn() -> F,
    ) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            let why = match is_so().await {
                Ok(true) => return Ok(()),
                Ok(false) => "it was not done in time".to_owned(),
                Err(error) => error.to_string(),
            };
            if began.elapsed() > SETTLE_MAX {
                return Err(Error::Command { what: what.to_owned(), why });
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn read(told: &Value) -> Vec<Member> {
    let text = |member: &Value, name: &str| member[name].as_str().unwrap_or_default().to_owned();
    let members = told["members"].as_array().map_or(&[][..], Vec::as_slice);
    let one = |member: &Value| Member {
        id: text(member, "node"),
        name: text(member, "node_name"),
        is_voter: text(member, "role") == "voter",
        state: text(member, "state"),
        leads: member["leads"].as_array().map_or(0, Vec::len),
    };
    members.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_from_what_the_command_prints() {
        let told = serde_json::json!({ "members": [
            { "node": "1", "node_name": "node-0", "role": "voter", "state": "member", "leads": ["0", "3"] },
            { "node": "4", "node_name": "node-1", "role": "learner", "state": "joining", "leads": [] },
        ] });
        let members = read(&told);
        assert_eq!(members.len(), 2);
        assert!(members[0].is_voter && members[0].is_settled() && members[0].leads == 2);
        assert!(!members[1].is_voter && !members[1].is_settled() && members[1].id == "4");
    }
}
