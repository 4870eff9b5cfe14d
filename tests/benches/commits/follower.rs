//! The ways of a follower to the leader of one shard. What it does with many clients is `Together`: what comes while two calls
//! are under way shares the next one. `Alone` has a call for each command, as clients of etcd have.

use std::sync::Arc;

use clap::ValueEnum;
use tokio::sync::{Semaphore, mpsc, oneshot};
use vaultaire::raft::forward::{Answer, Forward};
use vaultaire_proto::command::COMMANDS_PER_ENTRY_MAX;
use vaultaire_proto::{Command, NodeId, Response};
use vaultaire_tests::bench::Error;

/// As many entries as a node has under way for one group.
const CALLS_MAX: usize = 2;

/// How many commands a call carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Calls {
    Alone,
    Together,
}

type Waiting = (Command, oneshot::Sender<Answer>);

#[derive(Debug)]
pub enum Way {
    Alone(NodeId, Forward),
    Together(mpsc::UnboundedSender<Waiting>),
}

impl Way {
    pub fn new(calls: Calls, leader: NodeId, forward: Forward) -> Self {
        match calls {
            Calls::Alone => Self::Alone(leader, forward),
            Calls::Together => {
                // As long as there are clients, each of which waits for one answer.
                let (queue, waiting) = mpsc::unbounded_channel();
                tokio::spawn(send_on(leader, forward, waiting));
                Self::Together(queue)
            }
        }
    }

    pub async fn ask(&self, command: Command) -> Result<Response, Error> {
        let answer = match self {
            Self::Alone(leader, forward) => forward.propose(*leader, vec![command]).await.pop(),
            Self::Together(queue) => {
                let (reply, answer) = oneshot::channel();
                queue.send((command, reply))?;
                answer.await.ok()
            }
        };
        Ok(answer.ok_or("an answer is missing")??)
    }
}

async fn send_on(leader: NodeId, forward: Forward, mut queue: mpsc::UnboundedReceiver<Waiting>) {
    let under_way = Arc::new(Semaphore::new(CALLS_MAX));
    let mut waiting = Vec::new();
    // A place first, commands second: what comes while there is no place shares the next call.
    while let Ok(place) = under_way.clone().acquire_owned().await {
        if queue.recv_many(&mut waiting, COMMANDS_PER_ENTRY_MAX).await == 0 {
            return;
        }
        let (commands, replies): (Vec<_>, Vec<_>) = waiting.drain(..).unzip();
        let forward = forward.clone();
        tokio::spawn(async move {
            let answers = forward.propose(leader, commands).await;
            drop(place);
            for (reply, answer) in replies.into_iter().zip(answers) {
                // A client that gave up does not hear.
                let _ = reply.send(answer);
            }
        });
    }
}
