//! `vaultaire simulate` and `vaultaire prices`: no node runs, and none is needed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use vaultaire_tests::server::binary;

/// Photos that are never read again, and one small file that is read every day.
fn log(folder: &Path) -> String {
    const START_S: u64 = 1_767_225_600;
    const DAY_S: u64 = 86_400;
    let mut text = "timestamp,bucket,key,operation,size,bytes\n".to_owned();
    for number in 0..20 {
        text += &format!("{},photos,2026/{number}.raw,PUT,50000000,\n", START_S + number);
    }
    text += &format!("{},site,index.html,PUT,4000,\n", START_S + 30);
    for day in 1..200 {
        text += &format!("{},site,index.html,GET,4000,\n", START_S + day * DAY_S);
    }
    let path = folder.join("log.csv");
    fs::write(&path, text).expect("the folder takes files");
    path.display().to_string()
}

fn vaultaire(line: &[&str]) -> Output {
    Command::new(binary()).args(line).output().expect("the binary runs")
}

fn json(line: &[&str]) -> Value {
    let output = vaultaire(line);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line:?}: {told}");
    serde_json::from_slice(&output.stdout).expect("JSON alone on stdout")
}

fn refused(line: &[&str], code: i32, told: &str) {
    let output = vaultaire(line);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{line:?}: {stderr}");
    assert!(stderr.contains(told), "{line:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{line:?}");
}

#[test]
fn a_log_is_simulated_and_its_decisions_are_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, decisions) = (log(folder.path()), folder.path().join("decisions.csv"));
    let decisions = decisions.display().to_string();
    let page = folder.path().join("saving.html").display().to_string();
    let found =
        json(&["simulate", "--log", &log, "--json", "--decisions", &decisions, "--report", &page]);
    let page = fs::read_to_string(page).expect("it was written");
    assert!(page.contains("<h1>What would you save?</h1>") && page.contains("<svg"), "{page}");
    let guarded = &found["policies"]["guarded"];
    for told in ["budget_nanousd", "excess_nanousd", "switching_nanousd"] {
        assert!(guarded[told].is_object(), "{told}: {guarded}");
    }
    let total = |bill: &Value| bill["total_nanousd"].as_i64().expect("an integer");
    let (all_hot, optimum) = (total(&found["all_hot"]), total(&found["optimum"]));
    assert_eq!(total(&found["policies"]["stay"]), all_hot);
    assert!(optimum * 3 < all_hot, "photos that nobody reads belong elsewhere: {found}");
    for name in ["age-30-90", "intelligent-tiering", "adaptive-ttl", "break-even"] {
        let cost = total(&found["policies"][name]);
        assert!((optimum..=all_hot).contains(&cost), "{name}: {found}");
    }
    // The small file stays where it is, under everything.
    let of_site = |bill: &Value| bill["by_bucket"]["site"].as_i64();
    assert_eq!(of_site(&found["optimum"]), of_site(&found["all_hot"]));
    let written = fs::read_to_string(&decisions).expect("it was written");
    assert!(written.starts_with("timestamp,bucket,key,policy,from,to\n"));
    assert!(written.contains("photos,2026/7.raw,optimum,,GLACIER_IR\n"), "{written}");
    assert!(written.contains("photos,2026/7.raw,age-30-90,STANDARD,STANDARD_IA\n"), "{written}");
    // People read a table.
    let text = vaultaire(&["simulate", "--log", &log, "--policies", "break-even"]).stdout;
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("OF OPTIMUM") && !text.contains("age-30-90"), "{text}");
}

#[test]
fn a_log_is_made_up_and_learnt_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (log, model) = (file("made.csv"), file("model.safetensors"));
    let make = ["generate-trace", "--objects", "2000", "--days", "150", "--output"];
    let made = json(&[&make[..], &[&log, "--json"]].concat());
    assert!(made["objects"].as_u64() > Some(1_000) && made["classes"]["web"].is_object(), "{made}");
    let again = vaultaire(&[&make[..], &["-"]].concat()).stdout;
    assert_eq!(fs::read(&log).expect("it was written"), again, "the same seed makes the same");
    // The 60th day of 2025.
    let learn = ["simulate", "--log", &log, "--json", "--policies", "stay,learned"];
    let learn = [&learn[..], &["--charge-from", "1740873600"]].concat();
    let records = file("records.jsonl");
    let written = ["--write-model", &model, "--records", &records];
    let found = json(&[&learn[..], &written].concat());
    let total = |bill: &Value| bill["total_nanousd"].as_i64().expect("an integer");
    let learned = total(&found["policies"]["learned"]);
    assert!(learned < total(&found["all_hot"]) && learned > total(&found["optimum"]), "{found}");
    // The weights that were written are used as they are.
    let reused = json(&[&learn[..], &["--model", &model]].concat());
    assert_eq!(reused["model"], found["model"]);
    assert!(found["model"].as_str().is_some_and(|hash| hash.len() == 64), "{found}");
    // Every decision is made again from what is written down, and told in words.
    let explained = json(&["explain", "--records", &records, "--json"]);
    let lines = fs::read_to_string(&records).expect("it was written");
    assert_eq!(explained["same"].as_u64(), Some(lines.lines().count() as u64));
    assert!(explained["same"].as_u64() > Some(100), "{explained}");
    let first: Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
    let name = format!("{}/{}", first["bucket"], first["key"]).replace('"', "");
    let told = vaultaire(&["explain", "--records", &records, "--key", &name]).stdout;
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("A YEAR, EXPECTED") && told.contains(&name), "{told}");
    let other = ["explain", "--records", &records, "--prices", "aws-eu-west-1"];
    refused(&other, 1, "the decision was priced by");
    let size = format!("\"size\":{}", first["size"]);
    fs::write(&records, lines.replacen(&size, "\"size\":1", 1)).expect("the folder takes files");
    refused(&["explain", "--records", &records], 1, "made again it is another decision");
    fs::write(&records, "garbage\n").expect("the folder takes files");
    refused(&["explain", "--records", &records], 1, "(line 1)");
    let rules = ["simulate", "--log", &log, "--policies", "stay", "--records", &records];
    refused(&rules, 2, "are for a policy that learns");
    let guarded = ["simulate", "--log", &log, "--policies", "guarded", "--records", &records];
    refused(&guarded, 2, "is of what the policy learned plans");
    fs::write(&model, b"no network").expect("the folder takes files");
    refused(&[&learn[..], &["--model", &model]].concat(), 1, "this is no network");
    refused(&[&make[..], &["-", "--class", "tapes"]].concat(), 2, "there is no class of workload");
    refused(&[&make[..], &["-", "--start", "today"]].concat(), 2, "--start today: a day is meant");
}

#[test]
fn logs_are_read_as_s3_writes_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).expect("the folder takes folders");
    let line = |day: u32, operation: &str, sent: u32| {
        let range = if operation == "REST.PUT.OBJECT" { "200 - -" } else { "206 -" };
        let sent = if operation == "REST.PUT.OBJECT" { String::new() } else { format!(" {sent}") };
        format!(
            "owner photos [{day:02}/Jan/2026:10:00:00 +0000] 192.0.2.3 caller 3E57 {operation} a%2520b.jpg \"GET /a HTTP/1.1\" {range}{sent} 50000000 7 5 \"-\" \"agent\" - host SigV4 cipher AuthHeader photos.example TLSv1.3 - -\n"
        )
    };
    fs::write(logs.join("2026-01-01"), line(1, "REST.PUT.OBJECT", 0)).expect("a file");
    let reads: String = (0..3).map(|_| line(9, "REST.GET.OBJECT", 1_000_000)).collect();
    fs::write(logs.join("2026-01-09"), reads + "garbage\n").expect("a file");
    let shown = logs.display().to_string();
    let output = vaultaire(&["simulate", "--log", &shown, "--json", "--policies", "stay"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("warning: 1 of 5 lines are no accesses"), "{told}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON alone on stdout");
    assert_eq!((&found["objects"], &found["versions"]), (&1.into(), &1.into()), "{found}");
    // One PUT at $0.005 and three GETs at $0.0004 for each thousand.
    assert_eq!(found["all_hot"]["by_kind"]["requests"], Value::from(5_000 + 3 * 400), "{found}");
    refused(&["simulate", "--log", &folder.path().join("none").display().to_string()], 1, "none");
}

#[test]
fn a_book_that_is_shown_is_a_book_that_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, own) = (log(folder.path()), folder.path().join("own.toml"));
    let own = own.display().to_string();
    let shown = vaultaire(&["prices", "show", "builtin"]).stdout;
    fs::write(&own, &shown).expect("the folder takes files");
    let by = |book: &str| json(&["simulate", "--log", &log, "--json", "--prices", book]);
    assert_eq!(by(&own), by("builtin"));
    assert_eq!(
        json(&["prices", "diff", "builtin", &own, "--json"])["differences"],
        Value::Array(vec![])
    );
    // One price less, and one day long ago.
    let text = String::from_utf8_lossy(&shown).replace("\"0.0125\"\nput", "\"0.01\"\nput");
    let text = text.replacen("date = \"2026", "date = \"2016", 1);
    fs::write(&own, text).expect("the folder takes files");
    let differences = json(&["prices", "diff", "builtin", &own, "--json"])["differences"].clone();
    let differs = |what: &str| {
        differences.as_array().is_some_and(|all| all.iter().any(|one| one["what"] == what))
    };
    assert!(differs("date") && differs("tier.STANDARD_IA.storage_gb_month"), "{differences}");
    let warning = json(&["prices", "check", &own, "--json"])["warning"].to_string();
    assert!(warning.contains("days ago"), "{warning}");
}

#[test]
fn a_book_over_another_one_changes_what_it_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, own) = (log(folder.path()), folder.path().join("own.toml"));
    let text = "base = \"builtin\"\nname = \"ours\"\nremove = [\"GLACIER_IR\"]\n\n[[tier]]\nname = \"STANDARD\"\nstorage_gb_month = \"0.02\"\n";
    fs::write(&own, text).expect("the folder takes files");
    let own = own.display().to_string();
    let differences = json(&["prices", "diff", "builtin", &own, "--json"])["differences"].clone();
    let to = |what: &str| {
        let all = differences.as_array().expect("a list");
        all.iter().find(|one| one["what"] == what).map(|one| one["to"].clone())
    };
    assert_eq!(to("tier.STANDARD.storage_gb_month"), Some("0.02".into()), "{differences}");
    assert_eq!(to("tier.GLACIER_IR.storage_gb_month"), Some("".into()), "{differences}");
    let tiers = json(&["simulate", "--log", &log, "--json", "--prices", &own])["tiers"].clone();
    assert!(!tiers.to_string().contains("GLACIER_IR"), "{tiers}");
    // Every book that comes along is listed, makes sense and prices a log.
    let books = json(&["prices", "show", "--json"])["books"].clone();
    let names: Vec<&str> =
        books.as_array().expect("a list").iter().filter_map(|book| book["name"].as_str()).collect();
    assert!(names.contains(&"azure-eastus") && names.contains(&"self-hosted"), "{names:?}");
    for name in names {
        assert_eq!(json(&["prices", "check", name, "--json"])["name"], name);
        assert_eq!(json(&["simulate", "--log", &log, "--json", "--prices", name])["book"], name);
    }
    // What the account gets for nothing is told, and counted by nobody.
    let output = vaultaire(&["simulate", "--log", &log, "--prices", "backblaze-b2"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("free allowances") && told.contains("10 GB stored each month"), "{told}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = log(folder.path());
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("the folder takes files");
        path.display().to_string()
    };
    let header = "timestamp,bucket,key,operation,size,bytes\n";
    let simulate = |log: &str, more: &[&str], code, told: &str| {
        refused(&[&["simulate", "--log", log], more].concat(), code, told);
    };
    simulate(&file("empty", ""), &[], 1, "is empty");
    simulate(&file("garbage", &format!("{header}a,b\n")), &[], 1, "is it the right file?");
    simulate(&file("sizeless", &format!("{header}9,b,k,PUT,,\n")), &[], 1, "b/k (line 2) is PUT");
    simulate("/nowhere/at/all", &[], 1, "/nowhere/at/all");
    simulate(&log, &["--policies", "stya"], 2, "there is no policy \"stya\"");
    simulate(&log, &["--charge-from", "5"], 2, "outside of the log");
    let mut homeless = Command::new(binary());
    homeless.args(["simulate", "--log", &log]).env("TMPDIR", "/nowhere/at/all");
    let told = homeless.output().expect("the binary runs").stderr;
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("in /nowhere/at/all") && told.contains("set TMPDIR"), "{told}");
    simulate(&log, &["--egress-to", "mars"], 2, "internet");
    let book = vaultaire(&["prices", "show", "builtin"]).stdout;
    let negative = String::from_utf8_lossy(&book).replacen("\"0.023\"", "\"-0.023\"", 1);
    let negative = file("negative.toml", &negative);
    simulate(&log, &["--prices", &negative], 1, "STANDARD: storage_gb_month is \"-0.023\"");
    refused(&["prices", "check", "no-such-book"], 1, "aws-us-east-1");
}
