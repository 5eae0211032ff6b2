//! A name server that knows what a test tells it.

use crate::gateway::POLL;
use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Seconds that an answer holds.
const TTL: u32 = 300;

/// A name and what it stands for.
pub struct Record {
    name: Name,
    data: RData,
}

impl Record {
    /// The address of a host.
    pub fn address(host: &str, address: Ipv4Addr) -> Record {
        Record {
            name: name(host),
            data: RData::A(address.into()),
        }
    }

    /// Where a service is (RFC 2782), as in `_sip._udp.example.com`.
    pub fn service(service: &str, port: u16, host: &str) -> Record {
        Record {
            name: name(service),
            data: RData::SRV(SRV::new(10, 0, port, name(host))),
        }
    }
}

fn name(text: &str) -> Name {
    Name::from_str(&format!("{text}.")).expect("a name")
}

/// See the module's comment.
pub struct NameServer {
    pub address: SocketAddrV4,
    is_over: Arc<AtomicBool>,
}

impl NameServer {
    /// Answers from now on.
    pub fn start(address: SocketAddrV4, records: Vec<Record>) -> NameServer {
        let socket = UdpSocket::bind(address).expect("a test's own address is free");
        socket.set_read_timeout(Some(POLL)).expect("a time-out");
        let is_over = Arc::new(AtomicBool::new(false));
        let ended = is_over.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !ended.load(Ordering::Relaxed) {
                if let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                    let query = Message::from_vec(&buffer[..length]).expect("a question");
                    let answer = answer(&query, &records).to_vec().expect("an answer");
                    socket.send_to(&answer, peer).expect("loopback takes it");
                }
            }
        });
        NameServer { address, is_over }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn answer(query: &Message, records: &[Record]) -> Message {
    let asked = query.queries.first().expect("a question").clone();
    let mut message = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    let is_known = records.iter().any(|record| record.name == *asked.name());
    message.metadata.response_code = match is_known {
        true => ResponseCode::NoError,
        false => ResponseCode::NXDomain,
    };
    message.metadata.recursion_available = true;
    let is_asked = |record: &&Record| {
        record.name == *asked.name() && record.data.record_type() == asked.query_type()
    };
    for record in records.iter().filter(is_asked) {
        let name = record.name.clone();
        let data = record.data.clone();
        message.add_answer(hickory_resolver::proto::rr::Record::from_rdata(
            name, TTL, data,
        ));
    }
    message.add_query(asked);
    message
}
