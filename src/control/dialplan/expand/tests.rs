use super::super::fixture::{TestChannel, Walk};
use super::*;
use proptest::prelude::*;

fn expand_with(text: &str, variables: &Variables) -> (String, Vec<String>) {
    let globals = [("TRUNK", "carrier"), ("Y", "global")];
    let globals = globals
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let mut warnings = Vec::new();
    let mut scope = Scope {
        context: "ctx",
        extension: "0491234",
        priority: 3,
        variables,
        own_globals: &BTreeMap::new(),
        globals: &globals,
        channel: &TestChannel::new(),
        random: &mut fastrand::Rng::with_seed(7),
        warnings: &mut warnings,
    };
    let template = Template::parse(text).expect("a good text");
    (scope.expand(&template), warnings)
}

fn variables() -> Variables {
    let mut variables = Variables::default();
    for (name, value) in [
        ("X", "abc"),
        ("N", "3"),
        ("NAME", "X"),
        ("FUNC", "LEN"),
        ("EMPTY", ""),
        ("LIST", "a-b-c-d"),
        ("TRICK", "a)b:1,c}"),
        ("COMMAS", "PJSIP/a,PJSIP/b,PJSIP/c"),
    ] {
        assert!(variables.set(name, value.to_owned()));
    }
    variables
}

#[test]
fn references_functions_and_expressions() {
    for (text, expected) in [
        ("plain $ text {}", "plain $ text {}"),
        ("${X}", "abc"),
        ("${x}", ""),
        ("a${X}b${X}c", "aabcbabcc"),
        ("${EXTEN:1}", "491234"),
        ("${EXTEN:-4}", "1234"),
        ("${EXTEN:1:2}", "49"),
        ("0${EXTEN:3}", "01234"),
        ("${EXTEN:${N}}", "1234"),
        ("${EXTEN:$[${N} + 1]:1}", "2"),
        ("${${NAME}}", "abc"),
        ("${${NAME}:1}", "bc"),
        ("${${FUNC}(hello)}", "5"),
        ("${CONTEXT},${EXTEN},${PRIORITY}", "ctx,0491234,3"),
        ("${EPOCH}", "1700000000"),
        ("${CHANNEL} ${UNIQUEID}", "PJSIP/ep-1 17.1"),
        ("${CALLERID(num)}", "4930123"),
        ("${callerid(num):2}", "30123"),
        ("${PJSIP_HEADER(read,X-Tag)}", "blue"),
        ("${PJSIP_HEADER(read,X-None)}", ""),
        ("${Y} ${TRUNK}", "global carrier"),
        ("${GLOBAL(TRUNK)}", "carrier"),
        ("${LEN(${X})}", "3"),
        ("${LEN(${TRICK})}", "8"),
        ("${LEN(${EMPTY})}", "0"),
        ("${TOUPPER(${X})}${TOLOWER(ABC)}", "ABCabc"),
        (
            "${ISNULL(${EMPTY})}${ISNULL(x)}${EXISTS(${X})}${EXISTS()}",
            "1010",
        ),
        ("${IF($[${N} > 2]?big:small)}", "big"),
        ("${IF(0?big:small)}", "small"),
        ("${IF(0?big)}", ""),
        ("${IF(1?\"a b\":c)}", "a b"),
        ("${CUT(LIST,-,2)}", "b"),
        ("${CUT(LIST,-,2-3)}", "b-c"),
        ("${CUT(LIST,-,3-)}", "c-d"),
        ("${CUT(LIST,-,-2)}", "a-b"),
        ("${CUT(LIST,-,1&4)}", "a-d"),
        ("${CUT(LIST,-,9)}", ""),
        ("${CUT(LIST,,1)}", "a"),
        ("${FILTER(0-9,+49 (30) 12-34)}", "49301234"),
        ("${FILTER(A-Za-z0-9\\x2b,+4a!)}", "+4a"),
        ("${FILTER(\\-0,1-0)}", "-0"),
        ("${REGEX(\"^[a-c]+$\" ${X})}", "1"),
        ("${REGEX(\"^x\" ${X})}", "0"),
        (
            "${STRREPLACE(COMMAS,\",\",\"&\")}",
            "PJSIP/a&PJSIP/b&PJSIP/c",
        ),
        ("${STRREPLACE(LIST,-)}", "abcd"),
        ("${STRREPLACE(LIST,-,+,2)}", "a+b+c-d"),
        ("${STRREPLACE(CALLERID(num),30,40)}", "4940123"),
        ("${STRFTIME(${EPOCH},,%Y%m%d-%H%M%S)}", "20231114-221320"),
        ("${STRFTIME(,UTC,%H)}", "22"),
        ("${STRFTIME(0,Europe/Berlin,%H:%M)}", "01:00"),
        ("${RAND(5,5)}", "5"),
        ("$[1 + ${N} * 2]", "7"),
        ("$[\"${X}\" = \"abc\"]", "1"),
        ("$[\"${EMPTY}\" = \"\"]", "1"),
        ("$[${LEN(${X})} = 3 & ${N} != 4]", "1"),
        ("$[\"${EXTEN}\" =~ \"^0([1-9][0-9]*)\"]", "491234"),
    ] {
        let (found, warnings) = expand_with(text, &variables());
        assert_eq!(found, expected, "{text}");
        assert!(warnings.is_empty(), "{text}: {warnings:?}");
    }
}

#[test]
fn what_cannot_be_is_passed_over_with_a_warning() {
    for (text, expected) in [
        ("$[1 +]", "0"),
        ("$[${NONE} + 1]", "0"),
        ("${EXTEN:${X}}", "0491234"),
        ("${${X}(1)}", ""),
        ("${CUT(LIST,-,x)}", ""),
        ("${REGEX(x)}", ""),
        ("${REGEX(\"[\" x)}", ""),
        ("${RAND(5,4)}", "5"),
        ("${STRFTIME(never)}", ""),
        ("${STRFTIME(0,Mars/Olympus)}", ""),
        ("${STRREPLACE(X,)}", "abc"),
    ] {
        let (found, warnings) = expand_with(text, &variables());
        assert_eq!(found, expected, "{text}");
        assert_eq!(warnings.len(), 1, "{text}: {warnings:?}");
    }
}

#[test]
fn values_are_not_read_as_dialplan() {
    let mut variables = variables();
    variables.set("EVIL", "${X}$[1+1]".into());
    assert_eq!(expand_with("${EVIL}", &variables).0, "${X}$[1+1]");
}

#[test]
fn random_numbers_follow_the_seed_and_stay_in_range() {
    let plan = "[c]\n1 => Set(R=${RAND(1,6)}) | Goto(1)";
    let draw = |seed| {
        let mut walk = Walk::new(plan, "c", "1");
        walk.execution = walk.execution.with_seed(seed);
        walk.advance();
        walk.trace.retain(|step| step.contains("Set"));
        walk.trace.truncate(50);
        walk.trace
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    let faces: std::collections::BTreeSet<String> = draw(3).into_iter().collect();
    let expected = (1..=6).map(|n| format!("c,1,1 Set(R={n})"));
    assert_eq!(faces, expected.collect());
}

#[test]
fn the_text_is_bounded() {
    let mut variables = Variables::default();
    variables.set("BIG", "ä".repeat(EXPANSION_LENGTH_MAX / 2));
    let (found, warnings) = expand_with("x${BIG}${BIG}${BIG}", &variables);
    assert!(found.len() <= EXPANSION_LENGTH_MAX && found.len() > EXPANSION_LENGTH_MAX - 2);
    assert_eq!(warnings.len(), 1);
    for text in [
        "${STRREPLACE(BIG,ä,${BIG})}",
        "${CUT(BIG,ä,1-&1-&1-&1-)}",
        "${TOUPPER(${BIG})}",
        "$[\"${BIG}\" ~~ \"${BIG}\"]",
    ] {
        let (found, _) = expand_with(text, &variables);
        assert!(
            found.len() <= EXPANSION_LENGTH_MAX,
            "{text}: {}",
            found.len()
        );
    }
}

proptest! {
    #[test]
    fn any_text_is_expanded(text in "(\\$\\{|\\$\\[|\\}|\\]|[XN():,1+-]|LEN|CUT|FILTER|IF\\(|STRREPLACE\\(|STRFTIME\\(|\\PC){0,30}") {
        let Ok(template) = Template::parse(&text) else { return Ok(()) };
        prop_assert!(template.literal().is_some() || text.contains('$'));
        let (found, _) = expand_with(&text, &variables());
        prop_assert!(found.len() <= EXPANSION_LENGTH_MAX);
    }

    #[test]
    fn any_value_stays_whole_in_a_function(value in "\\PC{0,20}") {
        let mut variables = Variables::default();
        variables.set("V", value.clone());
        prop_assert_eq!(expand_with("${LEN(${V})}", &variables).0, value.chars().count().to_string());
    }

    #[test]
    fn slices_of_any_text_hold(value in "\\PC{0,10}", offset in -12i64..12, length in -12i64..12) {
        let mut variables = Variables::default();
        variables.set("V", value.clone());
        let (found, _) = expand_with(&format!("${{V:{offset}:{length}}}"), &variables);
        prop_assert!(value.contains(&found));
    }
}
