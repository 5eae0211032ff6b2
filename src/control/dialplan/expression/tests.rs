use super::*;
use proptest::prelude::*;

fn is(text: &str, expected: &str) {
    assert_eq!(evaluate(text).as_deref(), Ok(expected), "{text}");
}

#[test]
fn arithmetic() {
    for (text, expected) in [
        ("1 + 2", "3"),
        ("1+2*3", "7"),
        ("(1+2)*3", "9"),
        ("10 - 4 - 3", "3"),
        ("7 / 2", "3.5"),
        ("8 / 2", "4"),
        ("7 % 3", "1"),
        ("-7 % 3", "-1"),
        ("-2 * 3", "-6"),
        ("2 * -3", "-6"),
        ("- - 2", "2"),
        ("1.5 + 1.5", "3"),
        ("0.1", "0.1"),
        ("1 / 0", "2147483647"),
        ("1 % 0", "0"),
        ("a + 2", "2"),
        ("2 + a", "2"),
        ("a + b", "0"),
        ("3 - a", "3"),
        ("a - 3", "-3"),
        ("a * 3", "0"),
        ("3 / a", "2147483647"),
        ("4930123456 + 1", "4930123457"),
        ("FLOOR(2.7) + CEIL(2.1)", "5"),
        ("POW(2,10)", "1024"),
        ("abs(-3)", "3"),
        ("ROUND(2.5)", "3"),
        ("100000000000000 * 10000000000", "1e24"),
    ] {
        is(text, expected);
    }
}

#[test]
fn comparison_is_of_numbers_or_of_text() {
    for (text, expected) in [
        ("10 > 9", "1"),
        ("a10 > a9", "0"),
        ("007 = 7", "1"),
        ("1.0 = 1", "1"),
        ("\"007\" = \"7\"", "0"),
        ("abc = abc", "1"),
        ("abc == abd", "0"),
        ("abc != abd", "1"),
        ("abc < abd", "1"),
        ("3 <= 3", "1"),
        ("3 >= 4", "0"),
        ("\"\" = \"\"", "1"),
        ("\"x\" = \"\"", "0"),
        ("\"a b\" = \"a b\"", "1"),
        // As in Asterisk, quotes are part of the text.
        ("\"6001\" = 6001", "0"),
        ("1 = 1 = 1", "1"),
        ("1 < 2 + 3", "1"),
    ] {
        is(text, expected);
    }
}

#[test]
fn logic_gives_its_operand() {
    for (text, expected) in [
        ("0 | 5", "5"),
        ("a | b", "a"),
        ("0 || 0", "0"),
        ("3 & 5", "3"),
        ("3 & 0", "0"),
        ("0 && 3", "0"),
        ("1 | 0 & 0", "1"),
        ("!0", "1"),
        ("!1", "0"),
        ("!abc", "1"),
        ("! 0 & 1", "1"),
        ("1 = 1 & 2 = 2", "1"),
        ("1 = 2 | 2 = 2", "1"),
    ] {
        is(text, expected);
    }
}

#[test]
fn conditions() {
    for (text, expected) in [
        ("1 ? a :: b", "a"),
        ("0 ? a :: b", "b"),
        ("\"\" ? a :: b", "b"),
        ("x ? a :: b", "a"),
        ("3 > 2 ? 10 + 1 :: 20", "11"),
        ("1 ? a : b", "a"),
        ("0 ? a : b", "b"),
        ("0 ? a : 1 + 2", "3"),
        ("1 ? (0 ? a :: b) :: c", "b"),
        ("1 ? \"abc\" : \"a(.)\" :: c", "b"),
        ("1 ? -1 : 2", "-1"),
    ] {
        is(text, expected);
    }
}

#[test]
fn regular_expressions() {
    for (text, expected) in [
        ("4930123 : \"49(.*)\"", "30123"),
        ("4930123 : \"30\"", "0"),
        ("4930123 =~ \"30\"", "2"),
        ("4930123 =~ \"(9.)\"", "93"),
        ("\"abc\" : \"[a-z]*\"", "3"),
        ("\"abc\" =~ \"(x)\"", ""),
        ("\"grün\" =~ \"gr.n\"", "4"),
        ("abc : a", "1"),
        ("(5551212 : \"(...)\") = 555", "1"),
        ("ab ~~ cd", "abcd"),
        ("\"a b\" ~~ \"c\"", "a bc"),
        ("1 ~~ 2 + 1", "13"),
    ] {
        is(text, expected);
    }
    for text in [
        "a : \"(\"",
        "a =~ \"[\"",
        "a =~ \"((((a{100}){100}){100}){100})\"",
    ] {
        assert!(evaluate(text).is_err(), "{text}");
    }
}

#[test]
fn single_operands_and_nothing() {
    for (text, expected) in [
        ("", ""),
        ("  ", ""),
        ("5", "5"),
        ("007", "007"),
        ("abc", "abc"),
        ("\"a\"", "\"a\""),
    ] {
        is(text, expected);
    }
}

#[test]
fn what_is_no_expression_is_told() {
    for text in [
        "1 +",
        "+ 1",
        "* 2",
        "(1",
        "1)",
        "a b",
        "\"open",
        "1 ? 2",
        "1 ? 2 : 3 : 4 )",
        ",",
        "NOSUCH(1)",
        "POW(1)",
        "()",
        "1 :: 2",
        "= 1",
    ] {
        assert!(evaluate(text).is_err(), "{text}");
    }
    assert!(evaluate(&"(".repeat(1000)).is_err());
    assert!(evaluate(&"-".repeat(1000)).is_err());
    assert!(evaluate(&"1?".repeat(500)).is_err());
    assert!(evaluate(&"1+".repeat(5000)).is_err());
}

#[test]
fn conditions_of_gotoif() {
    for (text, expected) in [
        ("", false),
        ("0", false),
        ("00", false),
        ("0abc", false),
        ("-0", false),
        (" 0", false),
        ("1", true),
        ("abc", true),
        ("010", true),
        ("-1", true),
        ("0.5", false),
        ("\"\"", true),
    ] {
        assert_eq!(is_true(text), expected, "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_evaluated_or_an_error(text in "([0-9a\" ()|&=!<>+*/%:?~,.-]|\\PC){0,60}") {
        let _ = evaluate(&text);
    }

    #[test]
    fn sums_of_whole_numbers_are_whole(a in 0u32.., b in 0u32.., c in 1u32..) {
        is(&format!("{a} + {b} * 2 - {c}"), &(i64::from(a) + i64::from(b) * 2 - i64::from(c)).to_string());
    }
}
