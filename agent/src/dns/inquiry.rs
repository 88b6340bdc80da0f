//! What the daemon asks a resolver: a message of its own, in which nothing is of a workload's choosing.

use hickory_proto::{
    op::{Edns, Header, Message, MessageType, OpCode, Query as Question},
    rr::{Name, RecordType},
    serialize::binary::{BinDecodable, BinDecoder, BinEncodable},
};

use super::DATAGRAM_ANSWER_MAX;

/// One question of the daemon's own. The spelling of its name is not the asker's: each letter's case would be a bit.
#[derive(Clone, Debug)]
pub(super) struct Inquiry {
    question: Question,
    /// Whether the asker understands the options of [RFC 6891](https://www.rfc-editor.org/rfc/rfc6891), so that an
    /// answer may have some.
    edns: bool,
}

impl Inquiry {
    pub(super) fn new(name: Name, kind: RecordType, edns: bool) -> Self {
        Self { question: Question::query(name, kind), edns }
    }

    pub(super) fn question(&self) -> &Question {
        &self.question
    }

    /// The message under this number. It says the same whatever flags the workload's had.
    pub(super) fn message(&self, id: u16) -> Vec<u8> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(self.question.clone());
        if self.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(DATAGRAM_ANSWER_MAX);
            message.set_edns(edns);
        }
        // A name that was read can be written; if not, nothing is an answer to it.
        message.to_vec().unwrap_or_default()
    }

    /// Whether a message answers this one under this number: its question is the same, byte for byte.
    pub(super) fn is_answered_by(&self, message: &[u8], id: u16) -> bool {
        let mut decoder = BinDecoder::new(message);
        let Ok(header) = Header::read(&mut decoder) else { return false };
        let answers = header.id == id
            && header.message_type == MessageType::Response
            && header.op_code == OpCode::Query
            && header.counts.queries == 1;
        let asked = self.question.to_bytes().unwrap_or_default();
        let rest = message.get(decoder.index()..).unwrap_or_default();
        answers && !asked.is_empty() && rest.starts_with(&asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inquiry(edns: bool) -> Inquiry {
        Inquiry::new(Name::from_ascii("db.example.").unwrap(), RecordType::A, edns)
    }

    #[test]
    fn only_the_answer_to_this_question_is_its_answer() {
        let inquiry = inquiry(false);
        let answer = |id, name: &str, kind| {
            let mut answer = Message::response(id, OpCode::Query);
            answer.add_query(Question::query(Name::from_ascii(name).unwrap(), kind));
            answer.to_vec().unwrap()
        };
        assert!(inquiry.is_answered_by(&answer(9, "db.example.", RecordType::A), 9));
        assert!(!inquiry.is_answered_by(&answer(8, "db.example.", RecordType::A), 9));
        assert!(!inquiry.is_answered_by(&answer(9, "dB.example.", RecordType::A), 9));
        assert!(!inquiry.is_answered_by(&answer(9, "db.example.", RecordType::AAAA), 9));
        assert!(!inquiry.is_answered_by(&answer(9, "db.example.org.", RecordType::A), 9));
        assert!(!inquiry.is_answered_by(&inquiry.message(9), 9));
        assert!(!inquiry.is_answered_by(&[], 9));
    }

    #[test]
    fn options_are_asked_of_for_those_that_understand_them() {
        assert_eq!(Message::from_vec(&inquiry(false).message(9)).unwrap().edns, None);
        let edns = Message::from_vec(&inquiry(true).message(9)).unwrap().edns.unwrap();
        assert_eq!((edns.max_payload(), edns.flags().dnssec_ok), (DATAGRAM_ANSWER_MAX, false));
    }
}
