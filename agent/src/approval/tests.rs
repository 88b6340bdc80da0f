use std::{sync::Arc, time::Duration};

use super::*;
use crate::principal::Process;

fn terms(groups: &[&[&str]], valid: u64) -> Terms {
    let groups = groups.iter().map(|any| any.iter().map(|group| Arc::from(*group)).collect()).collect();
    Terms { groups, wait: Duration::from_secs(300), valid: Duration::from_secs(valid) }
}

fn question(workload: &str, text: &str, terms: Terms) -> Question {
    let process = Process {
        pid: 1,
        uid: 1000,
        user: "bot".to_owned(),
        executable: None,
        executable_hash: None,
        command_line: Vec::new(),
        parents: Vec::new(),
        cgroup: String::new(),
        cgroup_id: 1,
    };
    Question {
        session: "s".to_owned(),
        principal: Arc::new(Principal { workload: workload.into(), groups: Vec::new(), owner: None, process }),
        target: "shop".into(),
        summary: text.to_owned(),
        digest: *blake3::hash(text.as_bytes()).as_bytes(),
        accesses: Vec::new(),
        message: "needs a person".to_owned(),
        rules: vec!["risky".to_owned()],
        terms,
    }
}

fn person(uid: u32, name: &str, groups: &[&str]) -> Approver {
    Approver { uid, name: name.to_owned(), groups: Some(groups.iter().map(|group| Arc::from(*group)).collect()) }
}

fn ask(desk: &Arc<Desk>, terms: Terms) -> Ticket {
    desk.ask(question("bot", "UPDATE t SET v = 1", terms)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_member_of_the_group_lets_it_go_on() {
    let desk = Arc::new(Desk::default());
    let mut ticket = ask(&desk, terms(&[&["dba", "lead"]], 0));
    let settled =
        desk.approve(ticket.id().as_str(), &person(7, "eve", &["lead"]), Some("ticket 4711".to_owned())).unwrap();
    assert!(settled.complete && settled.grant.is_none());
    let granted = Outcome::Granted { by: vec!["eve".to_owned()], reason: Some("ticket 4711".to_owned()) };
    assert_eq!(ticket.answer().await, granted);
    assert!(desk.list().is_empty());
}

#[tokio::test(start_paused = true)]
async fn silence_is_a_denial() {
    let desk = Arc::new(Desk::default());
    let mut ticket = ask(&desk, terms(&[&["dba"]], 0));
    assert_eq!(ticket.answer().await, Outcome::TimedOut { after_seconds: 300 });
}

#[tokio::test]
async fn nobody_else_may_answer() {
    let desk = Arc::new(Desk::default());
    let ticket = ask(&desk, terms(&[&["dba"]], 0));
    let id = ticket.id().as_str();
    let stranger = person(7, "mallory", &["sre"]);
    assert!(matches!(desk.approve(id, &stranger, None), Err(DeskError::NotAnApprover { .. })));
    assert!(matches!(desk.deny(id, &stranger, None), Err(DeskError::NotAnApprover { .. })));
    assert!(matches!(desk.approve(id, &person(7, "mallory", &[]), None), Err(DeskError::NotAnApprover { .. })));
    assert_eq!(desk.list().len(), 1);
}

#[tokio::test]
async fn a_workload_cannot_approve_itself() {
    let desk = Arc::new(Desk::default());
    let ticket = ask(&desk, terms(&[&["dba"]], 0));
    let own = person(1000, "bot", &["dba"]);
    assert!(matches!(desk.approve(ticket.id().as_str(), &own, None), Err(DeskError::OwnRequest(_))));
}

#[tokio::test]
async fn two_groups_are_two_people() {
    let desk = Arc::new(Desk::default());
    let mut ticket = ask(&desk, terms(&[&["dba"], &["sre"]], 0));
    let id = ticket.id().to_string();
    let both = person(7, "eve", &["dba", "sre"]);
    assert!(!desk.approve(&id, &both, None).unwrap().complete);
    assert!(matches!(desk.approve(&id, &both, None), Err(DeskError::AlreadyVoted(_))));
    assert!(desk.approve(&id, &person(8, "bob", &["sre"]), None).unwrap().complete);
    assert!(matches!(ticket.answer().await, Outcome::Granted { by, .. } if by == ["eve", "bob"]));
}

#[tokio::test]
async fn leaving_withdraws_the_request() {
    let desk = Arc::new(Desk::default());
    let ticket = ask(&desk, terms(&[&["dba"]], 0));
    let id = ticket.id().to_string();
    drop(ticket);
    assert!(desk.list().is_empty());
    assert!(matches!(desk.approve(&id, &person(7, "eve", &["dba"]), None), Err(DeskError::Unknown(_))));
}

#[tokio::test]
async fn a_standing_grant_serves_the_same_text_of_the_same_workload_only() {
    let desk = Arc::new(Desk::default());
    let ticket = ask(&desk, terms(&[&["dba"]], 600));
    let settled = desk.approve(ticket.id().as_str(), &person(7, "eve", &["dba"]), None).unwrap();
    let grant = settled.grant.unwrap();
    let mut again = ask(&desk, terms(&[&["dba"]], 600));
    assert!(matches!(again.answer().await, Outcome::Reused { .. }));
    let _other_text = desk.ask(question("bot", "UPDATE t SET v = 2", terms(&[&["dba"]], 600))).unwrap();
    let _other_workload = desk.ask(question("cat", "UPDATE t SET v = 1", terms(&[&["dba"]], 600))).unwrap();
    assert_eq!(desk.list().len(), 2);
    assert!(desk.revoke(&grant.id));
    let _waits_again = ask(&desk, terms(&[&["dba"]], 600));
    assert_eq!(desk.list().len(), 3);
}

#[tokio::test]
async fn one_workload_cannot_bury_the_approvers() {
    let desk = Arc::new(Desk::default());
    let tickets: Vec<_> = (0..PENDING_PER_WORKLOAD_MAX).map(|_| ask(&desk, terms(&[&["dba"]], 0))).collect();
    let more = desk.ask(question("bot", "UPDATE t SET v = 1", terms(&[&["dba"]], 0)));
    assert!(matches!(more, Err(DeskError::TooMany(PENDING_PER_WORKLOAD_MAX))));
    assert!(desk.ask(question("cat", "UPDATE t SET v = 1", terms(&[&["dba"]], 0))).is_ok());
    drop(tickets);
}
