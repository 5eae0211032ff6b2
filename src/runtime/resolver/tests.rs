use super::*;
use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{NAPTR, SOA, SRV};
use hickory_resolver::proto::rr::{RData, Record};
use std::net::IpAddr;
use std::str::FromStr;
use tokio::net::UdpSocket;

/// What the test's name server does with a question.
type Reply = fn(&str, RecordType) -> Option<(ResponseCode, Vec<(u32, RData)>)>;

/// A name server on loopback that answers from a function, or with rubbish, or not at all.
async fn server(reply: Reply) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("bound");
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
                return;
            };
            let bytes = match Message::from_vec(&buffer[..length]) {
                Ok(query) => answer(&query, reply),
                Err(error) => panic!("the resolver asks rubbish: {error}"),
            };
            if let Some(bytes) = bytes {
                let _ = socket.send_to(&bytes, peer).await;
            }
        }
    });
    address
}

fn answer(query: &Message, reply: Reply) -> Option<Vec<u8>> {
    let asked = query.queries.first().expect("a question").clone();
    let name = asked.name().to_ascii();
    let (code, data) = reply(&name, asked.query_type())?;
    let mut message = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.response_code = code;
    message.metadata.recursion_desired = true;
    message.metadata.recursion_available = true;
    message.add_query(asked.clone());
    for (ttl, data) in data {
        let record = Record::from_rdata(asked.name().clone(), ttl, data);
        if matches!(record.data, RData::SOA(_)) {
            message.add_authority(record);
        } else {
            message.add_answer(record);
        }
    }
    Some(message.to_vec().expect("a message"))
}

fn name(text: &str) -> Name {
    Name::from_str(text).expect("a name")
}

fn zone(asked: &str, kind: RecordType) -> Option<(ResponseCode, Vec<(u32, RData)>)> {
    let found = match (asked, kind) {
        ("sip.example.com.", RecordType::A) => {
            vec![
                (90, RData::A(std::net::Ipv4Addr::new(192, 0, 2, 1).into())),
                (60, RData::A(std::net::Ipv4Addr::new(192, 0, 2, 2).into())),
            ]
        }
        ("sip.example.com.", RecordType::AAAA) => {
            vec![(90, RData::AAAA("2001:db8::1".parse().expect("one")))]
        }
        ("_sip._udp.example.com.", RecordType::SRV) => vec![
            (
                30,
                RData::SRV(SRV::new(1, 2, 5070, name("sip.example.com."))),
            ),
            (30, RData::SRV(SRV::new(9, 0, 0, name(".")))),
        ],
        ("example.com.", RecordType::NAPTR) => vec![(
            30,
            RData::NAPTR(NAPTR::new(
                1,
                2,
                Box::from(&b"s"[..]),
                Box::from(&b"SIP+D2U"[..]),
                Box::default(),
                name("_sip._udp.example.com."),
            )),
        )],
        ("gone.example.com.", _) => {
            let soa = SOA::new(name("ns."), name("root."), 1, 1, 1, 1, 7);
            return Some((ResponseCode::NXDomain, vec![(20, RData::SOA(soa))]));
        }
        ("broken.example.com.", _) => return Some((ResponseCode::ServFail, vec![])),
        _ => vec![],
    };
    Some((ResponseCode::NoError, found))
}

async fn ask(address: SocketAddr, question: Question) -> Answer {
    let (inputs, mut received) = mpsc::channel(4);
    let mut resolver = Resolver::new(inputs, &[address]);
    assert!(resolver.resolve(question.clone()));
    match received.recv().await {
        Some(Input::Resolved {
            question: of,
            answer,
        }) => {
            assert_eq!(of, question);
            answer
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn records_come_with_their_times_to_live() {
    let address = server(zone).await;
    let ttl = |answer: &Answer| match answer {
        Answer::Records { ttl, .. } => ttl.expect("it has one").as_secs_f64(),
        Answer::Failed => panic!("no answer"),
    };
    let found = ask(address, Question::address("sip.example.com")).await;
    assert!((58.0..=60.0).contains(&ttl(&found)), "{found:?}");
    let Answer::Records {
        records: Records::Addresses(addresses),
        ..
    } = found
    else {
        panic!("addresses")
    };
    let expected: [IpAddr; 3] = [
        [192, 0, 2, 1].into(),
        [192, 0, 2, 2].into(),
        "2001:db8::1".parse().expect("one"),
    ];
    assert_eq!(addresses, expected);

    let found = ask(
        address,
        Question::Srv(String::from("_sip._udp.example.com")),
    )
    .await;
    assert!((28.0..=30.0).contains(&ttl(&found)), "{found:?}");
    let Answer::Records {
        records: Records::Srv(records),
        ..
    } = found
    else {
        panic!("services")
    };
    let first = Srv {
        priority: 1,
        weight: 2,
        port: 5070,
        target: String::from("sip.example.com"),
    };
    assert_eq!((&records[0], records[1].target.as_str()), (&first, ""));

    let found = ask(address, Question::Naptr(String::from("example.com"))).await;
    let Answer::Records {
        records: Records::Naptr(records),
        ..
    } = found
    else {
        panic!("pointers")
    };
    assert_eq!(
        (
            records[0].services.as_str(),
            records[0].replacement.as_str()
        ),
        ("SIP+D2U", "_sip._udp.example.com")
    );
}

#[tokio::test]
async fn nothing_is_an_answer_and_a_broken_server_is_none() {
    let address = server(zone).await;
    let gone = Question::Srv(String::from("gone.example.com"));
    let found = ask(address, gone.clone()).await;
    let Answer::Records { records, ttl } = found else {
        panic!("an answer")
    };
    assert_eq!(records, Records::none(&gone));
    assert_eq!(ttl, Some(Duration::from_secs(7)));
    let broken = Question::address("broken.example.com");
    assert_eq!(ask(address, broken).await, Answer::Failed);
}

#[tokio::test]
async fn silence_ends_in_time() {
    let address = server(|_, _| None).await;
    let begun = Instant::now();
    let silent = Question::Srv(String::from("_sip._udp.example.com"));
    assert_eq!(ask(address, silent).await, Answer::Failed);
    assert!(begun.elapsed() < TIME_MAX + Duration::from_secs(2));
}

#[tokio::test]
async fn rubbish_is_no_answer() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("bound");
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        let mut rng = fastrand::Rng::with_seed(5);
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            // Cut off, turned over, too long: with the right number in front, or it would not be looked at.
            for byte in &mut buffer[2..length] {
                *byte ^= rng.u8(..);
            }
            let _ = socket.send_to(&buffer[..rng.usize(2..length)], peer).await;
            let _ = socket.send_to(&buffer, peer).await;
        }
    });
    for question in [
        Question::Naptr(String::from("example.com")),
        Question::address(&"a.".repeat(200)),
        Question::address("a..b"),
        Question::Srv(String::new()),
    ] {
        let found = ask(address, question.clone()).await;
        let is_nothing = match &found {
            Answer::Records { records, .. } => records.is_empty(),
            Answer::Failed => true,
        };
        assert!(is_nothing, "{question:?} {found:?}");
    }
}

#[tokio::test]
async fn questions_have_their_turn() {
    let address = server(zone).await;
    let (inputs, mut received) = mpsc::channel(4);
    let mut resolver = Resolver::new(inputs, &[address]);
    let question = |number| Question::Srv(format!("_sip._udp.n{number}.example.com"));
    for number in 0..RUNNING_MAX + 3 {
        assert!(resolver.resolve(question(number)));
    }
    let depth = (resolver.running.len(), resolver.waiting.len());
    assert_eq!(depth, (RUNNING_MAX, 3));
    let mut answered = 0;
    while answered < RUNNING_MAX + 3 {
        tokio::select! {
            Some(Input::Resolved { .. }) = received.recv() => answered += 1,
            () = resolver.turn() => {}
        }
    }
}

#[tokio::test]
async fn too_many_questions_are_refused() {
    let address = server(|_, _| None).await;
    let (inputs, _received) = mpsc::channel(1);
    let mut resolver = Resolver::new(inputs, &[address]);
    let all = 0..WAITING_MAX + RUNNING_MAX + 1;
    let taken = all.filter(|number| resolver.resolve(Question::Srv(number.to_string())));
    assert_eq!(taken.count(), WAITING_MAX + RUNNING_MAX);
}
