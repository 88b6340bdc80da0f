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

fn question() -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Question::query(Name::from_ascii("db.example.").unwrap(), RecordType::A));
    message.to_vec().unwrap()
}

async fn answer(resolvers: Vec<SocketAddr>) -> Message {
    let relay = Relay::new(Resolvers::Fixed(resolvers));
    let answer = relay.answer(&question(), &"agent".into(), Transport::Datagram).await.unwrap();
    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!((answer.metadata.id, answer.queries.len()), (7, 1));
    answer
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
