//! Keys of other files, and the files that operators may read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tusk_config::{Errors, Loader, Vars};

type Map<T> = BTreeMap<String, T>;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path: &Path = &folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn loader(&self) -> Loader {
        Loader::new(self.0.path()).file("a").vars(Vars::of([("X", "x")]))
    }

    fn get(&self, path: &str) -> Result<String, Errors> {
        self.loader().tree()?.get(path)
    }

    fn faults(&self) -> Vec<String> {
        let Err(errors) = self.loader().load::<Map<String>>() else { return Vec::new() };
        errors.iter().map(|fault| fault.text().to_owned()).collect()
    }
}

#[test]
fn a_key_of_another_file_is_read_in_the_world_of_that_file() {
    let folder = Folder::new(&[
        (
            "a.tsk",
            "host: \"a\"\nurl: @db.main.tsk.get(\"database.url\")\nall: @db.main.tsk.get(\"database\")",
        ),
        (
            "db.main.tsk",
            "$port: 5432\nhost: \"b\"\n[database]\nurl: \"#{host}:$port/#{name}\"\nname: @c.tsk.get(\"x\")\n",
        ),
        ("c.tsk", "x: @env(\"X\")"),
    ]);
    assert_eq!(folder.get("url").unwrap(), "b:5432/x");
    let all: Map<String> = folder.loader().tree().unwrap().get("all").unwrap();
    assert_eq!((all["url"].as_str(), all["name"].as_str()), ("b:5432/x", "x"));
}

#[test]
fn a_key_that_is_not_there_has_a_suggestion_and_a_fallback() {
    let folder = Folder::new(&[
        ("a.tsk", "a: @b.tsk.get(\"server.prot\")\nb: @b.tsk.get(\"nothing\") ?? \"d\""),
        ("b.tsk", "[server]\nport: 1"),
    ]);
    let error = folder.get("a").unwrap_err().to_string();
    assert!(error.contains("b.tsk has no key `server.prot`"), "{error}");
    assert!(error.contains("did you mean `port`?"), "{error}");
    assert_eq!(folder.get("b").unwrap(), "d");
}

#[test]
fn a_file_that_is_missing_matters_to_who_reads_a_key_of_it() {
    let folder = Folder::new(&[("a.tsk", "a: @b.tsk.get(\"x\")\nc: 1")]);
    assert_eq!(folder.get("c").unwrap(), "1");
    let error = folder.get("a").unwrap_err().to_string();
    assert!(error.contains("keys of b.tsk cannot be had: "), "{error}");
    assert!(error.contains("a.tsk:1:4"), "{error}");
}

#[test]
fn files_that_take_keys_from_each_other_are_a_fault_with_every_step() {
    let folder = Folder::new(&[
        ("a.tsk", "a: @b.tsk.get(\"x\")"),
        ("b.tsk", "x: 1\ny: @c.tsk.get(\"x\")"),
        ("c.tsk", "x: @a.tsk.get(\"a\")"),
    ]);
    let expected = "these files take keys from each other: a.tsk -> b.tsk -> c.tsk -> a.tsk";
    assert_eq!(folder.faults(), [expected]);
    let folder = Folder::new(&[("a.tsk", "a: @a.tsk.get(\"b\")\nb: 1")]);
    assert_eq!(folder.faults()[0], "these files take keys from each other: a.tsk -> a.tsk");
}

#[test]
fn faults_of_a_file_that_keys_are_taken_from_have_their_place_there() {
    let folder = Folder::new(&[("a.tsk", "a: @b.tsk.get(\"x\")"), ("b.tsk", "y: \"z\nx: 1")]);
    let errors = folder.loader().load::<Map<String>>().unwrap_err();
    let location = errors.iter().next().unwrap().location().unwrap().to_string();
    assert!(location.ends_with("b.tsk:1:4"), "{location}");
}

#[test]
#[cfg(unix)]
fn nothing_outside_of_the_folder_is_read() {
    let outside = Folder::new(&[("secret.tsk", "x: hunter2"), ("secret.txt", "hunter2")]);
    let text = "a: @link.tsk.get(\"x\")\nb: @file.read(\"../secret.txt\")\n\
        c: @file.read(\"link.txt\")\nd: @file.read(\"/etc/hostname\")";
    let folder = Folder::new(&[("a.tsk", text)]);
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(outside.0.path().join(to), folder.0.path().join(name)).unwrap();
    };
    link("secret.tsk", "link.tsk");
    link("secret.txt", "link.txt");
    let loader = folder.loader().allow_files(folder.0.path());
    let errors = loader.load::<Map<String>>().unwrap_err();
    assert_eq!(errors.len(), 4, "{errors}");
    assert!(!errors.to_string().contains("hunter2"), "{errors}");
}

#[test]
fn files_are_read_only_where_that_is_allowed() {
    let text = "a: @file.read(\"motd.txt\")\nb: @json(\"sub/x.json\")\nc: @json(\"motd.txt\")";
    let files = [
        ("a.tsk", text),
        ("motd.txt", "hello #{x}\n"),
        ("sub/x.json", r#"{"k": [1, {"l": "m"}], "n": 1.5}"#),
    ];
    let folder = Folder::new(&files);
    let error = folder.get("a").unwrap_err().to_string();
    assert!(
        error.contains("@file.read gives nothing: reading files is not allowed here"),
        "{error}"
    );
    let config = folder.loader().allow_files(folder.0.path()).tree().unwrap();
    assert_eq!(config.get::<String>("a").unwrap(), "hello #{x}\n");
    let json: serde_json::Value = config.get("b").unwrap();
    assert_eq!(json, serde_json::json!({"k": [1, {"l": "m"}], "n": 1.5}));
    let error = config.get::<String>("c").unwrap_err().to_string();
    assert!(error.contains("motd.txt is no JSON: expected value at line 1 column 1"), "{error}");
}

#[test]
fn what_is_asked_for_with_a_secret_is_one() {
    let text = "a: @file.read(\"#{s}.txt\")\nb: @echo(\"x#{s}\")\ns: @env.secure(\"S\")";
    let folder = Folder::new(&[("a.tsk", text)]);
    let loader = folder.loader().vars(Vars::of([("S", "hunter2")])).allow_files(folder.0.path());
    let loader = loader.operator("echo", |arguments| Ok(arguments[0].clone().into()));
    let config = loader.tree().unwrap();
    let error = config.get::<String>("a").unwrap_err().to_string();
    assert!(error.contains("@file.read gives nothing") && !error.contains("hunter2"), "{error}");
    let error = config.get::<u8>("b").unwrap_err().to_string();
    assert!(error.contains("`b` is a secret that is not") && !error.contains("hunter2"), "{error}");
    assert_eq!(config.get::<String>("b").unwrap(), "xhunter2");
}
