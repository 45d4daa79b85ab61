//! `tusk-config` beside `serde_json`, `toml`, `toml_edit`, `ron` and `hcl-rs` on the same data.
//!
//! `cargo dev bench tusk_config`, or `cargo bench -p bench --bench tusk_config`. Texts are made
//! before, and results dropped after the clock runs, for all alike. Figures are for one thread.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]

mod data;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bench::{Contestant, Figure, compare, print_table, verdict};
use serde::de::DeserializeOwned;
use tusk_config::{Config, Loader, Vars};

use data::{Evaluated, Service, Services, Settings};

/// Services in the file of about a megabyte.
const SERVICES: usize = 4_800;

fn main() {
    parsing();
    typing();
    evaluating();
    growing();
    hostile();
    loading();
}

fn loader(text: &str) -> Loader {
    Loader::new("config").size_max(64 << 20).text("bench.tsk", text).vars(Vars::of([("SET", "8")]))
}

fn tree(text: &str) -> Config {
    loader(text).tree().unwrap()
}

/// Into each one's own tree.
fn parsing() {
    let services = data::services(SERVICES);
    let texts = data::Texts::of(&services);
    texts.check(&services);
    let figures = compare(&[
        Contestant::new("tusk-config", texts.tsk.len(), || tree(&texts.tsk)),
        Contestant::new("serde_json", texts.json.len(), || {
            serde_json::from_str::<serde_json::Value>(&texts.json).unwrap()
        }),
        Contestant::new("toml", texts.toml.len(), || {
            toml::from_str::<toml::Table>(&texts.toml).unwrap()
        }),
        Contestant::new("toml_edit, read only", texts.toml.len(), || {
            toml_edit::Document::parse(texts.toml.as_str()).unwrap()
        }),
        Contestant::new("toml_edit", texts.toml.len(), || {
            texts.toml.parse::<toml_edit::DocumentMut>().unwrap()
        }),
        Contestant::new("ron", texts.ron.len(), || {
            ron::from_str::<ron::Value>(&texts.ron).unwrap()
        }),
        Contestant::new("hcl-rs", texts.hcl.len(), || hcl::parse(&texts.hcl).unwrap()),
    ]);
    let spans = ["yes", "no", "no", "yes", "no", "no", "no"];
    let own = figures[0].megabytes_per_second();
    let ratio = |index: usize| own / figures[index].megabytes_per_second();
    let limits = [
        verdict("at least 100 MB/s", own >= 100.0),
        String::new(),
        verdict("at least 2.0 x", ratio(2) >= 2.0),
        verdict("at least 3.0 x", ratio(3) >= 3.0),
        verdict("at least 3.0 x", ratio(4) >= 3.0),
        String::new(),
        String::new(),
    ];
    let mut rows =
        vec![header(&["parser", "MB/s", "ms", "spread", "spans", "tusk-config is", "limit"])];
    for (index, figure) in figures.iter().enumerate() {
        let mut row = cells(figure);
        row.extend([
            spans[index].to_owned(),
            format!("{:.1} x", ratio(index)),
            limits[index].clone(),
        ]);
        rows.push(row);
    }
    print_table(&format!("Parsing {SERVICES} sections, {} bytes of .tsk", texts.tsk.len()), &rows);
}

/// The same, read into structs.
fn typing() {
    let services = data::services(SERVICES);
    let texts = data::Texts::of(&services);
    let figures = compare(&[
        Contestant::new("tusk-config", texts.tsk.len(), || read::<Services>(&texts.tsk)),
        Contestant::new("serde_json", texts.json.len(), || {
            serde_json::from_str::<BTreeMap<String, Service>>(&texts.json).unwrap()
        }),
        Contestant::new("toml", texts.toml.len(), || {
            toml::from_str::<BTreeMap<String, Service>>(&texts.toml).unwrap()
        }),
        Contestant::new("ron", texts.ron.len(), || {
            ron::from_str::<BTreeMap<String, Service>>(&texts.ron).unwrap()
        }),
    ]);
    print_figures("Read into structs, all faults at their places", &figures);
}

fn read<T: DeserializeOwned>(text: &str) -> T {
    loader(text).load().unwrap()
}

/// Variables, requests and interpolation.
fn evaluating() {
    let text = data::evaluated(SERVICES);
    let config = tree(&text);
    let figures = compare(&[
        Contestant::new("parse", text.len(), || tree(&text)),
        Contestant::new("evaluate", text.len(), || config.render(None, true).unwrap()),
        Contestant::new("parse, evaluate, read into structs", text.len(), || {
            read::<Evaluated>(&text)
        }),
    ]);
    print_figures("@env, @http and #{…} in every section", &figures);
}

/// Ten times the size takes ten times as long.
fn growing() {
    let sizes = [48, 480, 4_800, 48_000];
    let texts = sizes.map(|count| data::Texts::of(&data::services(count)).tsk);
    let names = texts.iter().map(|text| format!("{} KB", text.len() / 1000)).collect::<Vec<_>>();
    // One after the other: a large file would drive a small one out of the processor's cache.
    let alone = |(text, name): (&String, &String)| {
        compare(&[Contestant::new(name, text.len(), || tree(text))]).remove(0)
    };
    let figures: Vec<Figure> = texts.iter().zip(&names).map(alone).collect();
    print_figures("Parsing files of growing size", &figures);
    let speeds = figures.iter().map(Figure::megabytes_per_second);
    let fastest = speeds.clone().fold(0.0, f64::max);
    let slowest = speeds.fold(f64::MAX, f64::min);
    println!("  the fastest is {:.1} x as fast as the slowest", fastest / slowest);
}

/// A megabyte of what nobody writes.
fn hostile() {
    let pieces =
        ["[", "\"", "a ? b : ", "a: $x ? 1 : ", "a {\n", "a:\n", "a: @a\n", "a: \"#{a}#{a}\"\n"];
    let texts = pieces.map(|piece| piece.repeat((1 << 20) / piece.len()));
    let names = pieces.map(|piece| format!("{piece:?}"));
    let contestants: Vec<_> = texts
        .iter()
        .zip(&names)
        .map(|(text, name)| {
            let load = || loader(text).load::<BTreeMap<String, String>>().unwrap_err();
            Contestant::new(name, text.len(), load)
        })
        .collect();
    print_figures("A megabyte of one piece, to its faults", &compare(&contestants));
}

/// The files of this workspace, as a service reads them: open, parse, evaluate.
fn loading() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    let names: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    let files = names.iter().filter(|name| name.extension().is_some_and(|kind| kind == "tsk"));
    let bytes = files.map(|file| std::fs::metadata(file).unwrap().len()).sum::<u64>();
    let secrets =
        ["JWT_SECRET", "SECOND_FACTOR_KEYS", "DATABASE_URL", "REDIS_URL", "STRIPE_API_KEY"]
            .into_iter()
            .chain(["USER_SERVICE_TOKEN", "PAYMENT_SERVICE_TOKEN", "NOTIFICATION_SERVICE_TOKEN"]);
    let vars = Vars::of(secrets.map(|name| (name, "s")));
    let load = || {
        let config = Loader::new(&folder).all_files().vars(vars.clone()).tree().unwrap();
        config.render(None, true).unwrap()
    };
    let files =
        ["services", "database", "message_queue", "cache", "auth", "tracing", "user-service"];
    let typed = || {
        let loader = files.iter().fold(Loader::new(&folder), |loader, name| loader.file(name));
        loader.vars(vars.clone()).load::<Settings>().unwrap()
    };
    let bytes = usize::try_from(bytes).unwrap();
    let figures = compare(&[
        Contestant::new("config/*.tsk, evaluated", bytes, load),
        Contestant::new("the files of one service, typed", bytes, typed),
    ]);
    let mut rows = vec![header(&["files", "MB/s", "ms", "spread", "limit"])];
    rows.extend(figures.iter().map(|figure| {
        let mut row = cells(figure);
        row.push(verdict("under 2 ms", figure.milliseconds() < 2.0));
        row
    }));
    print_table("Opening and reading the configuration of this workspace", &rows);
}

fn print_figures(title: &str, figures: &[Figure]) {
    let mut rows = vec![header(&["", "MB/s", "ms", "spread"])];
    rows.extend(figures.iter().map(cells));
    print_table(title, &rows);
}

fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn cells(figure: &Figure) -> Vec<String> {
    vec![
        figure.name.clone(),
        format!("{:.1}", figure.megabytes_per_second()),
        format!("{:.2}", figure.milliseconds()),
        format!("{:.0} %", figure.spread * 100.0),
    ]
}
