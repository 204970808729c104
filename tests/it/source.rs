//! The files of `src/` as a graph: which file uses what of which other. A name that a module hands on (`pub use`) counts as
//! the file that it comes from; code for tests does not count.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::Path,
};

use syn::{
    Attribute, File, ImplItemFn, Item, ItemFn, ItemImpl, ItemMod, ItemUse, UseTree, Visibility,
    visit::{self, Visit},
};

type Names = Vec<String>;

/// The source of one crate.
pub struct Source {
    /// Each file by the path of its module.
    files: BTreeMap<Names, (String, File)>,
    /// What a module hands on: its path and a name, and the path that the name stands for.
    handed_on: HashMap<(Names, String), Names>,
}

impl Source {
    /// Reads every file under `root` but `main.rs`, which is a crate of its own.
    pub fn read(root: &Path) -> Self {
        let mut paths = Vec::new();
        collect(root, &mut paths);
        let mut files = BTreeMap::new();
        for path in paths {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let mut module: Names = name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if module.last().is_some_and(|last| last == "mod" || last == "lib") {
                module.pop();
            }
            if name != "main.rs" {
                files.insert(module, (name, syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap()));
            }
        }
        let mut source = Self { files, handed_on: HashMap::new() };
        let mut handed_on = HashMap::new();
        for (module, (_, file)) in &source.files {
            for item in &file.items {
                let Item::Use(item) = item else { continue };
                if !matches!(item.vis, Visibility::Inherited) {
                    for (path, name) in leaves(&item.tree) {
                        handed_on.insert((module.clone(), name), source.absolute(module, &path));
                    }
                }
            }
        }
        source.handed_on = handed_on;
        source
    }

    /// Each file with those it uses.
    pub fn graph(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut graph = BTreeMap::new();
        for (module, (name, file)) in &self.files {
            let mut paths = Paths::default();
            paths.visit_file(file);
            let used = paths.0.iter().filter_map(|path| self.file_of(&self.absolute(module, path)));
            graph.insert(name.as_str(), used.filter(|other| other != name).collect());
        }
        graph
    }

    /// The path from the crate's root, of one that stands in `module`.
    fn absolute(&self, module: &[String], path: &[String]) -> Names {
        let mut at = module.to_vec();
        let mut rest = path;
        match path.first().map(String::as_str) {
            Some("crate") => (at, rest) = (Vec::new(), &path[1..]),
            Some("self") => rest = &path[1..],
            Some("super") => {}
            // A child of this module; anything else is another crate's, or a name that was imported.
            Some(first) if self.files.contains_key(&[module, &[first.to_owned()]].concat()) => {}
            _ => return Vec::new(),
        }
        while rest.first().is_some_and(|first| first == "super") {
            at.pop();
            rest = &rest[1..];
        }
        [at, rest.to_vec()].concat()
    }

    /// The file in which the thing at this path stands.
    fn file_of(&self, path: &[String]) -> Option<&str> {
        let modules = (0..=path.len()).rev().find(|n| self.files.contains_key(&path[..*n]))?;
        let (module, rest) = path.split_at(modules);
        if path.is_empty() {
            return None;
        }
        if let Some(name) = rest.first()
            && let Some(real) = self.handed_on.get(&(module.to_vec(), name.clone()))
            && real != path
        {
            return self.file_of(&[real, &rest[1..]].concat());
        }
        // Only a module is named: whoever uses it will use what is in it by a path of its own.
        (!rest.is_empty()).then(|| self.files[module].0.as_str())
    }
}

/// Files each of which leads to itself, in circles as short as they come; empty where there are none.
pub fn circle(graph: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<String> {
    let mut shortest: Vec<String> = Vec::new();
    for start in graph.keys() {
        let mut from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([*start]);
        while let Some(at) = queue.pop_front() {
            for next in &graph[at] {
                if next == start {
                    let mut path = vec![at.to_owned()];
                    let mut back = at;
                    while back != *start {
                        back = from[back];
                        path.push(back.to_owned());
                    }
                    path.reverse();
                    if shortest.is_empty() || path.len() < shortest.len() {
                        shortest = path;
                    }
                    queue.clear();
                    break;
                }
                if !from.contains_key(next) {
                    from.insert(next, at);
                    queue.push_back(next);
                }
            }
        }
    }
    shortest
}

fn collect(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .any(|a| a.path().is_ident("cfg") && a.meta.require_list().is_ok_and(|l| l.tokens.to_string() == "test"))
}

/// The paths that a `use` names, each with the name it is known by.
fn leaves(tree: &UseTree) -> Vec<(Names, String)> {
    match tree {
        UseTree::Path(path) => {
            let first = path.ident.to_string();
            let below = leaves(&path.tree).into_iter();
            below
                .map(|(rest, name)| {
                    if rest == ["self"] {
                        (vec![first.clone()], first.clone())
                    } else {
                        ([vec![first.clone()], rest].concat(), name)
                    }
                })
                .collect()
        }
        UseTree::Name(name) => vec![(vec![name.ident.to_string()], name.ident.to_string())],
        UseTree::Rename(rename) => vec![(vec![rename.ident.to_string()], rename.rename.to_string())],
        UseTree::Glob(_) => vec![(vec!["*".into()], "*".into())],
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
    }
}

/// The paths that code names.
#[derive(Default)]
struct Paths(Vec<Names>);

impl<'a> Visit<'a> for Paths {
    fn visit_item(&mut self, item: &'a Item) {
        let attributes: &[Attribute] = match item {
            Item::Mod(ItemMod { attrs, .. })
            | Item::Fn(ItemFn { attrs, .. })
            | Item::Impl(ItemImpl { attrs, .. })
            | Item::Use(ItemUse { attrs, .. }) => attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'a ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'a ItemUse) {
        if matches!(item.vis, Visibility::Inherited) {
            self.0.extend(leaves(&item.tree).into_iter().map(|(path, _)| path));
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        self.0.push(path.segments.iter().map(|s| s.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}
