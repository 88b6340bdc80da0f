//! What a resolver said, read whole: only what answers the question goes on to a workload.
//!
//! Other records that come along (keys for Encrypted Client Hello among them, RFC 9460) would be believed by some programs,
//! and addresses among them would pass unjudged.

use std::{net::IpAddr, time::Duration};

use hickory_proto::{
    op::{Message, Query as Question, ResponseCode},
    rr::{Name, RData, Record},
};

use super::TTL_MAX;

/// Most names that stand for one another between the question and its addresses.
pub const ALIASES_MAX: usize = 16;

/// Most records of one answer that are looked at; a message over TCP may have thousands.
pub const RECORDS_MAX: usize = 1024;

/// An answer to one question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Answer {
    pub code: ResponseCode,
    /// Whether it was too long for how it was asked: nothing in it counts.
    pub truncated: bool,
    /// From the question's name over its aliases to what was asked for, in that order.
    pub records: Vec<Record>,
    /// How long it holds that there is none (RFC 2308).
    pub absence: Option<Record>,
}

impl Answer {
    /// Reads a message that answers this question. `None`: it is none that can be read, or has too many records.
    pub fn read(message: &[u8], question: &Question) -> Option<Self> {
        let message = Message::from_vec(message).ok()?;
        let (code, truncated) = (message.metadata.response_code, message.metadata.truncation);
        if truncated {
            return Some(Self { code, truncated, records: Vec::new(), absence: None });
        }
        if message.answers.len() > RECORDS_MAX {
            return None;
        }
        let records = chain(message.answers, question)?;
        let absence = message.authorities.into_iter().find(|record| matches!(record.data, RData::SOA(_))).map(capped);
        Some(Self { code, truncated, absence: absence.filter(|_| !is_answered(&records, question)), records })
    }

    /// The addresses, with how long they count.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, Duration)> {
        let address = |record: &Record| Some((record.data.ip_addr()?, Duration::from_secs(record.ttl.into())));
        self.records.iter().filter_map(address)
    }

    /// Takes out the addresses that are not admitted, and answers them.
    pub fn retain(&mut self, mut admits: impl FnMut(IpAddr) -> bool) -> Vec<IpAddr> {
        let mut dropped = Vec::new();
        self.records.retain(|record| match record.data.ip_addr() {
            Some(address) if !admits(address) => {
                dropped.push(address);
                false
            }
            Some(_) | None => true,
        });
        dropped
    }
}

/// The records that lead from the question's name to what was asked for. `None`: too many aliases, or a circle of them.
fn chain(answers: Vec<Record>, question: &Question) -> Option<Vec<Record>> {
    let mut rest: Vec<_> = answers.into_iter().filter(|record| record.dns_class == question.query_class()).collect();
    let mut name: Name = question.name().clone();
    let mut found = Vec::new();
    for _ in 0..=ALIASES_MAX {
        let (here, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|record| record.name == name);
        let (asked, others_here): (Vec<_>, Vec<_>) =
            here.into_iter().partition(|record| record.record_type() == question.query_type());
        if !asked.is_empty() {
            found.extend(asked.into_iter().map(capped));
            return Some(found);
        }
        let alias = others_here.into_iter().find_map(|record| match &record.data {
            RData::CNAME(target) => Some((target.0.clone(), record)),
            // Not what was asked for.
            _ => None,
        });
        let Some((target, record)) = alias else { return Some(found) };
        found.push(capped(record));
        (name, rest) = (target, others);
    }
    None
}

fn is_answered(records: &[Record], question: &Question) -> bool {
    records.iter().any(|record| record.record_type() == question.query_type())
}

/// Programs must not keep an answer for longer than the daemon remembers that it gave it.
fn capped(mut record: Record) -> Record {
    record.ttl = record.ttl.min(TTL_MAX);
    record
}

#[cfg(test)]
mod tests {
    use hickory_proto::{
        op::{MessageType, OpCode},
        rr::{
            RecordType,
            rdata::{A, CNAME, SOA, TXT},
        },
    };
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn question() -> Question {
        Question::query(name("db.example."), RecordType::A)
    }

    fn address(owner: &str, last: u8) -> Record {
        Record::from_rdata(name(owner), 86_400, RData::A(A::new(192, 0, 2, last)))
    }

    fn alias(owner: &str, target: &str) -> Record {
        Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(target))))
    }

    fn read(answers: Vec<Record>, authorities: Vec<Record>, additionals: Vec<Record>) -> Option<Answer> {
        let mut message = Message::new(7, MessageType::Response, OpCode::Query);
        message.add_query(question());
        message.add_answers(answers);
        message.add_authorities(authorities);
        message.add_additionals(additionals);
        Answer::read(&message.to_vec().unwrap(), &question())
    }

    fn told(answer: &Answer) -> Vec<String> {
        answer.addresses().map(|(address, _)| address.to_string()).collect()
    }

    #[test]
    fn what_answers_the_question_goes_on_and_nothing_else() {
        let text = Record::from_rdata(name("db.example."), 60, RData::TXT(TXT::new(vec!["x".into()])));
        let answers = vec![
            address("other.example.", 9),
            text.clone(),
            address("CDN.example.", 1),
            alias("db.example.", "cdn.example."),
            address("cdn.example.", 2),
        ];
        let answer = read(answers, vec![text.clone()], vec![address("db.example.", 8), text]).unwrap();
        assert_eq!(told(&answer), ["192.0.2.1", "192.0.2.2"]);
        assert_eq!((answer.records.len(), answer.absence.clone()), (3, None));
        assert!(answer.records.iter().all(|record| record.ttl <= TTL_MAX));
    }

    #[test]
    fn an_absence_says_how_long_it_holds() {
        let start = SOA::new(name("ns.example."), name("admin.example."), 1, 2, 3, 4, 5);
        let start = Record::from_rdata(name("example."), 60, RData::SOA(start));
        assert_eq!(read(vec![], vec![start.clone()], vec![]).unwrap().absence, Some(start.clone()));
        assert_eq!(read(vec![address("db.example.", 1)], vec![start], vec![]).unwrap().absence, None);
    }

    #[test]
    fn aliases_end_somewhere() {
        let circle = vec![alias("db.example.", "a.example."), alias("a.example.", "db.example.")];
        assert_eq!(told(&read(circle, vec![], vec![]).unwrap()), Vec::<String>::new());
        let chain = |length: usize| {
            let names: Vec<_> = (0..length).map(|number| format!("n{number}.example.")).collect();
            let owners = ["db.example.".to_owned()].into_iter().chain(names.clone());
            let mut records: Vec<_> = owners.zip(&names).map(|(owner, target)| alias(&owner, target)).collect();
            records.push(address(names.last().unwrap(), 1));
            read(records, vec![], vec![])
        };
        assert_eq!(told(&chain(ALIASES_MAX).unwrap()), ["192.0.2.1"]);
        assert_eq!(chain(ALIASES_MAX + 1), None);
    }

    #[test]
    fn what_is_not_admitted_is_taken_out() {
        let mut answer = read(vec![address("db.example.", 1), address("db.example.", 2)], vec![], vec![]).unwrap();
        let first: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(answer.retain(|address| address != first), [first]);
        assert_eq!(told(&answer), ["192.0.2.2"]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(message in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Answer::read(&message, &question());
        }
    }
}
