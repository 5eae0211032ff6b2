use super::super::fixture::{compile, plan};
use super::*;
use proptest::prelude::*;

/// What is told of a plan: `line:column key: message`.
fn told(text: &str) -> Vec<String> {
    let diagnostics = match compile(text) {
        Ok((_, warnings)) => warnings,
        Err(diagnostics) => diagnostics,
    };
    let lines = diagnostics.iter().map(|one| {
        let Location { line, column } = one.location;
        format!("{line}:{column} {}: {}", one.key, one.message)
    });
    lines.collect()
}

/// One extension `100` in context `c` with this step, which stands in line 2.
fn told_of_step(step: &str) -> Vec<String> {
    told(&format!("[c]\n100 => {step}"))
}

#[test]
fn every_wrong_step_is_told_with_its_place() {
    for (step, expected) in [
        (
            "Frobnicate(1)",
            "no application 'Frobnicate'; there are Answer, Background, Busy,",
        ),
        ("Queue(q)", "no application 'Queue'"),
        ("NoOp(a", "'NoOp(' without its ')'"),
        ("NoOp(${A)", "'${' without its '}'"),
        ("NoOp($[1+2)", "'$[' without its ']'"),
        ("NoOp(${LEN(a}))", "'LEN(' without its ')'"),
        ("Hangup() x", "'x' after the ')'"),
        ("NoOp(${NOSUCH(1)})", "no function NOSUCH"),
        ("Set(LEN(a)=1)", "no function LEN that can be set"),
        ("Set(A)", "Set needs name=value"),
        ("Set(=1)", "Set needs name=value"),
        ("Wait(x)", "Wait(x): expected seconds"),
        ("Wait()", "Wait needs a number of seconds"),
        ("Wait(-1)", "expected seconds"),
        ("Answer(soon)", "expected milliseconds"),
        ("Busy(x)", "expected seconds"),
        ("Congestion(x)", "expected seconds"),
        ("Hangup(200)", "expected a Q.850 cause"),
        ("Hangup(LATER)", "expected a Q.850 cause"),
        ("Dial()", "Dial needs something to dial"),
        ("Dial(DAHDI/1)", "'DAHDI/1' is not PJSIP/endpoint"),
        ("Dial(PJSIP/ep1,x)", "the timeout 'x'"),
        ("Dial(PJSIP/nobody)", "no endpoint or trunk group 'nobody'"),
        (
            "Dial(PJSIP/${EXTEN}@nobody,30)",
            "no endpoint or trunk group 'nobody'",
        ),
        (
            "Dial(PJSIP/nobody/${EXTEN})",
            "no endpoint or trunk group 'nobody'",
        ),
        (
            "Dial(PJSIP/ep1&PJSIP/nobody)",
            "no endpoint or trunk group 'nobody'",
        ),
        ("Dial(${T}&IAX2/x)", "'IAX2/x' is not PJSIP/endpoint"),
        ("GotoIf(1)", "GotoIf needs (condition?target)"),
        ("GotoIf(1?)", "GotoIf needs (condition?target)"),
        (
            "GotoIf(1?nowhere)",
            "GotoIf: no label 'nowhere' in extension '100'",
        ),
        ("GotoIf(1?1:nowhere)", "no label 'nowhere'"),
        (
            "Goto(nowhere)",
            "Goto: no label 'nowhere' in extension '100'",
        ),
        ("Goto(2)", "no priority 2 in extension '100'"),
        ("Goto(0)", "'0' is no priority"),
        ("Goto()", "'' is no priority"),
        ("Goto(999,1)", "no extension '999' in context 'c'"),
        ("Goto(d,100,1)", "no context 'd'"),
        ("Goto(d,${EXTEN},1)", "no context 'd'"),
        ("Goto(c,100,7)", "no priority 7"),
        ("Goto(a,b,c,d)", "is not [[context,]extension,]priority"),
        ("", "the extension has no steps"),
    ] {
        let found = told_of_step(step);
        assert_eq!(found.len(), 1, "{step}: {found:?}");
        let place = if step.is_empty() { "2:0" } else { "2:1" };
        let start = format!("{place} context.c.exten.100: ");
        assert!(
            found[0].starts_with(&start) && found[0].contains(expected),
            "{step}: {found:?}"
        );
    }
}

#[test]
fn good_steps_are_not_told() {
    for step in [
        "Answer",
        "answer()",
        "ANSWER(500)",
        "Hangup(USER_BUSY)",
        "Wait(${T})",
        "Wait(0.5)",
        "NoOp(a \\) b)",
        "NoOp(5\" pipe)",
        "NoOp(\"a ) b\")",
        "lab-el_1: NoOp(x) | Goto(lab-el_1)",
        "Goto(+1)",
        "Goto(${A})",
        "Goto(${A},1)",
        "Goto(c,${A},1)",
        "Goto(c,100,${A})",
        "Goto(c,100,1)",
        "GotoIf($[${A} = 1]?1:100,1)",
        "GotoIf(${A}?1)",
        "GotoIf(${A}?:1)",
        "Dial(PJSIP/${EXTEN})",
        "Dial(${TARGETS},30)",
        "Dial(PJSIP/${EXTEN}@ep-trunk&SIP/ep2,${T},tT)",
        "Dial(PJSIP/ep1/sip:${EXTEN}@host;transport=tcp,60)",
        "Set(CALLERID(all)=Ann <${EXTEN}>)",
        "Set(__X=a=b)",
        "Set(${NAME}=1)",
    ] {
        let found = told_of_step(step);
        assert!(found.is_empty(), "{step}: {found:?}");
    }
}

#[test]
fn a_set_without_its_bracket_is_run_as_meant_with_a_warning() {
    let text = "[c]\n*80 => Set(CALLERID(all)=Intercom <${EXTEN}> | Hangup()";
    assert_eq!(
        told(text),
        ["2:1 context.c.exten.*80: 'Set(' without its ')'; read as if it stood at the end"]
    );
    let mut walk = super::super::fixture::Walk::new(text, "c", "*80");
    walk.advance();
    assert_eq!(walk.trace[0], "c,*80,1 Set(CALLERID(all)=Intercom <*80>)");
}

#[test]
fn every_wrong_extension_and_include_is_told() {
    for (text, expected) in [
        (
            "[c]\n_[1 => Hangup()",
            "2:0 context.c.exten._[1: '_[1': '[' without ']'",
        ),
        (
            "[c]\n_X.1 => Hangup()",
            "2:0 context.c.exten._X.1: '_X.1': nothing may follow",
        ),
        (
            "[c]\n100 => Hangup()\n1-00 => Hangup()",
            "3:0 context.c.exten.1-00: '1-00' matches the same as the extension in line 2",
        ),
        (
            "[c]\n_NXX => Hangup()\n_nxx => Hangup()",
            "3:0 context.c.exten._nxx: '_nxx' matches the same as the extension in line 2",
        ),
        (
            "[c]\n${NONE} => Hangup()",
            "2:0 context.c.exten.${NONE}: no global variable 'NONE'",
        ),
        (
            "[c]\n1 => a: NoOp() | a: NoOp()",
            "2:2 context.c.exten.1: the label 'a' is already in line 2",
        ),
        ("[c]\ninclude d", "2:1 context.c.include: no context 'd'"),
        (
            "[c]\ninclude c",
            "2:1 context.c.include: a loop of includes: 'c' leads back to 'c'",
        ),
        ("A = ${B", "0:0 globals.A: '${' without its '}'"),
    ] {
        let found = told(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with(expected), "{text}: {found:?}");
    }
}

#[test]
fn a_loop_of_includes_is_told_at_each_of_its_links() {
    let found = told("[a]\ninclude b\n[b]\ninclude c\n[c]\ninclude a\n[d]\ninclude a\n");
    let lines: Vec<&str> = found.iter().map(|line| &line[..4]).collect();
    assert_eq!(lines, ["2:1 ", "4:1 ", "6:1 "], "{found:?}");
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_the_file() {
    let found = told("[c]\n100 => Wait(x) | NoOp( | Goto(gone)\n_[ => Hangup()\ninclude nowhere");
    let places: Vec<&str> = found
        .iter()
        .map(|line| line.split(' ').next().expect("a place"))
        .collect();
    assert_eq!(places, ["2:1", "2:2", "2:3", "3:0", "4:1"], "{found:?}");
}

#[test]
fn globals_stand_in_names_and_in_each_other() {
    let text = "AREA = 030\nLOCAL = _6XXX\nALL = ${AREA}XX\n[c]\n${LOCAL} => NoOp(local)\n_${ALL} => NoOp(area)";
    let plan = plan(text);
    assert!(plan.has_extension("c", "6001"));
    assert!(plan.has_extension("c", "03012"));
    assert!(!plan.has_extension("c", "04012"));
    assert!(!plan.has_extension("d", "6001"));
    assert_eq!(plan.contexts().collect::<Vec<_>>(), ["c"]);
}

#[test]
fn included_contexts_come_after_the_own_extensions_in_order_and_depth_first() {
    let text = "[c]\ninclude d\ninclude e\n_X. => NoOp()\n[d]\ninclude f\n200 => NoOp()\n[e]\na => NoOp()\nb => NoOp()\n[f]\n_[ab] => NoOp()\n";
    let plan = plan(text);
    let matched = |dialled: &str| {
        let found = plan.find("c", dialled).expect("an extension");
        (
            &plan.context(found.context).name[..],
            &plan.extension(found).name[..],
        )
    };
    assert_eq!(
        matched("200"),
        ("c", "_X."),
        "the worse match of the own context wins"
    );
    assert_eq!(
        matched("a"),
        ("f", "_[ab]"),
        "what the first include includes comes before the second"
    );
    assert_eq!(plan.find("d", "b").map(|found| found.context), Some(3));
}

#[test]
fn steps_may_go_where_the_including_context_leads() {
    let shared = "[shared]\n1 => Goto(200,1)\n";
    assert_eq!(
        told(&format!("{shared}[c]\ninclude shared\n200 => NoOp()")),
        [""; 0]
    );
    assert_eq!(told(&format!("{shared}[c]\n200 => NoOp()")).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_text_compiles_or_is_told(
        pattern in "(_?[XZN0-9.!\\[\\]${}A-]|\\PC){0,12}",
        step in "([a-z]+: )?(Set|Goto|GotoIf|Dial|NoOp|Wait|Hangup)\\(([${}\\[\\]():?,&/@=1A\"]|LEN|\\PC){0,30}\\)?",
    ) {
        let source = DialplanSource {
            globals: vec![("A".into(), step.clone())],
            contexts: vec![ContextSource {
                name: "c".into(),
                location: Location::default(),
                include: Vec::new(),
                hints: Vec::new(),
                extensions: vec![ExtensionSource {
                    pattern,
                    location: Location::default(),
                    steps: vec![(step, Location::default())],
                }],
            }],
        };
        if let Ok((plan, _)) = Dialplan::compile(&source, &|_| true) {
            let plan = std::sync::Arc::new(plan);
            super::super::route(&plan, "c", "A12", Some("1"), 0);
            super::super::route(&plan, "c", "1", None, u64::MAX);
        }
    }
}
