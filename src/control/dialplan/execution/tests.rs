use super::super::fixture::{Walk, plan};
use super::super::{DialRequest, DialTarget};
use super::*;
use std::time::Duration;

/// Runs `1` in context `c` to its first action.
fn first_action(text: &str) -> (Action, Walk) {
    let mut walk = Walk::new(text, "c", "1");
    (walk.advance(), walk)
}

/// What Verbose said on the way to the end.
fn said(text: &str) -> Vec<String> {
    let (action, walk) = first_action(text);
    assert!(matches!(action, Action::Hangup(_)), "{text}: {action:?}");
    let said = walk
        .trace
        .iter()
        .filter_map(|step| step.split_once(" Verbose("));
    said.map(|(_, text)| text.trim_end_matches(')').to_owned())
        .collect()
}

#[test]
fn each_application_asks_for_its_action() {
    let secs = Duration::from_secs;
    for (step, expected) in [
        ("Answer", Action::Answer { delay: secs(0) }),
        (
            "Answer(500)",
            Action::Answer {
                delay: Duration::from_millis(500),
            },
        ),
        ("Wait(1.5)", Action::Wait(Duration::from_millis(1500))),
        ("Wait(${NONE})", Action::Wait(secs(0))),
        ("Echo()", Action::Echo),
        ("Ringing", Action::Ringing),
        ("Progress()", Action::Progress),
        ("Busy()", Action::Busy(None)),
        ("Busy(10)", Action::Busy(Some(secs(10)))),
        ("Congestion(5)", Action::Congestion(Some(secs(5)))),
        ("Hangup()", Action::Hangup(None)),
        ("Hangup(3)", Action::Hangup(Some(3))),
        ("Hangup(${C})", Action::Hangup(Some(21))),
        (
            "dial(PJSIP/${EXTEN}@ep1&SIP/ep2,${C},tT)",
            Action::Dial(DialRequest {
                targets: vec![
                    DialTarget::Number {
                        name: "ep1".into(),
                        number: "1".into(),
                    },
                    DialTarget::Endpoint { name: "ep2".into() },
                ],
                timeout: Some(secs(21)),
                options: "tT".into(),
            }),
        ),
    ] {
        let (action, _) = first_action(&format!("C = 21\n[c]\n1 => {step}"));
        assert_eq!(action, expected, "{step}");
    }
}

#[test]
fn steps_run_in_order_and_the_end_hangs_up() {
    let mut walk = Walk::new(
        "[c]\n_X. => Set(A=${EXTEN:1}) | Answer() | NoOp(${A}) | Dial(PJSIP/ep1,20)",
        "c",
        "12",
    );
    assert_eq!(
        walk.advance(),
        Action::Answer {
            delay: Duration::ZERO
        }
    );
    assert!(matches!(walk.advance(), Action::Dial(_)));
    walk.execution.dial_finished(DialStatus::NoAnswer, 19);
    assert_eq!(walk.execution.variable("DIALSTATUS"), Some("NOANSWER"));
    assert_eq!(walk.execution.variable("HANGUPCAUSE"), Some("19"));
    assert_eq!(walk.advance(), Action::Hangup(None));
    assert_eq!(walk.advance(), Action::Hangup(None), "and again");
    let expected = [
        "c,12,1 Set(A=2)",
        "c,12,2 Answer()",
        "c,12,3 NoOp(2)",
        "c,12,4 Dial(PJSIP/ep1,20)",
        "c,12,5 end of the extension()",
    ];
    assert_eq!(walk.trace, expected);
}

#[test]
fn falling_through_after_dial_tells_why() {
    for (status, cause, expected) in [
        (DialStatus::Answer, 16, None),
        (DialStatus::NoAnswer, 19, None),
        (DialStatus::Cancel, 16, None),
        (DialStatus::Busy, 17, Some(17)),
        (DialStatus::Busy, 0, Some(17)),
        (DialStatus::Congestion, 0, Some(34)),
        (DialStatus::Congestion, 21, Some(21)),
        (DialStatus::ChanUnavail, 16, Some(34)),
        (DialStatus::ChanUnavail, 1, Some(1)),
    ] {
        let (_, mut walk) = first_action("[c]\n1 => Dial(PJSIP/ep1)");
        walk.execution.dial_finished(status, cause);
        assert_eq!(
            walk.advance(),
            Action::Hangup(expected),
            "{status:?} {cause}"
        );
    }
    let (action, mut walk) = first_action("[c]\n1 => Busy(3)");
    assert_eq!(action, Action::Busy(Some(Duration::from_secs(3))));
    assert_eq!(walk.advance(), Action::Hangup(Some(17)));
}

#[test]
fn all_forms_of_goto() {
    for (steps, expected) in [
        ("Goto(3) | Verbose(a) | Verbose(b)", &["b"][..]),
        ("Goto(+2) | Verbose(a) | Verbose(b)", &["b"]),
        (
            "Set(N=$[0${N} + 1]) | Verbose(${N}) | GotoIf($[${N} < 3]?1)",
            &["1", "2", "3"],
        ),
        (
            "Set(N=$[0${N} + 1]) | Verbose(${N}) | GotoIf($[${N} < 3]?-2)",
            &["1", "2", "3"],
        ),
        ("Goto(end) | Verbose(a) | end: Verbose(b)", &["b"]),
        ("Goto(2,1)", &["two"]),
        ("Goto(2,tail)", &["tail"]),
        ("Goto(d,3,1)", &["d 3"]),
        ("Goto(d,${EXTEN}1,1)", &["d 11"]),
        ("Set(T=d,3,1) | Goto(${T})", &["d 3"]),
        ("GotoIf(1?2,tail:2,1)", &["tail"]),
        ("GotoIf(0?2,tail:2,1)", &["two"]),
        ("GotoIf(0?2,tail) | Verbose(on)", &["on"]),
        ("GotoIf(1?:2,1) | Verbose(on)", &["on"]),
        ("GotoIf(${NONE}?2,1:d,3,1)", &["d 3"]),
        (
            "GotoIf($[\"${CALLERID(num)}\" = \"4930123\"]?yes:no) | no: Verbose(no) | yes: Verbose(yes)",
            &["yes"],
        ),
        ("Goto(${NONE}9) | Verbose(not here)", &[]),
        ("Goto(${NONE}nowhere) | Verbose(not here)", &[]),
        ("Goto(-${EXTEN}) | Verbose(not here)", &[]),
    ] {
        let text = format!(
            "[c]\n1 => {steps}\n2 => Verbose(two) | Hangup() | tail: Verbose(tail)\n\
             [d]\n_X. => Verbose(d ${{EXTEN}})\n3 => Verbose(d ${{EXTEN}})"
        );
        assert_eq!(said(&text), expected, "{steps}");
    }
}

#[test]
fn goto_into_an_included_context_stays_in_the_including_one() {
    let said = said(
        "[c]\ninclude shared\n1 => Goto(7,1)\n8 => Verbose(${CONTEXT} ${EXTEN} own)\n[shared]\n7 => Verbose(${CONTEXT} ${EXTEN}) | Goto(8,1)\n8 => Verbose(wrong)",
    );
    assert_eq!(said, ["c 7", "c 8 own"]);
}

#[test]
fn a_missing_extension_goes_to_i_or_is_unallocated() {
    let mut walk = Walk::new(
        "[c]\ni => Verbose(no ${INVALID_EXTEN}) | Hangup(28)",
        "c",
        "999",
    );
    assert_eq!(walk.advance(), Action::Hangup(Some(28)));
    assert_eq!(walk.trace[1], "c,i,1 Verbose(no 999)");
    for (context, extension) in [("c", "999"), ("nowhere", "1"), ("c", "i"), ("c", "")] {
        let mut walk = Walk::new("[c]\n1 => NoOp()", context, extension);
        assert_eq!(
            walk.advance(),
            Action::Hangup(Some(1)),
            "{context} {extension}"
        );
        assert_eq!(walk.trace.len(), 1);
    }
    assert_eq!(
        said("[c]\n1 => Goto(${NONE}x,1)\ni => Verbose(${INVALID_EXTEN})"),
        ["x"]
    );
    assert_eq!(
        said("[c]\n1 => Goto(${NONE}d,1,1)\ni => Verbose(not here)"),
        [""; 0]
    );
}

#[test]
fn endless_loops_end() {
    for steps in [
        "Goto(1)",
        "a: NoOp() | Goto(a)",
        "Ringing() | Goto(1)",
        "Wait(0) | Goto(1)",
        "Dial(PJSIP/ep1) | Goto(1)",
    ] {
        let mut walk = Walk::new(&format!("[c]\n1 => {steps}"), "c", "1");
        let mut actions = 0;
        while !matches!(walk.advance(), Action::Hangup(None)) {
            walk.execution.dial_finished(DialStatus::ChanUnavail, 20);
            actions += 1;
            assert!(actions < STEPS_MAX, "{steps}");
        }
        assert_eq!(walk.trace.len() as u32, STEPS_MAX + 1, "{steps}");
        assert!(
            walk.warnings[0].contains("10000 steps"),
            "{steps}: {:?}",
            walk.warnings
        );
    }
}

#[test]
fn waiting_gives_a_loop_its_steps_back() {
    let mut walk = Walk::new("[c]\n1 => Wait(0.1) | Goto(1)", "c", "1");
    for _ in 0..STEPS_MAX {
        assert_eq!(walk.advance(), Action::Wait(Duration::from_millis(100)));
    }
}

#[test]
fn what_cannot_be_done_is_passed_over() {
    let (action, walk) = first_action(
        "[c]\n1 => Dial(PJSIP/${NONE}) | Dial(${NONE}) | NoOp(${DIALSTATUS} ${HANGUPCAUSE})",
    );
    assert_eq!(action, Action::Hangup(Some(1)));
    assert_eq!(walk.trace[2], "c,1,3 NoOp(CHANUNAVAIL 1)");
    assert_eq!(walk.warnings.len(), 2);
    let (action, walk) = first_action("[c]\n1 => Set(CHANNEL(name)=x) | Wait(${EXTEN}s)");
    assert_eq!(action, Action::Wait(Duration::ZERO));
    assert_eq!(
        walk.warnings,
        [
            "'CHANNEL(name)' was not set",
            "'1s' is not a number of seconds"
        ]
    );
}

#[test]
fn variables_are_set_read_and_inherited() {
    let (_, walk) = first_action(
        "G = old\n[c]\n1 => Set(A= b=c ) | Set(_B=1) | Set(__C=2) | Set(CALLERID(all)=Bob <5>) | Set(GLOBAL(G)=new) | Set(V${EXTEN}=x) | Set(PJSIP_HEADER(add,X-A)=y) | NoOp([${A}]${B}${C}${G}${V1}${GLOBAL(G)})",
    );
    assert_eq!(walk.trace[7], "c,1,8 NoOp([ b=c ]12newxnew)");
    let functions = &walk.channel.functions;
    assert_eq!(functions[&("CALLERID".into(), "all".into())], "Bob <5>");
    assert_eq!(functions[&("PJSIP_HEADER".into(), "add,X-A".into())], "y");
    let child = Execution::start(
        plan("[c]\n1 => NoOp()"),
        "c",
        "1",
        walk.execution.inherited_variables(),
    );
    assert_eq!(
        (
            child.variable("A"),
            child.variable("B"),
            child.variable("C")
        ),
        (None, Some("1"), Some("2"))
    );
}

#[test]
fn h_runs_after_the_call_without_media() {
    let mut walk = Walk::new(
        "[c]\n1 => Answer() | Echo()\nh => NoOp(${A}) | Wait(1) | Dial(PJSIP/ep1) | Busy() | again: Set(Z=1) | Goto(again)",
        "c",
        "1",
    );
    walk.advance();
    walk.execution.set_variable("A", "seen".into());
    assert!(walk.hangup_handler());
    assert_eq!(walk.trace[1], "c,h,1 NoOp(seen)");
    assert_eq!(walk.warnings[..3], ["not done: the call is over"; 3]);
    assert!(walk.trace.len() as u32 > STEPS_MAX, "its loops end too");
    assert!(!walk.hangup_handler(), "only once");
    let (_, mut walk) = first_action("[c]\n1 => Hangup()");
    assert!(!walk.hangup_handler());
}

#[test]
fn the_trace_names_what_matched() {
    let plan = plan("[c]\ninclude d\n[d]\n_X. => go: NoOp(a)");
    let mut execution = Execution::start(plan, "c", "12", []);
    let mut steps = Vec::new();
    execution.advance(
        &mut super::super::fixture::TestChannel::new(),
        &mut |step| {
            let matched = step
                .matched
                .map(|(context, pattern)| format!("{context} {pattern}"));
            steps.push((matched, step.label.map(str::to_owned)));
        },
    );
    assert_eq!(steps[0], (Some("d _X.".into()), Some("go".into())));
    assert_eq!((execution.context(), execution.extension()), ("c", "12"));
}

#[test]
fn a_subroutine_has_arguments_of_its_own_and_returns_behind_its_call() {
    let plan = "[c]
1 => Set(ARG1=mine) | Set(X=before) | Gosub(sub,s,1(a,b c)) | Verbose(${ARG1}/${ARGC}/${X}/${GOSUB_RETVAL}/${EXTEN})
[sub]
s => Verbose(${ARG1}-${ARG2}-${ARGC}-${EXTEN}) | Set(LOCAL(X)=inside) | Gosub(deep(z)) | Verbose(${ARG1}${X}${LOCAL(X)}) | Return(${ARG2}!) | deep: Verbose(${ARG1}${ARG2}${X}) | Return()
";
    assert_eq!(
        said(plan),
        [
            "a-b c-2-s",
            "zinside",
            "ainsideinside",
            "mine//before/b c!/1"
        ]
    );
}

#[test]
fn a_condition_chooses_a_subroutine_or_none() {
    let plan = |condition: &str| {
        format!(
            "[c]\n1 => GosubIf($[{condition}]?yes(1):no(2)) | Verbose(end) | Hangup() | yes: Verbose(yes${{ARG1}}) | Return() | no: Verbose(no${{ARG1}}) | Return()"
        )
    };
    assert_eq!(said(&plan("1 = 1")), ["yes1", "end"]);
    assert_eq!(said(&plan("1 = 2")), ["no2", "end"]);
    let one = "[c]\n1 => GosubIf(0?yes) | Verbose(on) | Hangup() | yes: Return()";
    assert_eq!(said(one), ["on"]);
}

#[test]
fn subroutines_in_each_other_have_a_limit_and_so_has_return() {
    let mut endless = Walk::new("[c]\n1 => Gosub(1,1)", "c", "1");
    assert!(matches!(endless.advance(), Action::Hangup(_)));
    assert_eq!(endless.trace.len(), GOSUB_DEPTH_MAX + 1);
    assert!(
        endless.warnings[0].contains("Gosubs in each other"),
        "{:?}",
        endless.warnings
    );
    let mut astray = Walk::new("[c]\n1 => Return(1) | Verbose(never)", "c", "1");
    assert!(matches!(astray.advance(), Action::Hangup(_)));
    assert_eq!(astray.warnings, ["Return outside of a Gosub"]);
    let mut outside = Walk::new("[c]\n1 => Set(LOCAL(A)=1) | Hangup()", "c", "1");
    outside.advance();
    assert_eq!(outside.warnings, ["'LOCAL(A)' was not set"]);
}

#[test]
fn a_dial_runs_its_subroutine_on_the_caller_before_it_dials_each_time() {
    let plan = "[c]\n1 => Dial(PJSIP/ep1,20,B(sub^s^1(x^y))) | Dial(PJSIP/ep2,20,B(sub^s^1(z)))\n[sub]\ns => Set(SEEN=${SEEN}${ARG1}${ARG2}) | Return()";
    let mut walk = Walk::new(plan, "c", "1");
    assert!(matches!(walk.advance(), Action::Dial(_)));
    assert_eq!(walk.execution.variable("SEEN"), Some("xy"));
    assert!(matches!(walk.advance(), Action::Dial(_)));
    assert_eq!(walk.execution.variable("SEEN"), Some("xyz"));
    assert!(matches!(walk.advance(), Action::Hangup(_)));
}

#[test]
fn a_callees_channel_inherits_and_does_nothing_but_prepare() {
    let plan = "[c]\n1 => Set(_TAG=blue) | Set(OWN=1) | Dial(PJSIP/ep1)\n[sub]\ns => Verbose(${TAG}${OWN}${ARG1}) | Answer() | Dial(PJSIP/ep1) | Set(CALLERID(name)=${ARG1}) | Return()";
    let mut walk = Walk::new(plan, "c", "1");
    assert!(matches!(walk.advance(), Action::Dial(_)));
    let mut callee = walk
        .execution
        .of_callee("sub,s,1(in)")
        .expect("it is there");
    let (mut said, mut warned) = (Vec::new(), Vec::new());
    callee.run_before_dial(&mut walk.channel, &mut |step| {
        said.push(format!("{}({})", step.application, step.arguments));
        warned.extend_from_slice(step.warnings);
    });
    assert_eq!(
        said,
        [
            "Verbose(bluein)",
            "Answer()",
            "Dial(PJSIP/ep1)",
            "Set(CALLERID(name)=in)",
            "Return()"
        ]
    );
    assert_eq!(warned, ["not done: the callee is not called yet"; 2]);
    assert_eq!(
        walk.channel.function("CALLERID", "name").as_deref(),
        Some("in")
    );
    assert!(walk.execution.of_callee("sub,s,").is_err());
}
