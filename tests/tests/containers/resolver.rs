//! A resolver that knows one address for every name, and remembers what it was asked.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};
use hickory_proto::{
    op::{Message, MessageType},
    rr::{RData, Record, rdata::A},
};

/// RFC 5737, TEST-NET-1: what every name stands for.
const ANSWER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);

/// What a name that begins with `rebound` stands for: this host, and the cloud's metadata.
const REBOUND: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 3), Ipv4Addr::new(169, 254, 169, 254)];

/// How many records a name that begins with `long` has: more than a datagram holds.
const LONG: usize = 200;

/// On port 53 of a loopback address of its own, until the test's process ends.
pub struct Resolver {
    address: Ipv4Addr,
    messages: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Resolver {
    pub fn start() -> Result<Self> {
        static STARTED: AtomicU8 = AtomicU8::new(1);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 100 + STARTED.fetch_add(1, Ordering::Relaxed), high, low);
        let udp = UdpSocket::bind((address, 53)).with_context(|| format!("UDP at {address}"))?;
        let tcp = TcpListener::bind((address, 53)).with_context(|| format!("TCP at {address}"))?;
        let resolver = Self { address, messages: Arc::default() };
        thread::spawn({
            let messages = resolver.messages.clone();
            move || datagrams(&udp, &messages)
        });
        thread::spawn({
            let messages = resolver.messages.clone();
            move || streams(&tcp, &messages)
        });
        Ok(resolver)
    }

    pub fn address(&self) -> IpAddr {
        self.address.into()
    }

    /// Every message that it was sent, as it came.
    pub fn messages(&self) -> Vec<Vec<u8>> {
        self.messages.lock().map(|messages| messages.clone()).unwrap_or_default()
    }
}

fn datagrams(socket: &UdpSocket, messages: &Mutex<Vec<Vec<u8>>>) {
    let mut buffer = [0; 4096];
    while let Ok((length, asker)) = socket.recv_from(&mut buffer) {
        let answer = answer(buffer.get(..length).unwrap_or_default(), messages);
        if let Some(answer) = answer {
            let limit = usize::from(answer.max_payload());
            let whole = answer.to_vec().unwrap_or_default();
            let sent = if whole.len() > limit { answer.truncate().to_vec().unwrap_or_default() } else { whole };
            let _ = socket.send_to(&sent, asker);
        }
    }
}

fn streams(listener: &TcpListener, messages: &Mutex<Vec<Vec<u8>>>) {
    for mut stream in listener.incoming().flatten() {
        let mut length = [0; 2];
        while stream.read_exact(&mut length).is_ok() {
            let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut message).is_err() {
                break;
            }
            let answer = answer(&message, messages).and_then(|answer| answer.to_vec().ok()).unwrap_or_default();
            let framed = [&u16::try_from(answer.len()).unwrap_or_default().to_be_bytes(), answer.as_slice()].concat();
            let _ = stream.write_all(&framed);
        }
    }
}

fn answer(message: &[u8], messages: &Mutex<Vec<Vec<u8>>>) -> Option<Message> {
    messages.lock().ok()?.push(message.to_vec());
    let mut answer = Message::from_vec(message).ok()?;
    answer.metadata.message_type = MessageType::Response;
    answer.additionals.clear();
    answer.edns = None;
    let name = answer.queries.first()?.name().clone();
    let records = if name.to_string().starts_with("long") { LONG } else { 1 };
    for _ in 0..records {
        answer.add_answer(Record::from_rdata(name.clone(), 60, RData::A(A(ANSWER))));
    }
    if name.to_string().starts_with("rebound") {
        answer.answers.clear();
        for address in REBOUND {
            answer.add_answer(Record::from_rdata(name.clone(), 60, RData::A(A(address))));
        }
    }
    Some(answer)
}
