//! Random histories of REGISTER against a model that is a plain list.

use super::tests::{Desk, Phone, phone, udp};
use proptest::prelude::*;

/// `max_contacts` of 6002 in the tests' configuration, where the oldest make room.
const ROOM: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    /// Contact of that number, for so many seconds, from one of two phones.
    Bind(u8, u32, bool),
    RemoveAll(bool),
    Query,
    Pass(u64),
    /// A REGISTER that is older than one before.
    Late(u8, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4u8, prop_oneof![Just(0), 1..200u32], any::<bool>()).prop_map(|(contact, expires, who)| Step::Bind(contact, expires, who)),
        1 => any::<bool>().prop_map(Step::RemoveAll),
        1 => Just(Step::Query),
        3 => (1..100u64).prop_map(Step::Pass),
        1 => (0..4u8, any::<bool>()).prop_map(|(contact, who)| Step::Late(contact, who)),
    ]
}

/// One binding of the model.
#[derive(Clone, Debug, PartialEq)]
struct Bound {
    contact: u8,
    left: u64,
    /// Whose REGISTER it was, and its number.
    by: bool,
    cseq: u32,
}

fn uri(contact: u8) -> String {
    format!("sip:{contact}@192.0.2.10")
}

/// That refreshed last first.
#[derive(Default)]
struct Model(Vec<Bound>);

impl Model {
    fn bind(&mut self, contact: u8, left: u64, by: bool, cseq: u32) {
        self.0.retain(|bound| bound.contact != contact);
        if left > 0 {
            self.0.insert(
                0,
                Bound {
                    contact,
                    left,
                    by,
                    cseq,
                },
            );
            self.0.truncate(ROOM);
        }
    }

    fn pass(&mut self, seconds: u64) {
        for bound in &mut self.0 {
            bound.left = bound.left.saturating_sub(seconds);
        }
        self.0.retain(|bound| bound.left > 0);
    }

    fn lines(&self) -> Vec<String> {
        let line = |bound: &Bound| format!("{} {}", uri(bound.contact), bound.left);
        self.0.iter().map(line).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_agree_with_a_plain_list(steps in proptest::collection::vec(step(), 1..40)) {
        let mut desk = Desk::new();
        let mut model = Model::default();
        let mut phones: [Phone; 2] = [phone("6002", udp("192.0.2.10:5060")), phone("6002", udp("192.0.2.20:5060"))];
        for step in steps {
            match step {
                Step::Bind(contact, expires, who) => {
                    let value = format!("<{}>;expires={expires}", uri(contact));
                    let phone = &mut phones[usize::from(who)];
                    let response = desk.register(phone, &[("Contact", &value)]);
                    prop_assert_eq!(response.status(), 200);
                    model.bind(contact, u64::from(expires), who, phone.cseq);
                }
                Step::RemoveAll(who) => {
                    let phone = &mut phones[usize::from(who)];
                    let response = desk.register(phone, &[("Contact", "*"), ("Expires", "0")]);
                    prop_assert_eq!(response.status(), 200);
                    model.0.clear();
                }
                Step::Query => {
                    let response = desk.register(&mut phones[0], &[]);
                    prop_assert_eq!(response.headers().values("Contact").count(), model.0.len());
                }
                Step::Pass(seconds) => {
                    desk.pass(seconds);
                    model.pass(seconds);
                }
                Step::Late(contact, who) => {
                    let mut late = phones[usize::from(who)].clone();
                    let Some(bound) = model.0.iter().find(|bound| bound.contact == contact && bound.by == who) else {
                        continue;
                    };
                    // Its second try, with credentials, has the next number.
                    late.cseq = bound.cseq.saturating_sub(2);
                    let value = format!("<{}>;expires=0", uri(contact));
                    let response = desk.register(&mut late, &[("Contact", &value)]);
                    prop_assert_eq!(response.status(), 500);
                }
            }
            prop_assert_eq!(desk.bound("6002"), model.lines());
        }
        desk.pass(300);
        prop_assert_eq!(desk.gateway.leftovers(), Default::default());
    }
}
