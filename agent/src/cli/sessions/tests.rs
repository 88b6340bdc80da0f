//! The commands against a store as the daemon leaves it.

use clap::Parser;

use super::*;
use crate::record::{DecisionEntry, DenialEntry, Kind, Outcome, Recorder, RecorderConfig, SessionHeader};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    sessions: Sessions,
}

fn record(state: &Path, target: &str, statements: &[&str]) -> SessionId {
    let recorder = Recorder::open(&RecorderConfig::new(state)).unwrap();
    let header = SessionHeader {
        principal: None,
        target: Some(target.into()),
        protocol: Some("test".into()),
        destination: "10.0.3.7:5432".into(),
        upstream: None,
        policy_generation: 3,
    };
    let session = recorder.begin(&header).unwrap();
    for statement in statements {
        session.append(Kind::FromWorkload, statement.as_bytes()).unwrap();
        let denied = statement.starts_with("DROP");
        let effect = if denied { "deny" } else { "allow" };
        let rules = vec!["no-drop".into()];
        let decision = DecisionEntry { effect: effect.into(), stage: "execute".into(), rules, ..Default::default() };
        session.append_json(Kind::Decision, &decision).unwrap();
        if denied {
            let denial = DenialEntry {
                message: "no".into(),
                rule: Some("no-drop".into()),
                accesses: vec!["drop_table shop/public.a".into()],
                ..DenialEntry::default()
            };
            session.append_json(Kind::Denial, &denial).unwrap();
        } else {
            session.append(Kind::ToWorkload, b"1 row\nEvil \x1b[2J\x9b\n").unwrap();
        }
    }
    let id = session.id();
    session.end(Outcome::Closed);
    id
}

fn run(state: &Path, arguments: &[&str]) -> anyhow::Result<(String, ExitCode)> {
    let mut cli = Cli::try_parse_from(["sessions"].iter().chain(arguments))?;
    let state = cli.sessions.state.take().unwrap_or_else(|| state.to_owned());
    let mut out = Vec::new();
    let code = cli.sessions.run_to(&state, &mut out)?;
    Ok((String::from_utf8(out)?, code))
}

fn succeed(state: &Path, arguments: &[&str]) -> String {
    let (text, code) = run(state, arguments).unwrap();
    assert_eq!(code, ExitCode::SUCCESS, "{text}");
    text
}

#[test]
fn a_list_is_filtered() {
    let state = tempfile::tempdir().unwrap();
    let shop = record(state.path(), "shop", &["SELECT 1", "DROP TABLE a"]);
    let stock = record(state.path(), "stock", &["SELECT 1"]);
    let all = succeed(state.path(), &["list"]);
    assert_eq!(all.lines().count(), 3);
    assert!(all.lines().nth(1).unwrap().starts_with(&stock.to_string()), "the latest comes first: {all}");
    let denied = succeed(state.path(), &["list", "--denied"]);
    assert!(denied.contains(&shop.to_string()) && !denied.contains(&stock.to_string()));
    assert!(!succeed(state.path(), &["list", "--target", "stock"]).contains(&shop.to_string()));
    assert_eq!(succeed(state.path(), &["list", "--limit", "1"]).lines().count(), 2);
    assert_eq!(succeed(state.path(), &["list", "--workload", "nobody", "--json"]), "[]\n");
    let json: serde_json::Value = serde_json::from_str(&succeed(state.path(), &["list", "--json"])).unwrap();
    assert_eq!((&json[1]["denials"], &json[1]["outcome"]), (&1.into(), &"closed".into()));
}

#[test]
fn a_replay_tells_what_happened_and_never_obeys_it() {
    let state = tempfile::tempdir().unwrap();
    record(state.path(), "shop", &["SELECT 1", "DROP TABLE a"]);
    let text = succeed(state.path(), &["replay", "latest", "--instant"]);
    let told: Vec<_> = text.lines().map(|line| line.split_at(12).1.trim_end()).collect();
    assert_eq!(
        told,
        [
            "begin      nobody that is known to shop at 10.0.3.7:5432",
            "workload   SELECT 1",
            "decision   allow by no-drop",
            "answer     1 row",
            r"answer     Evil \u{1b}[2J\x9b",
            "workload   DROP TABLE a",
            "decision   deny by no-drop",
            "denial     no (no-drop)",
            "denial     would: drop_table shop/public.a",
            "end        closed",
        ]
    );
}

#[test]
fn a_session_is_shown() {
    let state = tempfile::tempdir().unwrap();
    let id = record(state.path(), "shop", &["SELECT 1", "DROP TABLE a"]);
    let text = succeed(state.path(), &["show", &id.to_string()[..20]]);
    for line in ["outcome      closed", "target       shop", "denied       1", "policy       generation 3"] {
        assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("no (no-drop)"));
    let json: serde_json::Value = serde_json::from_str(&succeed(state.path(), &["show", "latest", "--json"])).unwrap();
    assert_eq!(json["denials"][0]["rule"], "no-drop");
}

#[test]
fn verification_answers_with_its_exit_status() {
    let state = tempfile::tempdir().unwrap();
    let id = record(state.path(), "shop", &["SELECT 1"]);
    record(state.path(), "shop", &["SELECT 2"]);
    assert!(succeed(state.path(), &["verify", "--all"]).ends_with("2 sound, 0 broken\n"));
    std::fs::remove_file(record::path_of(&record::folder_below(state.path()), id)).unwrap();
    let (text, code) = run(state.path(), &["verify", "--all"]).unwrap();
    assert_eq!(code, ExitCode::FAILURE);
    assert!(text.contains(&format!("{id}  BROKEN  the file is missing")), "{text}");
    succeed(state.path(), &["verify", "latest"]);
    let (json, code) = run(state.path(), &["verify", &id.to_string(), "--json"]).unwrap();
    assert_eq!(code, ExitCode::FAILURE);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["sessions"][0]["findings"][0], "the file is missing");
}

#[test]
fn exports_hold_everything() {
    let state = tempfile::tempdir().unwrap();
    record(state.path(), "shop", &["SELECT 1"]);
    let lines = succeed(state.path(), &["export", "latest"]);
    let kinds: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["begin", "from_workload", "decision", "to_workload", "end"]);
    let cast = succeed(state.path(), &["export", "latest", "--format", "asciicast"]);
    assert!(cast.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    assert!(cast.chars().all(|letter| letter == '\n' || !letter.is_control()));
}

#[test]
fn an_id_may_be_shortened_but_not_guessed() {
    let state = tempfile::tempdir().unwrap();
    let id = record(state.path(), "shop", &[]);
    record(state.path(), "shop", &[]);
    let ambiguous = run(state.path(), &["show", &id.to_string()[..2]]).unwrap_err().to_string();
    assert!(ambiguous.contains("more than one session"), "{ambiguous}");
    let unknown = run(state.path(), &["show", "zzz%"]).unwrap_err().to_string();
    assert!(unknown.contains("no session begins with: zzz%"), "{unknown}");
}

#[test]
fn another_state_directory_is_named() {
    let state = tempfile::tempdir().unwrap();
    let missing = run(state.path(), &["list"]).unwrap_err().to_string();
    assert!(missing.contains("hint: "), "{missing}");
    record(state.path(), "shop", &[]);
    succeed(Path::new("/nowhere"), &["list", "--state", state.path().to_str().unwrap()]);
}
