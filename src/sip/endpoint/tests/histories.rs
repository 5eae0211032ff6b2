//! Random histories: calls over a network that loses, repeats, delays and so reorders. Whatever happens, each user
//! hears what the rules allow, each INVITE ends, and nothing is left.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Call {
    start_ms: u64,
    /// What B answers, and after how long.
    status: u16,
    answer_ms: u64,
    /// When A cancels if there is no answer yet.
    cancel_ms: u64,
}

#[derive(Clone, Debug)]
struct Network {
    seed: u64,
    loss: f64,
    repeat: f64,
    delay_ms: u64,
    is_reliable: bool,
}

fn call() -> impl Strategy<Value = Call> {
    let status = prop::sample::select(vec![200, 200, 200, 302, 404, 486, 503, 603]);
    let cancel = prop_oneof![0..3_000u64, 30_000..90_000u64];
    (0..5_000u64, status, 0..40_000u64, cancel).prop_map(
        |(start_ms, status, answer_ms, cancel_ms)| Call {
            start_ms,
            status,
            answer_ms,
            cancel_ms,
        },
    )
}

fn network() -> impl Strategy<Value = Network> {
    let rates = (0.0..0.7f64, 0.0..0.4f64);
    (any::<u64>(), rates, 1..3_000u64, prop::bool::weighted(0.2)).prop_map(
        |(seed, (loss, repeat), delay_ms, is_reliable)| Network {
            seed,
            loss,
            repeat,
            delay_ms,
            is_reliable,
        },
    )
}

/// Runs the calls to their end.
fn run(calls: &[Call], network: &Network) -> Pair<'static> {
    let mut random = fastrand::Rng::with_seed(network.seed);
    let Network {
        loss,
        repeat,
        delay_ms,
        is_reliable,
        ..
    } = network.clone();
    let fate = move |_: Side, _: &[u8]| {
        if is_reliable {
            return vec![DELAY];
        }
        let copies = usize::from(random.f64() >= loss) + usize::from(random.f64() < repeat);
        (0..copies)
            .map(|_| random.u64(1..=delay_ms) * (MS.as_millis() as u64))
            .map(Duration::from_millis)
            .collect()
    };
    let protocol = if is_reliable {
        Protocol::Tcp
    } else {
        Protocol::Udp
    };
    let mut pair = Pair::with_fate(protocol, fate);
    let scripts = calls.to_vec();
    pair.react(move |pair, side, event| match event {
        Event::Request { tx, request, .. } if *request.method() == Method::Invite => {
            let number = request
                .headers()
                .call_id()
                .strip_prefix("call-")
                .and_then(|n| n.parse::<usize>().ok());
            let script = scripts[number.expect("A numbers its calls")].clone();
            pair.answer(side, tx, 180);
            pair.later(Duration::from_millis(script.answer_ms), move |pair| {
                pair.answer(side, tx, script.status);
            });
        }
        Event::Request { tx, .. } => pair.answer(side, tx, 200),
        Event::Cancelled { tx, .. } => pair.answer(side, tx, 487),
        Event::Response { tx, response, .. } => acknowledge(pair, side, tx, response),
        Event::Ack { .. } | Event::AckTimeout { .. } | Event::Failed { .. } => {}
    });
    for (number, call) in calls.iter().enumerate() {
        let cancel = Duration::from_millis(call.cancel_ms);
        pair.later(Duration::from_millis(call.start_ms), move |pair| {
            let invite = draft(Method::Invite).set_header("Call-ID", format!("call-{number}"));
            let tx = pair.send(A, invite);
            pair.later(cancel, move |pair| pair.cancel(A, tx));
        });
    }
    pair.run_for(Duration::from_secs(300));
    pair
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn every_invite_ends_and_every_transaction_dies(calls in prop::collection::vec(call(), 1..6), network in network()) {
        let mut pair = run(&calls, &network);
        for ((side, generation), ends) in &pair.ends {
            prop_assert_eq!(*ends, 1, "transaction {} of {:?}", generation, side);
        }
        let callee = pair.heard_by(B);
        let count = |heard: Heard| callee.iter().filter(|other| **other == heard).count();
        let invites = count(Heard::Request(Method::Invite));
        prop_assert!(invites <= calls.len(), "no copy is taken for a new one");
        // A copy that is later than Timer J (64*T1) is a new request to its server: the last is sent 500 ms before that.
        if network.delay_ms <= 500 {
            prop_assert!(count(Heard::Request(Method::Bye)) <= pair.ends.len() - calls.len());
        }
        prop_assert!(count(Heard::Cancelled) <= invites);
        prop_assert!(count(Heard::Ack) + count(Heard::AckTimeout) <= invites);
        pair.assert_all_end();
    }
}
