//! A workload's question: read from its message, written anew for a resolver, compared with an answer.

use std::sync::Arc;

use hickory_proto::{
    op::{Edns, Header, Message, MessageType, Metadata, OpCode, Query as Question, ResponseCode},
    rr::{DNSClass, RecordType},
    serialize::binary::{BinDecodable, BinDecoder},
};

use super::{DATAGRAM_ANSWER_MAX, PLAIN_ANSWER_MAX, QUERY_MAX};

/// `TKEY` negotiates keys between two that talk to each other (RFC 2930); a relay is neither.
const TKEY: u16 = 249;

/// How a question came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    Datagram,
    Stream,
}

/// One standard query with one question, and who asks it.
#[derive(Clone, Debug)]
pub struct Query {
    pub workload: Arc<str>,
    pub transport: Transport,
    pub question: Question,
    /// The workload's own number and flags of it.
    asked: Metadata,
    edns: Option<Offer>,
}

/// What the workload says that it can take (RFC 6891).
#[derive(Clone, Copy, Debug)]
struct Offer {
    answer_max: u16,
    dnssec: bool,
}

/// Why a message is not a query that may go on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unread {
    /// Too short for a header, or an answer itself: answering it could go on for ever.
    Ignored,
    /// The answer that says so.
    Answered(Vec<u8>),
}

/// The identifier of a message (RFC 1035, section 4.1.1).
pub fn id_of(message: &[u8]) -> Option<u16> {
    message.first_chunk().copied().map(u16::from_be_bytes)
}

impl Query {
    pub fn read(message: &[u8], workload: Arc<str>, transport: Transport) -> Result<Self, Unread> {
        let header = Header::read(&mut BinDecoder::new(message)).map_err(|_| Unread::Ignored)?;
        if header.message_type != MessageType::Query {
            return Err(Unread::Ignored);
        }
        let refuse = |code| Unread::Answered(refusal(&header.metadata, None, code));
        if header.op_code != OpCode::Query {
            return Err(refuse(ResponseCode::NotImp));
        }
        // Before the rest is read: a count is not believed. Two additional records are options and a signature.
        let counts = header.counts;
        let plain = counts.queries == 1 && counts.answers == 0 && counts.authorities == 0 && counts.additionals <= 2;
        if !plain || message.len() > QUERY_MAX {
            return Err(refuse(ResponseCode::FormErr));
        }
        let mut decoder = BinDecoder::new(message);
        let read = Message::read(&mut decoder).map_err(|_| refuse(ResponseCode::FormErr))?;
        let [question] = read.queries.as_slice() else { return Err(refuse(ResponseCode::FormErr)) };
        if !decoder.is_empty() || !read.additionals.is_empty() {
            return Err(refuse(ResponseCode::FormErr));
        }
        if read.signature.is_some() || !is_for_resolvers(question) {
            return Err(refuse(ResponseCode::Refused));
        }
        if read.edns.as_ref().is_some_and(|edns| edns.version() != 0) {
            return Err(refuse(ResponseCode::FormErr));
        }
        let edns = read.edns.as_ref().map(|edns| Offer {
            answer_max: edns.max_payload().clamp(PLAIN_ANSWER_MAX, DATAGRAM_ANSWER_MAX),
            dnssec: edns.flags().dnssec_ok,
        });
        Ok(Self { workload, transport, question: question.clone(), asked: header.metadata, edns })
    }

    /// The daemon's own message with this question. Nothing of the workload's is in it but the question and flags.
    pub(super) fn forwarded(&self, id: u16) -> Vec<u8> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = self.asked.recursion_desired;
        message.metadata.authentic_data = self.asked.authentic_data;
        message.metadata.checking_disabled = self.asked.checking_disabled;
        message.add_query(self.question.clone());
        if let Some(offer) = self.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(offer.answer_max).set_dnssec_ok(offer.dnssec);
            message.set_edns(edns);
        }
        // A question that was read can be written; if not, nothing is an answer to it.
        message.to_vec().unwrap_or_default()
    }

    /// Whether a message answers what [`Query::forwarded`] asked under this number: the name in the same letters
    /// too, which whoever only guesses would have to guess as well.
    pub(super) fn is_answered_by(&self, message: &[u8], id: u16) -> bool {
        let mut decoder = BinDecoder::new(message);
        let Ok(header) = Header::read(&mut decoder) else { return false };
        let answers = header.id == id
            && header.message_type == MessageType::Response
            && header.op_code == OpCode::Query
            && header.counts.queries == 1;
        answers && Question::read(&mut decoder).is_ok_and(|question| self.is_same(&question))
    }

    fn is_same(&self, other: &Question) -> bool {
        self.question.name().eq_case(other.name())
            && self.question.query_type() == other.query_type()
            && self.question.query_class() == other.query_class()
    }

    /// A resolver's answer for this workload: under the number that it asked by, and cut where it is too long.
    pub(super) fn answered(&self, mut message: Vec<u8>) -> Vec<u8> {
        if self.transport == Transport::Datagram && message.len() > usize::from(self.answer_max()) {
            return self.cut();
        }
        if let Some(id) = message.first_chunk_mut() {
            *id = self.asked.id.to_be_bytes();
        }
        message
    }

    /// The answer that says no, or that nobody answers.
    pub(super) fn refused(&self, code: ResponseCode) -> Vec<u8> {
        refusal(&self.asked, Some(&self.question), code)
    }

    /// Most bytes that the workload takes in a datagram.
    pub(super) fn answer_max(&self) -> u16 {
        self.edns.map_or(PLAIN_ANSWER_MAX, |offer| offer.answer_max)
    }

    /// The answer that sends the workload to TCP (RFC 7766, section 5).
    fn cut(&self) -> Vec<u8> {
        let mut message = Message::response(self.asked.id, OpCode::Query);
        message.metadata.truncation = true;
        message.metadata.recursion_desired = self.asked.recursion_desired;
        message.metadata.recursion_available = true;
        message.add_query(self.question.clone());
        message.to_vec().unwrap_or_default()
    }
}

/// Whether a resolver answers such questions: of the Internet, and not of two servers between themselves.
fn is_for_resolvers(question: &Question) -> bool {
    let between_servers = matches!(
        question.query_type(),
        RecordType::AXFR
            | RecordType::IXFR
            | RecordType::OPT
            | RecordType::TSIG
            | RecordType::SIG
            | RecordType::Unknown(TKEY)
    );
    question.query_class() == DNSClass::IN && !between_servers
}

fn refusal(asked: &Metadata, question: Option<&Question>, code: ResponseCode) -> Vec<u8> {
    let mut message = Message::error_msg(asked.id, asked.op_code, code);
    message.metadata.recursion_desired = asked.recursion_desired;
    message.metadata.recursion_available = true;
    message.add_queries(question.cloned());
    message.to_vec().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{Name, Record, rdata::TXT};
    use proptest::prelude::*;

    use super::*;

    fn question(name: &str, kind: RecordType) -> Message {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Question::query(Name::from_ascii(name).unwrap(), kind));
        message
    }

    fn read(message: &Message) -> Result<Query, Unread> {
        Query::read(&message.to_vec().unwrap(), "agent".into(), Transport::Datagram)
    }

    /// The code of the answer that a message got instead of going on.
    fn code(read: Result<Query, Unread>) -> ResponseCode {
        let Err(Unread::Answered(answer)) = read else { panic!("{read:?}") };
        let answer = Message::from_vec(&answer).unwrap();
        assert_eq!((answer.metadata.id, answer.metadata.message_type), (7, MessageType::Response));
        answer.metadata.response_code
    }

    #[test]
    fn one_standard_question_goes_on_under_a_number_of_the_daemons() {
        let query = read(&question("db.example.", RecordType::A)).unwrap();
        let forwarded = Message::from_vec(&query.forwarded(9)).unwrap();
        assert_eq!(forwarded.metadata.id, 9);
        assert!(forwarded.metadata.recursion_desired);
        assert_eq!(forwarded.queries, std::slice::from_ref(&query.question));
        assert_eq!(forwarded.edns, None);
    }

    #[test]
    fn nothing_of_a_message_goes_on_but_its_question() {
        let mut message = question("db.example.", RecordType::A);
        let mut edns = Edns::new();
        edns.set_max_payload(4096).set_dnssec_ok(true);
        edns.options_mut().insert(hickory_proto::rr::rdata::opt::EdnsOption::Unknown(65001, b"stolen".to_vec()));
        message.set_edns(edns);
        let forwarded = read(&message).unwrap().forwarded(9);
        assert!(!forwarded.windows(6).any(|bytes| bytes == b"stolen"));
        let edns = Message::from_vec(&forwarded).unwrap().edns.unwrap();
        assert_eq!((edns.max_payload(), edns.flags().dnssec_ok), (DATAGRAM_ANSWER_MAX, true));
    }

    #[test]
    fn what_is_no_plain_question_is_answered_at_once() {
        let mut update = question("db.example.", RecordType::A);
        update.metadata.op_code = OpCode::Update;
        assert_eq!(code(read(&update)), ResponseCode::NotImp);

        let mut two = question("db.example.", RecordType::A);
        two.add_query(Question::query(Name::from_ascii("b.example.").unwrap(), RecordType::A));
        assert_eq!(code(read(&two)), ResponseCode::FormErr);
        let mut none = question("db.example.", RecordType::A);
        none.queries.clear();
        assert_eq!(code(read(&none)), ResponseCode::FormErr);

        let data = hickory_proto::rr::RData::TXT(TXT::new(vec!["stolen".into()]));
        let record = Record::from_rdata(Name::from_ascii("x.example.").unwrap(), 1, data);
        for put in [Message::add_answer, Message::add_authority, Message::add_additional] {
            let mut carrier = question("db.example.", RecordType::A);
            put(&mut carrier, record.clone());
            assert_eq!(code(read(&carrier)), ResponseCode::FormErr);
        }

        let mut chaos = question("version.bind.", RecordType::TXT);
        chaos.queries.iter_mut().for_each(|question| {
            question.set_query_class(DNSClass::CH);
        });
        assert_eq!(code(read(&chaos)), ResponseCode::Refused);
        for kind in [RecordType::AXFR, RecordType::IXFR, RecordType::Unknown(TKEY)] {
            assert_eq!(code(read(&question("db.example.", kind))), ResponseCode::Refused, "{kind}");
        }

        let mut long = question("db.example.", RecordType::A).to_vec().unwrap();
        long.extend(b"stolen");
        assert_eq!(code(Query::read(&long, "agent".into(), Transport::Datagram)), ResponseCode::FormErr);
    }

    #[test]
    fn an_answer_and_a_scrap_are_not_answered() {
        let mut answer = question("db.example.", RecordType::A);
        answer.metadata.message_type = MessageType::Response;
        assert_eq!(read(&answer).unwrap_err(), Unread::Ignored);
        assert_eq!(Query::read(&[0, 7, 1], "agent".into(), Transport::Datagram).unwrap_err(), Unread::Ignored);
    }

    #[test]
    fn only_the_answer_to_this_question_is_its_answer() {
        let query = read(&question("Db.example.", RecordType::A)).unwrap();
        let answer = |id, name: &str, kind| {
            let mut answer = Message::response(id, OpCode::Query);
            answer.add_query(Question::query(Name::from_ascii(name).unwrap(), kind));
            answer.to_vec().unwrap()
        };
        assert!(query.is_answered_by(&answer(9, "Db.example.", RecordType::A), 9));
        assert!(!query.is_answered_by(&answer(8, "Db.example.", RecordType::A), 9));
        assert!(!query.is_answered_by(&answer(9, "db.example.", RecordType::A), 9));
        assert!(!query.is_answered_by(&answer(9, "Db.example.", RecordType::AAAA), 9));
        assert!(!query.is_answered_by(&query.forwarded(9), 9));
        assert!(!query.is_answered_by(&[], 9));
    }

    #[test]
    fn an_answer_too_long_for_the_asker_is_cut() {
        let query = read(&question("db.example.", RecordType::A)).unwrap();
        let long = Message::from_vec(&query.answered(vec![0; usize::from(PLAIN_ANSWER_MAX) + 1])).unwrap();
        assert_eq!((long.metadata.id, long.metadata.truncation), (7, true));
        assert_eq!(query.answered(vec![9; 12]), [&[0, 7][..], &[9; 10]].concat());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(message in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(query) = Query::read(&message, "agent".into(), Transport::Stream) {
                query.is_answered_by(&message, 9);
                prop_assert!(!query.forwarded(9).is_empty());
            }
        }
    }
}
