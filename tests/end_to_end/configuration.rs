//! Configuration files: what is wrong with one is said with its line, and a right one starts a node.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::console::{run, vaultaire};

const READY_MAX: Duration = Duration::from_secs(30);

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file can be written");
}

fn check(path: &Path) -> Command {
    let mut command = vaultaire(&["config", "check"]);
    command.arg(path);
    command
}

const SOUND: &str = r#"
data_dir = "data"
region = "eu-central-1"
[s3]
addr = "127.0.0.1:0"
[admin]
addr = "127.0.0.1:0"
[http]
addr = "127.0.0.1:0"
[gc]
upload_grace = "1s"
resweep = []
[backends.disk]
kind = "disk"
path = "blobs"
"#;

#[test]
fn a_misspelt_key_is_named_with_the_one_that_was_meant() {
    let folder = folder();
    let path = folder.path().join("vaultaire.toml");
    write(&path, &SOUND.replace("upload_grace", "upload_grase"));
    let says = [
        "vaultaire.toml",
        "line 11",
        "unknown field `upload_grase`",
        "did you mean `upload_grace`?",
    ];
    run(check(&path)).refused(1, &says);
    let mut server = vaultaire(&["server", "--config"]);
    server.arg(&path);
    run(server).refused(1, &says);
    assert!(!folder.path().join("data").exists());
}

#[test]
fn what_cannot_work_is_refused_with_its_key() {
    let folder = folder();
    let path = folder.path().join("vaultaire.toml");
    for (from, to, says) in [
        ("data_dir = \"data\"", "", "data_dir"),
        ("kind = \"disk\"", "kind = \"tape\"", "tape"),
        ("upload_grace = \"1s\"", "upload_grace = \"soon\"", "soon"),
        ("resweep = []", "resweep = [\"2h\", \"1h\"]", "gc.resweep"),
        ("addr = \"127.0.0.1:0\"\n[gc]", "addr = \"localhost\"\n[gc]", "line"),
        ("[gc]", "[gc", "line"),
        (
            "\"blobs\"\n",
            "\"blobs\"\n[first]\nshards = 65\n",
            "first.shards: 65 is not a number from 1 to 64",
        ),
    ] {
        let text = SOUND.replace(from, to);
        assert_ne!(text, SOUND, "{from}");
        write(&path, &text);
        run(check(&path)).refused(1, &[says]);
    }
    run(check(&folder.path().join("absent.toml"))).refused(1, &["absent.toml"]);
}

/// What the first start would refuse, the check refuses too, and says which key it is.
#[test]
fn a_secret_that_is_not_there_is_named_with_its_key() {
    let folder = folder();
    let path = folder.path().join("vaultaire.toml");
    let first = "\n[first]\naccess_key = \"VTA\"\nsecret_key_file = \"first-secret\"\n";
    let remote = |secret: &str| {
        format!(
            "write_to = [\"disk\"]\n{SOUND}\n[backends.warm]\nkind = \"s3\"\nendpoint = \"https://s3.example.com\"\nregion = \"r\"\nbucket = \"b\"\naccess_key = \"a\"\nsecret_key = {secret}\n"
        )
    };
    write(&folder.path().join("empty"), "\n");
    for (text, says) in [
        (format!("{SOUND}{first}"), ["first.secret_key_file", "first-secret"]),
        (
            format!("{SOUND}{}", first.replace("first-secret", "empty")),
            ["first.secret_key_file", "is empty"],
        ),
        (
            remote("{ env = \"NOBODY_SETS_THIS\" }"),
            ["backends.warm.secret_key", "NOBODY_SETS_THIS"],
        ),
        (remote("{ file = \"absent\" }"), ["backends.warm.secret_key", "absent"]),
        (remote("{ file = \"empty\" }"), ["backends.warm.secret_key", "empty"]),
    ] {
        write(&path, &text);
        run(check(&path)).refused(1, &says);
    }
    write(&folder.path().join("secret"), "s3cret\n");
    write(&path, &remote("{ file = \"secret\" }"));
    run(check(&path)).done();
}

#[test]
fn a_secret_in_the_file_is_refused_and_never_shown() {
    let folder = folder();
    let path = folder.path().join("vaultaire.toml");
    let warm = "write_to = [\"disk\"]\n".to_owned()
        + SOUND
        + r#"
[backends.warm]
kind = "s3"
endpoint = "http://127.0.0.1:1"
region = "r"
bucket = "b"
access_key = "a"
"#;
    for written in [
        r#"secret_key = "hunter2""#,
        "secret_key = hunter2",
        "secret_key = \"hunter2",
        r#"secret_key = ["hunter2"]"#,
        r#"secret_key = { value = "hunter2" }"#,
        r#"secret_key = { hunter2 = "x" }"#,
        r#"secret_kye = "hunter2""#,
        r#"secret_key = { env = "hunter2/+x" }"#,
    ] {
        write(&path, &format!("{warm}{written}\n"));
        let mut server = vaultaire(&["server", "--config"]);
        server.arg(&path);
        for ended in [run(check(&path)), run(server)] {
            let shown = format!("{}{}", ended.stdout, ended.stderr);
            assert!(!shown.contains("hunter2"), "{written}: {shown}");
        }
    }
    write(&path, &format!("{warm}secret_key = \"hunter2\"\n"));
    run(check(&path)).refused(1, &["line", "write { env = "]);
}

#[test]
fn two_sections_for_one_place_are_refused_with_both_names() {
    let folder = folder();
    let path = folder.path().join("vaultaire.toml");
    let twice = "write_to = [\"disk\"]\n".to_owned()
        + SOUND
        + "[backends.again]\nkind = \"disk\"\npath = \"./blobs/\"\n";
    write(&path, &twice);
    run(check(&path)).refused(1, &["again", "disk", "a place of its own"]);
}

#[test]
fn a_sound_file_starts_a_node_that_tells_its_service_manager() {
    let folder = folder();
    let path = folder.path().join("vaultaire.toml");
    write(&path, &format!("{SOUND}[first]\nshards = 2\n"));
    run(check(&path)).done();
    let manager =
        std::os::unix::net::UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
    manager.set_read_timeout(Some(READY_MAX)).expect("a timeout");
    let mut server = vaultaire(&["server", "--config"]);
    server.arg(&path).env("NOTIFY_SOCKET", folder.path().join("notify"));
    let mut server = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut buffer = [0; 64];
    let told = manager.recv(&mut buffer);
    let mut status = vaultaire(&["status", "--json", "--data-dir"]);
    status.arg(folder.path().join("data"));
    let status = run(status);
    let pid = rustix::process::Pid::from_child(&server);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it can be signalled");
    let deadline = Instant::now() + READY_MAX;
    let ended = loop {
        match server.try_wait().expect("it can be waited for") {
            Some(ended) => break ended,
            None if Instant::now() > deadline => {
                let _ = server.kill();
                panic!("it did not stop");
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let length = told.expect("READY=1 is sent");
    assert_eq!(&buffer[..length], b"READY=1\n");
    let status = status.done().json();
    assert_eq!(status["region"], "eu-central-1");
    assert_eq!(status["backends"][0]["name"], "disk");
    // The control group and two shards.
    assert_eq!(status["groups"].as_array().map(Vec::len), Some(3), "{status}");
    assert!(folder.path().join("blobs").is_dir(), "paths are relative to the file");
    assert!(ended.success(), "SIGTERM drains: {ended}");
}

/// What is deployed names every key, and every key of it is one that a node knows.
#[test]
fn the_annotated_file_is_sound_with_and_without_its_comments() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = root.join("deploy").join("vaultaire.toml");
    run(check(&path)).done();
    let text = std::fs::read_to_string(&path).expect("the annotated file");
    let is_setting = |line: &str| {
        let bare = line.strip_prefix("# ")?;
        let key = bare.split([' ', '=']).next()?;
        let named = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        (bare.starts_with('[') || (named && bare.contains(" = "))).then(|| bare.to_owned())
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut table = String::new();
    let mut all = String::new();
    for line in text.lines() {
        let setting = is_setting(line).unwrap_or_else(|| line.to_owned());
        if setting.starts_with('[') {
            table.clone_from(&setting);
        }
        // An example and the value in use stand next to each other; the first is enough.
        let key = format!("{table} {}", setting.split('=').next().unwrap_or_default());
        if setting.starts_with('#') || (setting.contains('=') && !seen.insert(key)) {
            continue;
        }
        all.push_str(&setting);
        all.push('\n');
    }
    let config =
        vaultaire::config::Config::parse(&all).unwrap_or_else(|error| panic!("{error}: {all}"));
    assert!(config.s3.tls.is_some() && config.gc.resweep.is_some() && config.backends.len() == 3);
    assert!(
        config.first.bucket.is_some()
            && config.node_name.is_some()
            && config.s3.base_domain.is_some()
    );
}
