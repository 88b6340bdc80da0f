//! A workload's question: read from its message, and answered.

use std::sync::Arc;

use hickory_proto::{
    op::{Edns, Header, Message, MessageType, Metadata, OpCode, Query as Question, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType, rdata::opt::EdnsOption},
    serialize::binary::{BinDecodable, BinDecoder},
};

use super::{DATAGRAM_ANSWER_MAX, PLAIN_ANSWER_MAX, QUERY_MAX, answer::Answer, inquiry::Inquiry};

/// `TKEY` negotiates keys between two that talk to each other (RFC 2930); a relay is neither.
const TKEY: u16 = 249;

/// An Extended DNS Error and its code `Blocked` (RFC 8914, sections 2 and 4.16).
const EXTENDED_ERROR: u16 = 15;
const BLOCKED: u16 = 15;

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
        let edns = read
            .edns
            .as_ref()
            .map(|edns| Offer { answer_max: edns.max_payload().clamp(PLAIN_ANSWER_MAX, DATAGRAM_ANSWER_MAX) });
        Ok(Self { workload, transport, question: question.clone(), asked: header.metadata, edns })
    }

    /// What the daemon asks for it, under a name that is not the workload's spelling.
    pub(super) fn inquiry(&self, name: Name) -> Inquiry {
        Inquiry::new(name, self.question.query_type(), self.edns.is_some())
    }

    /// A resolver's answer for this workload: under the number and the spelling that it asked by, and cut where it is
    /// too long.
    pub(super) fn answered(&self, answer: &Answer) -> Vec<u8> {
        let mut message = response(&self.asked, Some(&self.question), answer.code);
        message.metadata.truncation = answer.truncated;
        let spelled = |mut record: Record| {
            if record.name == *self.question.name() {
                record.name = self.question.name().clone();
            }
            record
        };
        message.add_answers(answer.records.iter().cloned().map(spelled));
        message.add_authorities(answer.absence.clone());
        if self.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(DATAGRAM_ANSWER_MAX);
            message.set_edns(edns);
        }
        let message = self.written(message);
        let is_long = self.transport == Transport::Datagram && message.len() > usize::from(self.answer_max());
        if is_long { self.cut() } else { message }
    }

    /// What is known here, without a resolver: one record, or none.
    pub(super) fn told(&self, record: Option<RData>) -> Vec<u8> {
        const SECONDS: u32 = 60;
        let mut message = response(&self.asked, Some(&self.question), ResponseCode::NoError);
        message.add_answers(record.map(|data| Record::from_rdata(self.question.name().clone(), SECONDS, data)));
        self.written(message)
    }

    /// The answer that says no and why, to those that understand reasons (RFC 8914).
    pub(super) fn blocked(&self, code: ResponseCode, why: &str) -> Vec<u8> {
        let mut message = response(&self.asked, Some(&self.question), code);
        if self.edns.is_some() {
            let reason = [&BLOCKED.to_be_bytes(), why.as_bytes()].concat();
            let mut edns = Edns::new();
            edns.set_max_payload(DATAGRAM_ANSWER_MAX);
            edns.options_mut().insert(EdnsOption::Unknown(EXTENDED_ERROR, reason));
            message.set_edns(edns);
        }
        self.written(message)
    }

    /// The answer that says no, or that nobody answers.
    pub(super) fn refused(&self, code: ResponseCode) -> Vec<u8> {
        refusal(&self.asked, Some(&self.question), code)
    }

    /// One of the daemon's own messages.
    fn written(&self, message: Message) -> Vec<u8> {
        message.to_vec().unwrap_or_else(|_| self.refused(ResponseCode::ServFail))
    }

    /// Most bytes that the workload takes in a datagram.
    pub(super) fn answer_max(&self) -> u16 {
        self.edns.map_or(PLAIN_ANSWER_MAX, |offer| offer.answer_max)
    }

    /// The answer that sends the workload to TCP (RFC 7766, section 5).
    fn cut(&self) -> Vec<u8> {
        let mut message = response(&self.asked, Some(&self.question), ResponseCode::NoError);
        message.metadata.truncation = true;
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
    response(asked, question, code).to_vec().unwrap_or_default()
}

fn response(asked: &Metadata, question: Option<&Question>, code: ResponseCode) -> Message {
    let mut message = Message::error_msg(asked.id, asked.op_code, code);
    message.metadata.recursion_desired = asked.recursion_desired;
    message.metadata.recursion_available = true;
    message.add_queries(question.cloned());
    message
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

    /// What a resolver would hear of a message.
    fn forwarded(message: &Message) -> Vec<u8> {
        read(message).unwrap().inquiry(Name::from_ascii("db.example.").unwrap()).message(9)
    }

    #[test]
    fn what_goes_on_is_the_same_however_it_was_asked() {
        let plain = forwarded(&question("db.example.", RecordType::A));
        let mut odd = question("dB.eXaMpLe.", RecordType::A);
        odd.metadata.id = 0x5152;
        odd.metadata.recursion_desired = false;
        odd.metadata.authentic_data = true;
        odd.metadata.checking_disabled = true;
        odd.metadata.truncation = true;
        odd.metadata.authoritative = true;
        assert_eq!(forwarded(&odd), plain);

        let with = |payload, dnssec, option: &[u8]| {
            let mut message = question("db.example.", RecordType::A);
            let mut edns = Edns::new();
            edns.set_max_payload(payload).set_dnssec_ok(dnssec);
            edns.options_mut().insert(EdnsOption::Unknown(65001, option.to_vec()));
            message.set_edns(edns);
            forwarded(&message)
        };
        assert_eq!(with(4096, true, b"stolen"), with(512, false, b""));
    }

    #[test]
    fn an_answer_has_the_number_and_the_letters_of_the_asker() {
        let query = read(&question("dB.eXaMpLe.", RecordType::A)).unwrap();
        let inquiry = query.inquiry(query.question.name().to_lowercase());
        let mut answer = Message::from_vec(&inquiry.message(9)).unwrap();
        answer.metadata.message_type = MessageType::Response;
        let address = RData::A(std::net::Ipv4Addr::new(192, 0, 2, 1).into());
        answer.add_answer(Record::from_rdata(Name::from_ascii("db.example.").unwrap(), 60, address.clone()));
        let answer = answer.to_vec().unwrap();
        assert!(inquiry.is_answered_by(&answer, 9));
        let answer = Answer::read(&answer, inquiry.question()).unwrap();
        let answer = Message::from_vec(&query.answered(&answer)).unwrap();
        assert_eq!(answer.metadata.id, 7);
        assert!(answer.queries[0].name().eq_case(query.question.name()));
        assert_eq!((answer.answers.len(), &answer.answers[0].data), (1, &address));
    }

    #[test]
    fn a_refusal_says_why_to_those_that_understand_it() {
        let plain = question("other.example.", RecordType::A);
        let mut modern = plain.clone();
        modern.set_edns(Edns::new());
        let blocked = |message: &Message| {
            Message::from_vec(&read(message).unwrap().blocked(ResponseCode::NXDomain, "no target has it")).unwrap()
        };
        assert_eq!(blocked(&plain).edns, None);
        assert_eq!(blocked(&plain).metadata.response_code, ResponseCode::NXDomain);
        let edns = blocked(&modern).edns.unwrap();
        let options: Vec<_> = edns.options().as_ref().iter().collect();
        let reason = [&[0, 15][..], b"no target has it"].concat();
        assert_eq!(options, [&(EXTENDED_ERROR.into(), EdnsOption::Unknown(EXTENDED_ERROR, reason))]);
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
    fn an_answer_too_long_for_the_asker_is_cut() {
        let query = read(&question("db.example.", RecordType::A)).unwrap();
        let record = |last| {
            Record::from_rdata(
                query.question.name().clone(),
                60,
                RData::A(hickory_proto::rr::rdata::A::new(192, 0, 2, last)),
            )
        };
        let answer = |count| {
            let records = (0..count).map(record).collect();
            let answer = Answer { code: ResponseCode::NoError, truncated: false, records, absence: None };
            Message::from_vec(&query.answered(&answer)).unwrap()
        };
        let (short, long) = (answer(2), answer(100));
        assert_eq!((short.metadata.id, short.metadata.truncation, short.answers.len()), (7, false, 2));
        assert_eq!((long.metadata.id, long.metadata.truncation, long.answers.len()), (7, true, 0));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(message in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(query) = Query::read(&message, "agent".into(), Transport::Stream) {
                let inquiry = query.inquiry(query.question.name().to_lowercase());
                inquiry.is_answered_by(&message, 9);
                prop_assert!(!inquiry.message(9).is_empty());
                if let Some(answer) = Answer::read(&message, inquiry.question()) {
                    prop_assert!(Message::from_vec(&query.answered(&answer)).is_ok());
                }
            }
        }
    }
}
