//! Whole calls: what goes over the wire when, and what the users hear.

use super::*;

#[test]
fn invite_ringing_answer_ack_bye() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let mut pair = Pair::new(protocol);
        let client = pair.send(A, draft(Method::Invite));
        pair.run_for(50 * MS);
        let server = server_of(&pair.event(B));
        pair.answer(B, server, 180);
        pair.run_for(50 * MS);
        let (tx, ringing) = response_of(pair.event(A));
        assert_eq!((tx, ringing.status()), (client, 180));
        pair.answer(B, server, 200);
        pair.run_for(50 * MS);
        let (_, answer) = response_of(pair.event(A));
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers().to_tag(), ringing.headers().to_tag());
        pair.ack(A, client, &answer);
        pair.run_for(50 * MS);
        let event = pair.event(B);
        assert!(
            matches!(event, Event::Ack { tx, .. } if tx == server),
            "{event:?}"
        );

        let bye = draft(Method::Bye).set_header("CSeq", "2 BYE");
        pair.send(A, bye);
        pair.run_for(50 * MS);
        let server = server_of(&pair.event(B));
        pair.answer(B, server, 200);
        pair.run_for(50 * MS);
        assert_eq!(response_of(pair.event(A)).1.status(), 200);
        pair.assert_all_end();
        let lines: Vec<&str> = pair.log.iter().map(|(_, _, line)| line.as_str()).collect();
        assert_eq!(
            lines,
            [
                "INVITE sip:b@192.0.2.2 SIP/2.0",
                "SIP/2.0 180 Ringing",
                "SIP/2.0 200 OK",
                "ACK sip:b@192.0.2.2 SIP/2.0",
                "BYE sip:b@192.0.2.2 SIP/2.0",
                "SIP/2.0 200 OK",
            ],
            "{protocol:?}"
        );
    }
}
