//! Which files of tests are compiled, and which routes the functions in them ask.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use regex_lite::Regex;
use syn::{Expr, Item, ItemMod, Lit, Meta};

/// The files that are compiled for a root of a crate: itself, and those that its `mod` lines lead to.
pub(crate) fn compiled(root: &Path) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    add_file(root, root.parent().unwrap(), &mut files);
    files
}

/// `folder` holds the modules of the file.
fn add_file(file: &Path, folder: &Path, files: &mut BTreeSet<PathBuf>) {
    let Ok(file) = file.canonicalize() else { return };
    let text = fs::read_to_string(&file).unwrap();
    let items = syn::parse_file(&text).unwrap().items;
    let beside = file.parent().unwrap().to_owned();
    files.insert(file);
    add_modules(items, folder, &beside, files);
}

fn add_modules(items: Vec<Item>, folder: &Path, beside: &Path, files: &mut BTreeSet<PathBuf>) {
    for item in items {
        let Item::Mod(module) = item else { continue };
        let name = module.ident.to_string();
        let inner = folder.join(&name);
        match (path_of(&module), module.content) {
            (_, Some((_, items))) => add_modules(items, &inner, beside, files),
            (Some(path), None) => add_file(&beside.join(path), &inner, files),
            (None, None) => {
                add_file(&folder.join(format!("{name}.rs")), &inner, files);
                add_file(&inner.join("mod.rs"), &inner, files);
            }
        }
    }
}

/// What `#[path = "…"]` says.
fn path_of(module: &ItemMod) -> Option<String> {
    module.attrs.iter().find_map(|attribute| {
        let Meta::NameValue(pair) = &attribute.meta else { return None };
        match &pair.value {
            Expr::Lit(value) if pair.path.is_ident("path") => match &value.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        }
    })
}

/// The files in the `tests` of a package that no `mod` names, so that nothing in them is ever run.
pub(crate) fn uncompiled(package: &Path) -> Vec<String> {
    let tests = package.join("tests");
    let files = rust_files(&tests);
    let is_root = |file: &&PathBuf| {
        let folder = file.parent().unwrap();
        let is_main = file.ends_with("main.rs") && folder.parent() == Some(tests.as_path());
        folder == tests || is_main
    };
    let compiled: BTreeSet<PathBuf> =
        files.iter().filter(is_root).flat_map(|root| compiled(root)).collect();
    let is_left = |file: &&PathBuf| !compiled.contains(&file.canonicalize().unwrap());
    let left = files.iter().filter(is_left).map(|file| {
        let module = file.file_stem().unwrap().display();
        format!("{}: no `mod {module};` names it, so that no test in it is run", file.display())
    });
    left.collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| match path.extension() {
        _ if path.is_dir() => rust_files(&path),
        Some(end) if end == "rs" => vec![path],
        _ => Vec::new(),
    });
    files.collect()
}

/// The functions of a file that rustfmt has laid out, with what stands before each, and without comments.
pub(crate) fn functions(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    let items = text.split_inclusive("\n}\n").flat_map(|item| {
        let is_impl = item.lines().any(|line| line.starts_with("impl"));
        item.split_inclusive(if is_impl { "\n    }\n" } else { "\n}\n" }).map(str::to_owned)
    });
    items.collect()
}

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Whether one of the functions has the path of a route and its method. One that has the path and no method
/// with it does as well: whoever calls it may bring the method.
pub(crate) fn is_asked(route: &str, functions: &[String]) -> bool {
    let (method, path) = route.split_once(' ').unwrap();
    let begin = path.split('{').next().unwrap();
    let parameter = Regex::new(r"\{[^}]*\}").unwrap();
    // Tests write the value, or the name of one, in its place.
    let parts: Vec<String> = parameter.split(path).map(regex_lite::escape).collect();
    // With a method before it, it is what a setting or a metric says.
    let path = format!(r#"(^|[^ ]){}(["?\\)\s,]|$)"#, parts.join(r#"[^"/\s]+"#));
    let path = Regex::new(&path).unwrap();
    let mentions = METHODS.map(|method| Regex::new(&mention(method)).unwrap());
    let asks = |function: &&String| function.contains(begin) && path.is_match(function);
    functions.iter().filter(asks).any(|function| {
        let is_named = |mention: &Regex| {
            mention.captures_iter(function).any(|found| {
                found.get(1).is_none_or(|of| path.is_match(&format!("\"{}\"", of.as_str())))
            })
        };
        let named = METHODS.iter().zip(&mentions).filter(|(_, mention)| is_named(mention));
        let named: Vec<&str> = named.map(|(method, _)| *method).collect();
        named.is_empty() || named.contains(&method)
    })
}

/// How a method is said: `Method::GET`, `.get(`, `get_as(`, with the path, if that is written right behind it.
/// Checks of testkit ask by GET.
fn mention(method: &str) -> String {
    let checks = if method == "GET" { r"|\bassert_(?:needs_token|refused)\(" } else { "" };
    let call = method.to_lowercase();
    format!(
        r#"(?:\bMethod::{method}\b,?|\b{call}(?:_[a-z_]+)?\({checks})\s*(?:&?format!\(\s*)?(?:"([^"]*)")?"#
    )
}

#[test]
fn a_test_file_that_no_module_names_is_reported() {
    let package = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = package.path().join("tests").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    write("it/main.rs", "mod a;\nmod b {\n    mod c;\n}\n#[path = \"../shared/d.rs\"]\nmod e;\n");
    for named in ["it/a.rs", "it/b/c.rs", "shared/d.rs", "alone.rs"] {
        write(named, "");
    }
    assert_eq!(uncompiled(package.path()), Vec::<String>::new());

    write("it/a.rs", "// mod f;\n");
    write("it/a/f.rs", "#[test]\nfn nobody_runs_it() {}\n");
    let left = uncompiled(package.path());
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].contains("tests/it/a/f.rs: no `mod f;` names it"), "{left:?}");
}
