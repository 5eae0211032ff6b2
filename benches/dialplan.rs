//! The dialplan: finding an extension among few and many, expanding variables, and a whole walk.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ringway::config::Location;
use ringway::config::settings::{ContextSource, DialplanSource, ExtensionSource};
use ringway::control::dialplan::{Action, Channel, DialStatus, Dialplan, Execution};
use std::hint::black_box;
use std::sync::Arc;

struct Caller;

impl Channel for Caller {
    fn function(&self, name: &str, args: &str) -> Option<String> {
        (name == "CALLERID" && args == "num").then(|| "4930123456".to_owned())
    }

    fn set_function(&mut self, name: &str, _args: &str, _value: &str) -> bool {
        name == "CALLERID"
    }

    fn epoch(&self) -> u64 {
        1_700_000_000
    }
}

fn compile(extensions: impl IntoIterator<Item = (String, Vec<&'static str>)>) -> Arc<Dialplan> {
    let extensions = extensions
        .into_iter()
        .map(|(pattern, steps)| ExtensionSource {
            pattern,
            location: Location::default(),
            steps: steps
                .into_iter()
                .map(|step| (step.to_owned(), Location::default()))
                .collect(),
        });
    let source = DialplanSource {
        contexts: vec![ContextSource {
            name: "c".into(),
            location: Location::default(),
            include: Vec::new(),
            hints: Vec::new(),
            extensions: extensions.collect(),
        }],
        ..DialplanSource::default()
    };
    let (plan, _) = Dialplan::compile(&source, &|_| true).expect("a good dialplan");
    Arc::new(plan)
}

/// Finding what was dialled must cost the same among 10 and 100,000.
fn find(c: &mut Criterion) {
    let mut group = c.benchmark_group("dialplan_find");
    for count in [10, 1_000, 100_000] {
        let steps = || vec!["Hangup()"];
        let plan = compile((0..count).map(|n| (format!("49{n:06}"), steps())));
        let dialled = format!("49{:06}", count / 2);
        group.bench_with_input(BenchmarkId::new("exact", count), &dialled, |b, dialled| {
            b.iter(|| plan.has_extension("c", black_box(dialled)));
        });
        let plan = compile(
            (0..count)
                .map(|n| (format!("_49{n:06}X."), steps()))
                .chain([("_X.".into(), steps())]),
        );
        let dialled = format!("49{:06}1234", count / 2);
        group.bench_with_input(
            BenchmarkId::new("pattern", count),
            &dialled,
            |b, dialled| {
                b.iter(|| plan.has_extension("c", black_box(dialled)));
            },
        );
        group.bench_with_input(
            BenchmarkId::new("last_resort", count),
            "4999999912",
            |b, dialled| {
                b.iter(|| plan.has_extension("c", black_box(dialled)));
            },
        );
    }
    group.finish();
}

/// Walks to the end; each Dial goes unanswered.
fn walk(plan: &Arc<Dialplan>, extension: &str) -> u32 {
    let mut execution = Execution::start(Arc::clone(plan), "c", extension, []);
    let mut actions = 0;
    loop {
        actions += 1;
        match execution.advance(&mut Caller, &mut |step| {
            black_box(step);
        }) {
            Action::Hangup(_) => return actions,
            _ => execution.dial_finished(DialStatus::NoAnswer, 19),
        }
    }
}

fn execute(c: &mut Criterion) {
    let plan = compile([
        (
            "_1X.".into(),
            vec!["NoOp(${EXTEN:1} from ${CALLERID(num):-4} at ${LEN(${EXTEN})})"],
        ),
        (
            "_2X.".into(),
            vec!["NoOp($[\"${CALLERID(num)}\" = \"4930123456\" & ${LEN(${EXTEN})} > 3])"],
        ),
        (
            "_3X.".into(),
            vec![
                "Set(CALLERID(num)=+${CALLERID(num)})",
                "GotoIf($[${LEN(${EXTEN})} > 12]?refuse)",
                "Dial(PJSIP/+49${EXTEN:1}@carrier,60)",
                "Hangup(${HANGUPCAUSE})",
                "refuse: Hangup(28)",
            ],
        ),
    ]);
    c.bench_function("dialplan_substitution", |b| {
        b.iter(|| walk(&plan, black_box("1234567")))
    });
    c.bench_function("dialplan_expression", |b| {
        b.iter(|| walk(&plan, black_box("2234567")))
    });
    c.bench_function("dialplan_walk_of_a_call", |b| {
        b.iter(|| walk(&plan, black_box("3234567")))
    });
}

criterion_group!(benches, find, execute);
criterion_main!(benches);
