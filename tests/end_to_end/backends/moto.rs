//! A process of moto, an S3 server that shares no code with this repository. `tests/run` installs it and names the
//! interpreter that knows it; without one there is nothing to test, which a strict run takes for a failure.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use vaultaire_tests::client::Endpoint;

/// The Python interpreter that knows moto.
const PYTHON: &str = "VAULTAIRE_MOTO_PYTHON";

/// Set where everything must be there.
const STRICT: &str = "VAULTAIRE_STRICT";

/// Importing it takes seconds on a busy machine.
const READY_MAX: Duration = Duration::from_secs(60);

/// moto looks for a key and writes it in two steps, so its conditional writes are not atomic by themselves: here it
/// handles one request at a time.
const SERVE: &str = "
import threading
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
app, one = DomainDispatcherApplication(create_backend_app), threading.Lock()
def serial(environ, start_response):
    with one:
        return app(environ, start_response)
run_simple('127.0.0.1', 0, serial, threaded=True)
";

/// How it says where it listens.
const READY: &str = "Running on ";

/// A running server, which ends with this.
pub struct Moto {
    child: Child,
    url: String,
}

impl Moto {
    /// Starts one, where it is installed.
    ///
    /// # Panics
    /// When it does not start, or is not there in a strict run.
    pub fn start() -> Option<Self> {
        let Some(python) = std::env::var_os(PYTHON).filter(|path| !path.is_empty()) else {
            let is_strict = std::env::var_os(STRICT).is_some_and(|value| value == "1");
            assert!(!is_strict, "{PYTHON} is not set: run tests/run, which installs moto");
            eprintln!("not tested: {PYTHON} is not set; tests/run installs moto and sets it");
            return None;
        };
        let mut child = Command::new(python)
            .args(["-u", "-c", SERVE])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let stderr = child.stderr.take().expect("the child was spawned with a pipe");
        let (tx, rx) = mpsc::channel();
        std::thread::spawn(move || {
            // Every line is read, or a full pipe would stop the server.
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once(READY) {
                    let _ = tx.send(url.trim().to_owned());
                }
            }
        });
        match rx.recv_timeout(READY_MAX) {
            Ok(url) => Some(Self { child, url }),
            Err(problem) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("moto did not become ready: {problem}");
            }
        }
    }

    /// Where it listens; it takes any credentials.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            url: self.url.clone(),
            access_key: "testing".to_owned(),
            secret_key: "testing".to_owned(),
            ca_pem: None,
        }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // Both fail only for a child that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
