//! Where the nodes of a run live, and how they are asked: what every part of a run may know, and nobody changes.

use std::fmt::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::error::Error;
use crate::network::{self, Network, PEER_PORT};
use crate::plant;
use crate::process::{self, Program, Ready, Starting};
use crate::verified::COMPARE;
use crate::workload::script::PLAIN_BUCKET;

const ACCESS_KEY: &str = "VTJEPSEN";
const SECRET_KEY: &str = "a-secret-of-the-fault-harness";

/// How long a command to a node may take: a node that is stopped never answers.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How long a command that reads all bytes may take.
const VERIFY_MAX: Duration = Duration::from_secs(120);

/// The file system of the node that is given little room.
const SMALL_BYTES: u64 = 512 * 1024 * 1024;

/// What a node may write while its file system is made smaller, and how often that is tried.
const SLACK_BYTES: u64 = 64 * 1024;
const TRIES_MAX: u64 = 20;

/// Short enough that collection and sweeps, too, are under fire.
const GC: &str =
    "[gc]\nupload_grace = \"2s\"\ndrain = \"2s\"\nresweep = [\"4s\"]\nbrake_percent = 100\n";

/// Places by number, from 0: those of nodes that keep objects, then the guest's, who takes none and comes and goes, then those of
/// gateways.
#[derive(Debug)]
pub struct Site {
    program: Program,
    dir: PathBuf,
    /// Absent where the machine lets nobody make namespaces: the nodes are on the loopback interface then.
    pub network: Option<Network>,
    places: Vec<Place>,
    keepers: u32,
    /// Held by whoever takes a vote away that must come back first.
    pub changes: Arc<Mutex<()>>,
}

/// Where one node lives, whichever id it has.
#[derive(Debug)]
struct Place {
    home: PathBuf,
    config: PathBuf,
    log: PathBuf,
    peer: String,
    ready: Ready,
}

impl Site {
    /// Places for so many nodes that keep objects, for the guest, and for so many gateways.
    pub async fn new(
        program: Program,
        dir: &Path,
        (keepers, gateways): (u32, u32),
        is_inside: bool,
    ) -> Result<Self, Error> {
        let secret = dir.join("secret");
        std::fs::write(&secret, SECRET_KEY).map_err(Error::file("write", &secret))?;
        let network = match is_inside {
            true => Some(Network::create(keepers + 1 + gateways).await?),
            false => None,
        };
        let mut site = Self {
            program,
            dir: dir.to_owned(),
            network,
            places: Vec::new(),
            keepers,
            changes: Arc::default(),
        };
        for number in 0..=keepers + gateways {
            site.places.push(site.place(number)?);
        }
        if is_inside {
            site.resize(keepers - 1, "mount -t tmpfs -o mode=700", SMALL_BYTES).await?;
        }
        Ok(site)
    }

    /// How many places there are for nodes that keep objects.
    pub fn keepers(&self) -> u32 {
        self.keepers
    }

    /// How many places there are for nodes that keep objects, and for gateways.
    pub fn sizes(&self) -> (u32, u32) {
        (self.keepers, self.gateways().len().try_into().unwrap_or(u32::MAX))
    }

    /// The places of gateways.
    pub fn gateways(&self) -> std::ops::Range<u32> {
        let places = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.keepers + 1..places
    }

    pub fn guest(&self) -> u32 {
        self.keepers()
    }

    /// Where clients reach each node, running or not.
    pub fn ready(&self) -> Vec<Ready> {
        let served = (0..self.keepers).chain(self.gateways());
        served.map(|number| self.places[index(number)].ready.clone()).collect()
    }

    pub fn name(number: u32) -> String {
        format!("node-{number}")
    }

    pub fn peer(&self, number: u32) -> &str {
        &self.places[index(number)].peer
    }

    pub fn journal(&self, number: u32) -> PathBuf {
        self.places[index(number)].home.join("data").join("journal")
    }

    /// Starts a node that does not run, where wanted with a clock that is not the machine's.
    pub fn start(&self, number: u32, clock: Option<&Clock>) -> Result<Starting, Error> {
        let place = &self.places[index(number)];
        let mut command = self.vaultaire(number);
        command.args(["--json", "server", "--config"]).arg(&place.config);
        if let Some(clock) = clock {
            clock.set(&mut command);
        }
        process::spawn(command, &self.program.binary, &place.log)
    }

    /// Forgets all that a node knew and kept.
    pub fn wipe(&self, number: u32) -> Result<(), Error> {
        let home = &self.places[index(number)].home;
        for entry in std::fs::read_dir(home).map_err(Error::file("list", home))? {
            let path = entry.map_err(Error::file("list", home))?.path();
            std::fs::remove_dir_all(&path).map_err(Error::file("remove", &path))?;
        }
        Ok(())
    }

    /// Copies what a file system holds that goes with the run.
    pub fn keep(&self) -> Result<(), Error> {
        let small = self.places.get(index(self.keepers - 1)).filter(|_| self.network.is_some());
        small.map_or(Ok(()), |place| plant::copy(&place.home, &place.home.with_extension("kept")))
    }

    /// Leaves the node with the small file system so much of it free, or all of it that is usual.
    pub async fn squeeze(&self, number: u32, free_bytes: Option<u64>) -> Result<(), Error> {
        let Some(free) = free_bytes else {
            return self.resize(number, "mount -o remount", SMALL_BYTES).await;
        };
        let home = &self.places[index(number)].home;
        let mut tries = 0;
        loop {
            let stat = rustix::fs::statvfs(home)
                .map_err(|error| Error::file("look at", home)(error.into()))?;
            // What is written meanwhile would not fit any more, and the change be refused.
            let used = (stat.f_blocks - stat.f_bfree) * stat.f_frsize + tries * SLACK_BYTES;
            match self.resize(number, "mount -o remount", used + free).await {
                Err(_) if tries < TRIES_MAX => tries += 1,
                done => return done,
            }
        }
    }

    async fn resize(&self, number: u32, mount: &str, size_bytes: u64) -> Result<(), Error> {
        let home = &self.places[index(number)].home;
        let line = format!("{mount},size={size_bytes} tmpfs \"$1\"");
        let mut command = Command::new("sh");
        command.args(["-ec", &line, "sh"]).arg(home);
        let done = self.done(command, "mounting a small file system", ANSWER_MAX).await;
        done.map(|_| ()).map_err(|(_, error)| error)
    }

    /// What a command to the node at this place prints.
    pub async fn ask(&self, number: u32, line: &[&str]) -> Result<Value, Error> {
        let mut command = self.vaultaire(number);
        command.args(line).args(["--json", "--data-dir"]);
        command.arg(self.places[index(number)].home.join("data"));
        let is_long = line.first() == Some(&"verify") || line == COMPARE;
        let most = if is_long { VERIFY_MAX } else { ANSWER_MAX };
        let printed = match self.done(command, &format!("vaultaire {}", line.join(" ")), most).await
        {
            Ok(printed) => printed,
            // What it found is told on its output.
            Err((printed, _)) if is_long && printed.first() == Some(&b'{') => printed,
            Err((_, error)) => return Err(error),
        };
        serde_json::from_slice(&printed)
            .map_err(|source| Error::Json { what: format!("what {line:?} printed"), source })
    }

    /// What the first node that answers says.
    pub async fn ask_any(&self, line: &[&str]) -> Result<Value, Error> {
        let mut last = None;
        for number in 0..self.keepers() {
            match self.ask(number, line).await {
                Ok(value) => return Ok(value),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(Error::Command {
            what: format!("vaultaire {}", line.join(" ")),
            why: "there are no nodes".to_owned(),
        }))
    }

    /// A command line that ends with a place's configuration file.
    pub async fn configured(&self, number: u32, line: &[&str]) -> Result<(), Error> {
        let mut command = self.vaultaire(number);
        command.args(line).arg("--config").arg(&self.places[index(number)].config);
        let what = format!("vaultaire {}", line.join(" "));
        self.done(command, &what, ANSWER_MAX).await.map(|_| ()).map_err(|(_, error)| error)
    }

    pub fn token_file(&self, number: u32) -> PathBuf {
        self.dir.join(format!("token-{number}"))
    }

    /// The binary at a place. The environment of whoever runs this must change nothing.
    fn vaultaire(&self, number: u32) -> Command {
        let mut command = match &self.network {
            Some(network) => network.command(number, &self.program.binary),
            None => Command::new(&self.program.binary),
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("VAULTAIRE_") {
                command.env_remove(name);
            }
        }
        if let Some(planted) = &self.program.planted {
            command.env("VAULTAIRE_PLANT", planted);
        }
        command
    }

    /// Runs a command to its end: what it printed, or that and why it failed.
    async fn done(
        &self,
        mut command: Command,
        what: &str,
        most: Duration,
    ) -> Result<Vec<u8>, (Vec<u8>, Error)> {
        let fail = |printed, why| (printed, Error::Command { what: what.to_owned(), why });
        let ran = command.stdin(Stdio::null()).kill_on_drop(true).output();
        match tokio::time::timeout(most, ran).await {
            Ok(Ok(ran)) if ran.status.success() => Ok(ran.stdout),
            Ok(Ok(ran)) => {
                let why = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
                Err(fail(ran.stdout, why))
            }
            Ok(Err(error)) => Err(fail(Vec::new(), error.to_string())),
            Err(_) => Err(fail(Vec::new(), format!("no answer in {most:?}"))),
        }
    }

    fn place(&self, number: u32) -> Result<Place, Error> {
        let name = Self::name(number);
        let home = self.dir.join(&name);
        std::fs::create_dir_all(&home).map_err(Error::file("create", &home))?;
        let (s3, peer) = match &self.network {
            Some(_) => {
                let address = network::address(number);
                (format!("{address}:9000"), format!("{address}:{PEER_PORT}"))
            }
            None => (free_address()?, free_address()?),
        };
        // Objects are put where a client asks and at another node's pool of the same name. Nobody asks the guest.
        let pool = if number == self.keepers { "own" } else { "hot" };
        let mut toml = format!(
            "data_dir = \"{name}/data\"\nnode_name = \"{name}\"\nwrite_to = [\"{pool}\"]\n"
        );
        // Writing to a string cannot fail.
        let _ = write!(
            toml,
            "[s3]\naddr = \"{s3}\"\n[admin]\naddr = \"127.0.0.1:0\"\n[http]\naddr = \"127.0.0.1:0\"\n\
             [peer]\naddr = \"{peer}\"\n{GC}\
             [first]\naccess_key = \"{ACCESS_KEY}\"\nsecret_key_file = \"secret\"\nbucket = \"{PLAIN_BUCKET}\"\n"
        );
        if number <= self.keepers {
            let _ = write!(toml, "[backends.{pool}]\nkind = \"disk\"\npath = \"{name}/disk\"\n");
        }
        let config = self.dir.join(format!("{name}.toml"));
        std::fs::write(&config, toml).map_err(Error::file("write", &config))?;
        let ready = Ready {
            s3_url: format!("http://{s3}"),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            bucket: PLAIN_BUCKET.to_owned(),
            pid: 0,
        };
        let log = self.dir.join(format!("{name}.log"));
        Ok(Place { home, config, log, peer, ready })
    }
}

/// A clock for one node, by the library of libfaketime: what it says, as that library has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    library: PathBuf,
    pub says: String,
}

impl Clock {
    /// None where the library is not installed.
    pub fn find(says: String) -> Option<Self> {
        let folders = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from);
        let nested = std::fs::read_dir(&folders[0]).into_iter().flatten().filter_map(Result::ok);
        let folders = folders.iter().cloned().chain(nested.map(|entry| entry.path()));
        let mut libraries = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
        let library = libraries.find(|library| library.is_file())?;
        Some(Self { library, says })
    }

    fn set(&self, command: &mut Command) {
        // Time spans are measured by the other clock, which no administrator sets.
        command.env("LD_PRELOAD", &self.library).env("FAKETIME", &self.says);
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_DONT_RESET", "1");
    }
}

/// A free address that stays the node's own while it is down.
fn free_address() -> Result<String, Error> {
    let fail = |why: &str| Error::Command {
        what: "looking for a free port".to_owned(),
        why: why.to_owned(),
    };
    // The kernel's choice only scatters the search: its own range is used by the clients' connections.
    let scattered = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let first = scattered.map_err(|error| fail(&error.to_string()))?.port();
    let port = process::free_port(first).ok_or_else(|| fail("all of them are taken"))?;
    Ok(format!("127.0.0.1:{port}"))
}

pub fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
