//! The relay before resolvers that answer, lie and say nothing.

use std::net::UdpSocket;

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query as Question},
    rr::{Name, RecordType},
};

use super::*;

/// A resolver that answers each datagram as it is told, on a thread that ends with the test's process.
fn resolver(answer: impl Fn(Message) -> Vec<Message> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, asker)) = socket.recv_from(&mut buffer) {
            for message in answer(Message::from_vec(&buffer[..length]).unwrap()) {
                socket.send_to(&message.to_vec().unwrap(), asker).unwrap();
            }
        }
    });
    address
}

fn honest(query: Message) -> Vec<Message> {
    let mut answer = query;
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.authoritative = true;
    vec![answer]
}

fn question(name: &str) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Question::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message.to_vec().unwrap()
}

/// A relay for `db.example` and what is below `wild.example`.
fn relay(resolvers: Vec<SocketAddr>) -> (Relay, mpsc::Receiver<Refused>) {
    let wild = "*.wild.example".parse().unwrap();
    Relay::new(Resolvers::Fixed(resolvers), Names::new(["db.example"], &[wild]))
}

async fn asked(relay: &Relay, name: &str) -> Message {
    let answer = relay.answer(&question(name), &"agent".into(), Transport::Datagram).await.unwrap();
    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!((answer.metadata.id, answer.queries.len()), (7, 1));
    answer
}

async fn answer(resolvers: Vec<SocketAddr>) -> Message {
    asked(&relay(resolvers).0, "db.example.").await
}

#[tokio::test]
async fn no_resolver_hears_of_a_name_that_nobody_allows() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = heard.clone();
    let (relay, mut refused) = relay(vec![resolver(move |query| {
        ears.lock().push(query.queries[0].name().to_string());
        honest(query)
    })]);
    for name in ["stolen.example.", "stolen.db.example.", "stolen.stolen.wild.example.", "wild.example.", "."] {
        assert_eq!(asked(&relay, name).await.metadata.response_code, ResponseCode::NXDomain, "{name}");
        assert_eq!(refused.try_recv().unwrap().name, name);
    }
    let local = asked(&relay, "localhost.").await;
    assert_eq!(local.answers.iter().map(|record| record.data.to_string()).collect::<Vec<_>>(), ["127.0.0.1"]);
    for name in ["Db.Example.", "one.wild.example."] {
        assert!(asked(&relay, name).await.metadata.authoritative);
    }
    assert_eq!(*heard.lock(), ["db.example.", "one.wild.example."]);
    assert!(refused.try_recv().is_err(), "what is allowed is not told");
}

#[tokio::test]
async fn names_of_the_workloads_choice_end_at_their_pace() {
    let (relay, mut refused) = relay(vec![resolver(honest)]);
    for number in 0..super::super::WILD_ASKED_MAX {
        assert!(asked(&relay, &format!("n{number}.wild.example.")).await.metadata.authoritative);
    }
    assert_eq!(asked(&relay, "more.wild.example.").await.metadata.response_code, ResponseCode::Refused);
    assert_eq!(refused.try_recv().unwrap().why, TOO_FAST);
    assert!(asked(&relay, "db.example.").await.metadata.authoritative);
}

#[tokio::test]
async fn refusals_that_nobody_takes_are_counted_and_wait_nowhere() {
    let (relay, _refused) = relay(vec![]);
    for number in 0..UNTOLD_MAX + 5 {
        asked(&relay, &format!("n{number}.example.")).await;
    }
    assert_eq!(relay.untold(), 5);
}

#[tokio::test]
async fn an_answer_comes_under_the_askers_number() {
    assert!(answer(vec![resolver(honest)]).await.metadata.authoritative);
}

#[tokio::test]
async fn a_lie_is_passed_over_for_the_answer() {
    let resolver = resolver(|query| {
        let mut lie = query.clone();
        lie.metadata.id = lie.metadata.id.wrapping_add(1);
        let mut other = query.clone();
        other.queries = vec![Question::query(Name::from_ascii("evil.example.").unwrap(), RecordType::A)];
        [honest(lie), honest(other), honest(query)].concat()
    });
    assert!(answer(vec![resolver]).await.metadata.authoritative);
}

#[tokio::test]
async fn the_next_resolver_is_asked_when_one_is_not_there() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(answer(vec![gone, resolver(honest)]).await.metadata.authoritative);
}

#[tokio::test]
async fn nobody_to_ask_is_said() {
    assert_eq!(answer(vec![]).await.metadata.response_code, ResponseCode::Refused);
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(answer(vec![gone]).await.metadata.response_code, ResponseCode::ServFail);
}

#[test]
fn one_workload_takes_no_place_from_another() {
    let waiting = Arc::default();
    let (agent, other) = ("agent".into(), "other".into());
    let places: Vec<_> = (0..WAITING_OF_WORKLOAD_MAX).filter_map(|_| Place::take(&waiting, &agent)).collect();
    assert_eq!(places.len(), WAITING_OF_WORKLOAD_MAX);
    assert!(Place::take(&waiting, &agent).is_none());
    assert!(Place::take(&waiting, &other).is_some());
    drop(places);
    assert!(Place::take(&waiting, &agent).is_some());
}
