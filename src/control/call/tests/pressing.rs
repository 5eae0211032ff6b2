//! Digits that the caller presses: menus, Read, and what is sent to it.

use super::world::*;
use crate::link::{Command, Listening};
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// A menu of its own context.
const MENU: &str = r#"[context.menu.exten]
s = ["Background(menu)", "WaitExten(4)", "Hangup(1)"]
1 = ["Hangup(17)"]
2 = ["Hangup(18)"]
20 = ["Hangup(19)"]
t = ["Hangup(20)"]
i = ["GotoIf($[\"${INVALID_EXTEN}\" = \"9\"]?good)", "Hangup(1)", "good: Hangup(21)"]
"#;

fn menu() -> World {
    answered_call_of(r#""Answer()", "Goto(menu,s,1)""#, MENU)
}

#[test]
fn a_digit_ends_the_menu_and_goes_to_its_extension() {
    let mut world = menu();
    assert_eq!(world.asked_sounds(), ["menu"]);
    assert_eq!(world.listening(), Some(Listening::Events));
    world.run(S);
    world.press("1");
    assert_eq!(world.played(), ["once", "stop"]);
    ended_with(world, 17);
}

#[test]
fn a_digit_that_may_go_on_is_waited_for() {
    let mut world = menu();
    world.press("2");
    world.run(4900 * MS);
    assert_eq!(world.count_to(ALICE, "BYE"), 0);
    world.run(200 * MS);
    ended_with(world, 18);

    let mut world = menu();
    world.press("20");
    ended_with(world, 19);
}

#[test]
fn what_is_no_extension_goes_to_i() {
    let mut world = menu();
    world.press("9");
    ended_with(world, 21);
}

#[test]
fn without_a_digit_the_dialplan_goes_on_after_its_time() {
    let mut world = menu();
    world.run(S);
    world.play_to_end();
    world.run(3900 * MS);
    assert_eq!(world.count_to(ALICE, "BYE"), 0);
    world.run(200 * MS);
    ended_with(world, 1);

    let mut world = answered_call_of(
        r#""Answer()", "Goto(menu,w,1)""#,
        &MENU.replace("s = ", "w = [\"WaitExten(2)\"]\ns = "),
    );
    world.run(3 * S);
    ended_with(world, 20);
}

#[test]
fn options_say_which_digits_end_what_is_played() {
    for (option, digit, ends) in [("m", "9", false), ("m", "1", true), ("p", "1", false)] {
        let lines = MENU.replace("Background(menu)", &format!("Background(menu,{option})"));
        let mut world = answered_call_of(r#""Answer()", "Goto(menu,s,1)""#, &lines);
        world.press(digit);
        world.run(50 * MS);
        assert_eq!(world.count_to(ALICE, "BYE") > 0, ends, "{option} {digit}");
        if ends {
            ended_with(world, 17);
        } else {
            hang_up(world);
        }
    }
}

#[test]
fn digits_are_read_until_there_are_enough_or_the_hash_key() {
    let steps = |arguments: &str, expected: &str| {
        format!(
            r#""Read(PIN,{arguments})", "GotoIf($[\"${{PIN}}/${{READSTATUS}}\" = \"{expected}\"]?good)", "Hangup(1)", "good: Hangup(17)""#
        )
    };
    for (arguments, pressed, expected) in [
        ("enter-pin,4", "12345", "1234/OK"),
        ("enter-pin,4", "12#", "12/OK"),
        ("enter-pin,4", "#", "/OK"),
        (",0", "12*0#", "12*0/OK"),
        ("enter-pin,4,t(*)", "1*", "1/OK"),
    ] {
        let mut world = answered_call_of(&steps(arguments, expected), "");
        world.press(pressed);
        ended_with(world, 17);
    }
    // What was typed is kept when no more comes.
    let mut world = answered_call_of(&steps("enter-pin,4", "12/TIMEOUT"), "");
    world.press("12");
    world.run(6 * S);
    ended_with(world, 17);
}

#[test]
fn who_presses_nothing_is_asked_again() {
    let mut world = answered_call_of(
        r#""Read(PIN,enter-pin,4,,2,3)", "GotoIf($[\"${READSTATUS}\" = \"TIMEOUT\"]?good)", "Hangup(1)", "good: Hangup(17)""#,
        "",
    );
    for _ in 0..2 {
        assert_eq!(world.played().last(), Some(&"once"));
        world.run(S);
        world.play_to_end();
        world.run(2900 * MS);
        assert_eq!(world.count_to(ALICE, "BYE"), 0);
        world.run(200 * MS);
    }
    assert_eq!(world.asked_sounds(), ["enter-pin", "enter-pin"]);
    ended_with(world, 17);
}

#[test]
fn who_hangs_up_while_it_types_leaves_what_it_has() {
    let mut world = answered_call_of(
        r#""Read(PIN,enter-pin,4)", "Hangup()""#,
        "h = [\"Verbose(${PIN} ${READSTATUS})\"]",
    );
    world.press("12");
    let log = logged(|| {
        world.request(ALICE, Method::Bye, None);
        world.run(50 * MS);
    });
    assert!(log.contains("Verbose(12 HANGUP)"), "{log}");
    world.assert_nothing_left();
}

#[test]
fn digits_come_as_the_endpoint_sends_them_and_once() {
    let listening = |mode: &str, formats: &str| {
        let text = CONFIG
            .replace(
                "[endpoint.alice]\n",
                &format!("[endpoint.alice]\ndtmf_mode = \"{mode}\"\n"),
            )
            .replace(
                "\"100\" = [",
                "\"300\" = [\"Read(PIN,,2)\", \"Hangup(17)\"]\n\"100\" = [",
            );
        let mut world = World::with_config(&text);
        let offer = sdp("198.51.100.10", 4000, 1, formats, "sendrecv");
        world.invite(ALICE, "300", Some(&offer));
        world.run(50 * MS);
        world.ack(ALICE, None);
        world.run(50 * MS);
        world
    };
    let info = |world: &mut World, digit: &str| {
        let body = format!("Signal={digit}\r\nDuration=160\r\n");
        let content = ("application/dtmf-relay", &body[..]);
        world.request(ALICE, Method::Info, Some(content));
        world.run(50 * MS);
        assert_eq!(world.phone(ALICE).final_status(), Some(200));
    };
    let mut world = listening("info", "8 0");
    assert_eq!(world.listening(), None);
    info(&mut world, "1");
    info(&mut world, "2");
    ended_with(world, 17);

    // A telephone that sends both is heard once.
    let mut world = listening("rfc4733", "8 0 101");
    assert_eq!(world.listening(), Some(Listening::Events));
    world.press("1");
    info(&mut world, "1");
    assert_eq!(world.count_to(ALICE, "BYE"), 0);
    world.press("2");
    ended_with(world, 17);

    let world = listening("inband", "8 0");
    assert_eq!(world.listening(), Some(Listening::Tones));
    hang_up(world);
    // One that has agreed no events may send INFO.
    let mut world = listening("rfc4733", "8 0");
    assert_eq!(world.listening(), None);
    info(&mut world, "1");
    info(&mut world, "2");
    ended_with(world, 17);
}

#[test]
fn nobody_listens_where_nobody_waits_for_digits() {
    let mut world = answered_call_of(r#""Read(PIN,,1)", "Playback(hello)""#, "");
    assert_eq!(world.listening(), Some(Listening::Events));
    world.press("1");
    assert_eq!(world.listening(), Some(Listening::Off));
    hang_up(world);
}

#[test]
fn digits_are_sent_one_by_one() {
    let mut world = answered_call_of(r#""Answer()", "SendDTMF(1w2,100,200)", "Hangup(17)""#, "");
    let sent = |world: &World| {
        let digits = world
            .commands
            .iter()
            .filter_map(|(_, command)| match command {
                Command::SendDigit {
                    digit,
                    duration_ms: 200,
                    ..
                } => Some(digit.symbol()),
                _ => None,
            });
        digits.collect::<String>()
    };
    assert_eq!(sent(&world), "1");
    world.run(600 * MS);
    assert_eq!(sent(&world), "1");
    world.run(200 * MS);
    assert_eq!(sent(&world), "12");
    assert_eq!(world.count_to(ALICE, "BYE"), 0);
    world.run(400 * MS);
    ended_with(world, 17);
}
