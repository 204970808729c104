//! The import rules of ARCHITECTURE.md, held against the source.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::source::{Source, circle};

/// Layers from the bottom up: a module may use those before it in this list, never one after it.
const LAYERS: &[&[&str]] = &[
    &["config", "error", "clock"],
    &["domain"],
    &["protocol"],
    &["auth", "pid", "limits"],
    &["db", "hub", "storage"],
    &["chat"],
    &["socket", "rest"],
    &["app"],
];

/// A library and the only places that may use it.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("sqlx", &["db"]),
    ("axum", &["rest", "app"]),
    ("socketioxide", &["socket", "hub", "app"]),
    ("engineioxide", &["hub", "app"]),
    ("pglite_oxide", &["db"]),
    ("object_store", &["storage"]),
    ("governor", &["limits"]),
];

/// Lines of the longest file.
const LONGEST: usize = 350;

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Each source file with its top-level module and its text without comments.
fn modules() -> Vec<(String, String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let module = |p: &Path| {
        let first = p.strip_prefix(&root).unwrap().components().next().unwrap();
        first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
    };
    files
        .into_iter()
        .map(|p| {
            let text = fs::read_to_string(&p).unwrap();
            let code = text.lines().map(|l| l.split("//").next().unwrap()).collect::<Vec<_>>().join("\n");
            (module(&p), code, p)
        })
        .filter(|(m, ..)| !matches!(m.as_str(), "lib" | "main" | "demo"))
        .collect()
}

fn layer(module: &str) -> usize {
    LAYERS.iter().position(|l| l.contains(&module)).unwrap_or_else(|| panic!("{module} has no layer"))
}

/// The modules of this crate that a text names: `crate::x`, and `x` inside `use crate::{…}`.
fn used(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + 7..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let end = group.find(|c| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                depth == 0
            });
            let mut depth = 0;
            let mut name = String::new();
            for c in group[..end.unwrap()].chars().chain([',']) {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => names.push(std::mem::take(&mut name)),
                    c if depth == 0 => name.push(c),
                    _ => {}
                }
            }
        } else {
            names.push(rest.to_owned());
        }
    }
    let word = |n: String| n.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned();
    names.into_iter().map(word).filter(|n| !n.is_empty()).collect()
}

#[test]
fn imports_point_downward_only() {
    for (module, code, path) in modules() {
        for other in used(&code).into_iter().filter(|o| *o != module) {
            assert!(layer(&other) < layer(&module), "{}: {module} must not use {other}", path.display());
        }
    }
}

#[test]
fn no_file_leads_back_to_itself() {
    let source = Source::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert_eq!(
        circle(&source.graph()),
        Vec::<String>::new(),
        "each of these files uses the next, and the last the first"
    );
}

#[test]
fn no_file_is_long() {
    for (_, _, path) in modules() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= LONGEST, "{}: {lines} lines", path.display());
    }
}

#[test]
fn the_walk_of_a_message_names_functions_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let walk = text.split("## How a message travels").nth(1).unwrap().split("\n## ").next().unwrap();
    let hop = |line: &str| {
        let (number, rest) = line.split_once(". `")?;
        number.parse::<usize>().ok()?;
        Some(rest.split('`').next()?.to_owned())
    };
    let hops: Vec<String> = walk.lines().filter_map(hop).collect();
    assert!((5..=9).contains(&hops.len()), "{hops:?}");
    for hop in hops {
        let (file, function) = hop.split_once(':').unwrap_or_else(|| panic!("{hop} names no function"));
        let code = fs::read_to_string(root.join("src").join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let is_there = ["(", "<"].iter().any(|next| code.contains(&format!("fn {function}{next}")));
        assert!(is_there, "{file} has no function {function}");
    }
}

#[test]
fn the_database_knows_nothing_of_the_wire() {
    for (module, code, path) in modules() {
        let others = used(&code);
        let wrong = others.iter().find(|other| ["protocol", "auth", "pid"].contains(&other.as_str()));
        assert!(module != "db" || wrong.is_none(), "{}: db must not use {wrong:?}", path.display());
    }
}

#[test]
fn each_library_stays_in_its_place() {
    for (module, code, path) in modules() {
        for (library, places) in LIBRARIES {
            let uses = code.contains(&format!("{library}::"));
            assert!(!uses || places.contains(&module.as_str()), "{}: {library} in {module}", path.display());
        }
    }
}

/// A test can move a [`souk::clock::Clock`], and nothing else that tells the time of day.
#[test]
fn the_time_of_day_is_read_from_the_clock_alone() {
    for (module, code, path) in modules() {
        let wrong = ["Utc::now", "Local::now", "SystemTime::now"].into_iter().find(|call| code.contains(call));
        assert!(module == "clock" || wrong.is_none(), "{}: {wrong:?}", path.display());
    }
}

#[test]
fn the_rules_see_what_they_look_for() {
    let code = "use crate::{\n a::B,\n c::{D, e::F},\n};\nfn x() { crate::g::h() }";
    assert_eq!(used(code), ["a", "c", "g"]);
}
