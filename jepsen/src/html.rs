//! The report of a history as one page that needs nothing else: the verdict, what was covered, what is wrong, and a
//! timeline of operations and faults. It judges nothing.

mod timeline;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::checker::judge::{Judgement, Verdict};
use crate::error::Error;

use self::timeline::Timeline;

/// How many violations are shown.
const SHOWN_MAX: usize = 100;

/// Readable in light and in dark, and on a phone: the timeline scrolls sideways by itself.
const STYLE: &str = "\
:root{color-scheme:light dark;--ok:#2e7d4f;--fail:#8a8f98;--info:#c77700;--bad:#c62828;--fault:#c6282833;--line:#8884;\
--ink:#1b1f24;--paper:#fff}\
@media(prefers-color-scheme:dark){:root{--ok:#5dbb85;--fail:#7d848e;--info:#f0a63c;--bad:#ff7b72;--fault:#ff7b7233;\
--ink:#e6e8eb;--paper:#14171a}}\
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:0 auto;padding:1rem;color:var(--ink);\
background:var(--paper)}\
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}\
.pass{color:var(--ok)}.fail{color:var(--bad)}.unknown{color:var(--info)}\
table{border-collapse:collapse}td,th{text-align:left;padding:.2rem 1rem .2rem 0;border-bottom:1px solid var(--line)}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;border-left:3px solid var(--bad);padding-left:.7rem}\
.time{overflow-x:auto}svg{display:block;min-width:50rem}svg text{font:10px system-ui,sans-serif;fill:var(--ink)}\
.o{fill:var(--ok)}.f{fill:var(--fail)}.i{fill:var(--info)}.n{fill:var(--fault)}";

/// Reads the history again for its timeline and writes the page.
pub fn write(history: &Path, judgement: &Judgement, to: &Path) -> Result<(), Error> {
    let timeline = Timeline::read(history, judgement.operations)?;
    let file = File::create(to).map_err(Error::file("create", to))?;
    let mut out = BufWriter::new(file);
    let page = page(judgement, &timeline.svg());
    out.write_all(page.as_bytes()).and_then(|()| out.flush()).map_err(Error::file("write", to))
}

fn page(judgement: &Judgement, timeline: &str) -> String {
    let (class, word) = match judgement.verdict {
        Verdict::Pass => ("pass", "Pass"),
        Verdict::Fail => ("fail", "Fail"),
        Verdict::Unknown(_) => ("unknown", "Unknown"),
    };
    let mut body = format!(
        "<h1 class=\"{class}\">{word}</h1><p>{} operations on {} keys, seed {}, workloads {}.</p>",
        judgement.operations,
        judgement.keys,
        judgement.seed,
        escape(&judgement.workload)
    );
    if let Verdict::Unknown(lacking) = &judgement.verdict {
        body.push_str("<h2>What is lacking</h2>");
        body.extend(lacking.iter().map(|text| format!("<p>{}</p>", escape(text))));
    }
    if !judgement.violations.is_empty() {
        let _ = write!(body, "<h2>{} violations</h2>", judgement.violations.len());
        let shown = judgement.violations.iter().take(SHOWN_MAX);
        body.extend(shown.map(|one| format!("<pre>{}</pre>", escape(&one.to_string()))));
    }
    body.push_str("<h2>Timeline</h2><div class=\"time\">");
    body.push_str(timeline);
    body.push_str(
        "</div><p><b class=\"pass\">acknowledged</b>, refused in grey, <b class=\"unknown\">outcome unknown</b>, \
         faults as bands.</p><h2>Coverage</h2>",
    );
    body.push_str(&coverage(judgement));
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><title>{word}: seed {}</title><style>{STYLE}</style>\
         <body>{body}</body></html>\n",
        judgement.seed
    )
}

fn coverage(judgement: &Judgement) -> String {
    let coverage = &judgement.coverage;
    let row =
        |name: &str, count: u64| format!("<tr><td>{}</td><td>{count}</td></tr>", escape(name));
    let mut table = String::from("<table><tr><th>Operation or fault</th><th>Times</th></tr>");
    table.extend(
        coverage.acknowledged.iter().map(|(kind, n)| row(&format!("{kind:?} acknowledged"), *n)),
    );
    table.push_str(&row("refused", coverage.failed));
    table.push_str(&row("outcome unknown", coverage.unknown));
    for (kind, count) in &coverage.faults {
        let under = coverage.acknowledged_under.get(kind).copied().unwrap_or(0);
        table.push_str(&row(kind, *count));
        table.push_str(&row(&format!("acknowledged under {kind}"), under));
    }
    table + "</table>"
}

/// Keys are whatever clients made of them.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::check;
    use crate::history::{Line, Phase, Recorder};
    use crate::operation::{Answer, Ask, Call};

    #[test]
    fn a_page_shows_verdict_operations_and_faults() {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Recorder::create(directory.path()).unwrap();
        let nemesis =
            |at_ns, phase| Line::Nemesis { at_ns, kind: "kill".to_owned(), node: Some(2), phase };
        let call = Call { bucket: "b".to_owned(), key: "<k&>".to_owned(), ask: Ask::Get };
        let (process, node) = (0, 1);
        for line in [
            nemesis(1_000, Phase::Begin),
            Line::Invoke { process, node, at_ns: 2_000, call: call.clone() },
            Line::Ok { process, at_ns: 3_000, answer: Answer::Missing },
            nemesis(4_000, Phase::End),
            Line::Invoke { process, node, at_ns: 5_000, call },
            Line::Info { process, at_ns: 6_000, why: "reset".to_owned() },
        ] {
            recorder.write(&line).unwrap();
        }
        recorder.flush().unwrap();
        let judgement = check::judge(directory.path(), 1_000).unwrap();
        let to = directory.path().join("r.html");
        write(directory.path(), &judgement, &to).unwrap();
        let page = std::fs::read_to_string(&to).unwrap();
        for part in ["<h1", "class=\"o\"", "class=\"i\"", "class=\"n\"", "kill", "&lt;k&amp;&gt;"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("<k&>") && !page.contains("http"), "{page}");
    }
}
