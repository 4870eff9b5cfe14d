//! The network between nodes: every message takes its time, ways are cut in one direction or both, calls and their answers get lost,
//! and a stream keeps its order until its connection breaks, as over TCP and HTTP/2. It carries the messages of the wire, unencoded.

mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use vaultaire::peer::calls::Peers;
use vaultaire::raft::arriving::Landing;
use vaultaire::raft::directory::Directory;
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::{GroupId, NodeId};

use super::dice::Dice;
use super::trace::Trace;
use way::Way;

/// A connection that hears nothing for this long is given up, by either side.
const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// How often what could not be sent is sent again.
const SENT_AGAIN: Duration = Duration::from_millis(100);

/// A process of a node, as others reach it.
#[derive(Clone)]
struct Home {
    life: u64,
    directory: Arc<Directory>,
    landing: Arc<Landing>,
}

/// What the ways are like at the moment.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// From, to.
    pub cut: BTreeSet<(NodeId, NodeId)>,
    /// Milliseconds that a message takes.
    pub takes_ms: (u64, u64),
    /// Of a thousand calls, so many get lost, and so many of their answers.
    pub lost_permille: u64,
}

impl Weather {
    pub fn fair() -> Self {
        Self { cut: BTreeSet::new(), takes_ms: (1, 4), lost_permille: 0 }
    }
}

#[derive(Default)]
struct State {
    homes: BTreeMap<NodeId, Home>,
    weather: Weather,
    voted: Option<Voted>,
    /// Who has led a group in a term.
    leaders: BTreeMap<(GroupId, u64), u64>,
    violations: Vec<String>,
}

/// Told that a node has given its vote away; the answer is about to be sent.
pub type Voted = Arc<dyn Fn(NodeId) + Send + Sync>;

#[derive(Clone)]
pub struct Network {
    state: Arc<Mutex<State>>,
    dice: Dice,
    trace: Trace,
}

impl fmt::Debug for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Network").finish_non_exhaustive()
    }
}

impl Network {
    pub fn new(dice: Dice, trace: Trace) -> Self {
        let state = State { homes: BTreeMap::new(), weather: Weather::fair(), ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), dice, trace }
    }

    pub fn change(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut self.state.lock().weather);
    }

    pub fn weather(&self) -> Weather {
        self.state.lock().weather.clone()
    }

    /// Calls that when the next votes are given.
    pub fn watch_votes(&self, voted: Option<Voted>) {
        self.state.lock().voted = voted;
    }

    fn votes(&self, node: NodeId) {
        let voted = self.state.lock().voted.clone();
        if let Some(voted) = voted {
            voted(node);
        }
    }

    /// A leader speaks: there is one in a term.
    fn leads(&self, group: GroupId, vote: Option<&wire::Vote>) {
        let Some(vote) = vote.filter(|vote| vote.committed) else {
            return;
        };
        let state = &mut *self.state.lock();
        let first = *state.leaders.entry((group, vote.term)).or_insert(vote.node);
        if first != vote.node {
            let (term, other) = (vote.term, vote.node);
            state.violations.push(format!(
                "group {group} has two leaders in term {term}: nodes {first} and {other}"
            ));
        }
    }

    /// What no network should see.
    pub fn violations(&self) -> Vec<String> {
        self.state.lock().violations.clone()
    }

    /// From now on this process is the node.
    pub fn arrive(&self, node: NodeId, life: u64, directory: Arc<Directory>, landing: Landing) {
        let home = Home { life, directory, landing: Arc::new(landing) };
        self.state.lock().homes.insert(node, home);
    }

    /// Nobody reaches the node's process any more, nor it anybody.
    pub fn leave(&self, node: NodeId, life: u64) {
        let mut state = self.state.lock();
        if state.homes.get(&node).is_some_and(|home| home.life == life) {
            state.homes.remove(&node);
        }
    }

    /// The ways out of a process.
    pub fn way(&self, node: NodeId, life: u64) -> Arc<dyn Peers> {
        Arc::new(Way::new(self.clone(), node, life))
    }

    fn home(&self, node: NodeId) -> Option<Home> {
        self.state.lock().homes.get(&node).cloned()
    }

    fn lives(&self, (node, life): End) -> bool {
        self.home(node).is_some_and(|home| home.life == life)
    }

    fn takes(&self) -> Duration {
        let (from, to) = self.state.lock().weather.takes_ms;
        self.dice.ms(from, to)
    }

    fn loses(&self) -> bool {
        let lost = self.state.lock().weather.lost_permille;
        self.dice.permille(lost)
    }

    /// Carries a message from one process to another. It is sent again for as long as the way is cut, and says when it is given
    /// up, because the way stays cut or one of the processes is gone. What is on its way arrives also when its sender is gone.
    async fn carry(&self, from: End, to: End) -> Result<(), Broken> {
        if !self.lives(from) {
            return Err(Broken);
        }
        let given_up = Instant::now() + KEEP_ALIVE;
        sleep(self.takes()).await;
        while self.is_cut(from.0, to.0) {
            if Instant::now() >= given_up || !self.lives(from) {
                return Err(Broken);
            }
            sleep(SENT_AGAIN).await;
        }
        if self.lives(to) { Ok(()) } else { Err(Broken) }
    }

    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.state.lock().weather.cut.contains(&(from, to))
    }
}

/// A process at one end of a connection.
type End = (NodeId, u64);

/// The connection is.
#[derive(Clone, Copy, Debug)]
struct Broken;
