//! `docs/CONTRACT.md` names everything that is on the wire, and the code refers to sections that it has.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const CONTRACT: &str = include_str!("../../docs/CONTRACT.md");

fn source(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The texts between `"` and `"` in lines that hold `mark`.
fn texts(code: &str, mark: &str) -> BTreeSet<String> {
    let lines = code.lines().filter(|line| line.contains(mark));
    lines.filter_map(|line| line.split('"').nth(1).map(ToOwned::to_owned)).collect()
}

fn assert_named(what: &str, names: &BTreeSet<String>, at_least: usize) {
    assert!(names.len() >= at_least, "only {} of {what} were found: {names:?}", names.len());
    let missing: Vec<_> = names.iter().filter(|name| !CONTRACT.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{what} that docs/CONTRACT.md does not name: {missing:?}");
}

#[test]
fn every_event_is_in_the_contract() {
    let mut events = texts(&source("src/protocol/events.rs"), "pub const");
    events.extend(texts(&source("src/socket/events.rs"), "rule(\"chat:"));
    let named: String = CONTRACT.replace(" {", "` {");
    assert!(events.len() >= 34, "{events:?}");
    let missing: Vec<_> = events.iter().filter(|event| !named.contains(&format!("`{event}`"))).collect();
    assert!(missing.is_empty(), "events that docs/CONTRACT.md does not name: {missing:?}");
}

#[test]
fn every_code_of_an_error_is_in_the_contract() {
    let mut codes = texts(&source("src/error.rs"), "=> (\"");
    codes.extend(texts(&source("src/socket/auth.rs"), "Self::").into_iter().filter(|text| !text.contains(' ')));
    assert_named("codes", &codes, 40);
}

#[test]
fn every_route_is_in_the_contract() {
    let routes = texts(&source("src/rest/mod.rs"), ".route(\"");
    assert!(routes.len() >= 20, "{routes:?}");
    let is_named = |route: &String| {
        let path = route.trim_start_matches("/api/chat").replace("{*path}", "…").replace("{id}", ":id");
        let path = path.replace("{reaction}", ":reaction");
        ["`", "?", " `"].iter().any(|end| CONTRACT.contains(&format!(" {path}{end}")))
    };
    let missing: Vec<_> = routes.iter().filter(|route| !is_named(route)).collect();
    assert!(missing.is_empty(), "routes that docs/CONTRACT.md does not name: {missing:?}");
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn the_code_refers_to_sections_that_the_contract_has() {
    let headings: Vec<&str> = CONTRACT.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let mut files = Vec::new();
    for dir in ["src", "tests"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut files);
    }
    let mut references = 0;
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "rs") && !f.ends_with(file!())) {
        let code = fs::read_to_string(file).unwrap();
        for after in code.split("contract §").skip(1) {
            references += 1;
            let line = after.lines().next().unwrap_or_default();
            assert!(headings.iter().any(|h| line.starts_with(h)), "{}: contract §{line}", file.display());
        }
    }
    assert!(references >= 40, "only {references} references were found");
}
