//! The relay before resolvers that answer, lie and say nothing.

use std::net::UdpSocket;

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query as Question},
    rr::{
        Name, Record, RecordType,
        rdata::{
            HTTPS, SVCB,
            svcb::{EchConfigList, SvcParamKey, SvcParamValue},
        },
    },
};

use super::{
    super::{UNTOLD_MAX, pace::TooMuch},
    *,
};

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
    let name = answer.queries[0].name().clone();
    answer.add_answer(Record::from_rdata(name, 60, RData::A(A::new(192, 0, 2, 99))));
    vec![answer]
}

/// Whether it is what an honest resolver says.
fn is_honest(answer: &Message) -> bool {
    answer.answers.iter().map(|record| record.data.to_string()).eq(["192.0.2.99"])
}

/// What is told of the next question.
fn told(lookups: &mut Lookups) -> (String, Outcome) {
    let lookup = lookups.refused.try_recv().or_else(|_| lookups.answered.try_recv()).unwrap();
    (lookup.name, lookup.outcome)
}

fn question(name: &str) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Question::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message.to_vec().unwrap()
}

/// A relay for `db.example` and what is below `wild.example`.
fn relay(resolvers: Vec<SocketAddr>) -> (Relay, Lookups) {
    let [wild, home] = ["*.wild.example", "home.wild.example"].map(|text| text.parse().unwrap());
    let homes = Homes::new(["db.example"], &[home]);
    Relay::new(Resolvers::Fixed(resolvers), Names::new(["db.example"], &[wild]), homes)
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
    let (relay, mut lookups) = relay(vec![resolver(move |query| {
        ears.lock().push(query.queries[0].name().to_string());
        honest(query)
    })]);
    for name in ["stolen.example.", "stolen.db.example.", "stolen.stolen.wild.example.", "wild.example.", "."] {
        assert_eq!(asked(&relay, name).await.metadata.response_code, ResponseCode::NXDomain, "{name}");
        assert_eq!(told(&mut lookups), (name.to_owned(), Outcome::Refused(UNKNOWN.into())));
    }
    let local = asked(&relay, "localhost.").await;
    assert_eq!(local.answers.iter().map(|record| record.data.to_string()).collect::<Vec<_>>(), ["127.0.0.1"]);
    for name in ["Db.Example.", "one.wild.example."] {
        assert!(is_honest(&asked(&relay, name).await));
    }
    assert_eq!(*heard.lock(), ["db.example.", "one.wild.example."]);
    let answers = [("localhost.", "127.0.0.1"), ("Db.Example.", "192.0.2.99"), ("one.wild.example.", "192.0.2.99")];
    for (name, answer) in answers {
        assert_eq!(told(&mut lookups), (name.to_owned(), Outcome::Answered(answer.into())));
    }
}

#[tokio::test]
async fn names_of_the_workloads_choice_end_at_their_pace() {
    let (relay, mut lookups) = relay(vec![resolver(honest)]);
    for number in 0..super::super::WILD_ASKED_MAX {
        assert!(is_honest(&asked(&relay, &format!("n{number}.wild.example.")).await));
    }
    assert_eq!(asked(&relay, "more.wild.example.").await.metadata.response_code, ResponseCode::Refused);
    assert_eq!(told(&mut lookups).1, Outcome::Refused(TooMuch::Names.to_string()));
    assert!(is_honest(&asked(&relay, "db.example.").await));
}

#[tokio::test]
async fn refusals_that_nobody_takes_are_counted_and_wait_nowhere() {
    let (relay, _lookups) = relay(vec![]);
    for number in 0..UNTOLD_MAX + 5 {
        asked(&relay, &format!("n{number}.example.")).await;
    }
    assert_eq!(relay.untold(), 5);
}

#[tokio::test]
async fn an_answer_comes_under_the_askers_number() {
    assert!(is_honest(&answer(vec![resolver(honest)]).await));
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
    assert!(is_honest(&answer(vec![resolver]).await));
}

#[tokio::test]
async fn the_next_resolver_is_asked_when_one_is_not_there() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(is_honest(&answer(vec![gone, resolver(honest)]).await));
}

#[tokio::test]
async fn nobody_to_ask_is_said() {
    assert_eq!(answer(vec![]).await.metadata.response_code, ResponseCode::Refused);
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(answer(vec![gone]).await.metadata.response_code, ResponseCode::ServFail);
}

/// A resolver that says these addresses, of any name.
fn saying(addresses: &[&str]) -> SocketAddr {
    let addresses: Vec<std::net::Ipv4Addr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    resolver(move |query| {
        let mut answer = honest(query).remove(0);
        let name = answer.queries[0].name().clone();
        answer.answers =
            addresses.iter().map(|address| Record::from_rdata(name.clone(), 60, RData::A(A(*address)))).collect();
        vec![answer]
    })
}

#[tokio::test]
async fn an_allowed_name_does_not_lead_to_this_host() {
    let (relay, mut lookups) = relay(vec![saying(&["127.0.0.1", "169.254.169.254"])]);
    for name in ["db.example.", "one.wild.example."] {
        let answer = asked(&relay, name).await;
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::NoError, 0), "{name}");
        let (told, Outcome::Refused(why)) = told(&mut lookups) else { panic!("{name}") };
        assert!(told == name && why.contains("127.0.0.1 169.254.169.254") && why.contains("[dns] private"), "{why}");
    }
    let answer = asked(&relay, "home.wild.example.").await;
    let addresses: Vec<_> = answer.answers.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(addresses, ["127.0.0.1"], "but the metadata stays out of reach");
}

#[tokio::test]
async fn what_is_left_of_an_answer_goes_on_and_is_remembered() {
    let (relay, mut lookups) = relay(vec![saying(&["127.0.0.1", "192.0.2.99"])]);
    assert!(is_honest(&asked(&relay, "db.example.").await));
    assert!(matches!(told(&mut lookups).1, Outcome::Refused(_)));
    assert_eq!(told(&mut lookups).1, Outcome::Answered("192.0.2.99".into()));
    let names = |workload, address: &str| relay.pins().names_at(workload, address.parse().unwrap(), Instant::now());
    assert_eq!(names("agent", "192.0.2.99"), ["db.example".into()]);
    assert!(names("agent", "127.0.0.1").is_empty() && names("other", "192.0.2.99").is_empty());
}

#[tokio::test]
async fn no_answer_brings_keys_for_an_encrypted_hello() {
    let (relay, _lookups) = relay(vec![resolver(|query| {
        let mut answer = honest(query).remove(0);
        let name = answer.queries[0].name().clone();
        let keys = SvcParamValue::EchConfigList(EchConfigList(b"keys".to_vec()));
        let service = SVCB::new(1, Name::root(), vec![(SvcParamKey::EchConfigList, keys)]);
        let offer = |data| Record::from_rdata(name.clone(), 60, data);
        let offers = [offer(RData::HTTPS(HTTPS(service.clone()))), offer(RData::SVCB(service))];
        answer.add_answers(offers.clone());
        answer.add_authorities(offers.clone());
        answer.add_additionals(offers);
        vec![answer]
    })]);
    assert!(is_honest(&asked(&relay, "db.example.").await));
    for kind in [RecordType::HTTPS, RecordType::SVCB] {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Question::query(Name::from_ascii("db.example.").unwrap(), kind));
        let answer = relay.answer(&message.to_vec().unwrap(), &"agent".into(), Transport::Datagram).await.unwrap();
        let answer = Message::from_vec(&answer).unwrap();
        assert_eq!((answer.metadata.response_code, answer.all_sections().count()), (ResponseCode::NoError, 0));
    }
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
