//! From a folder of files to a [`Config`].

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::fault::{Errors, Fault};
use crate::imports::{Importer, Reading};
use crate::layers;
use crate::outside::Outside;
use crate::source::{Home, Source};
use crate::syntax::{self, Document};
use crate::vars::Vars;

/// The size of the largest file that is read unless [`Loader::size_max`] says otherwise, in bytes.
pub const SIZE_MAX: usize = 1024 * 1024;

/// A file that other implementations read unasked; here only when it is named.
const ON_REQUEST: &str = "peanut";

/// The variable that names the overlay.
const ENVIRONMENT: &str = "ENVIRONMENT";
/// The overlay when that variable is not set.
const ENVIRONMENT_DEFAULT: &str = "development";

/// Says what to read: a folder, the names of files in it, and what is laid over them.
///
/// Later layers win over earlier ones; in each, later files over earlier ones:
///
/// 1. the files, [`file`](Self::file), [`all_files`](Self::all_files), [`text`](Self::text), in the
///    order in which they are named;
/// 2. for each of them `environments/<ENVIRONMENT>/<name>.tsk` under the folder, if there is one
///    (`ENVIRONMENT` is `development` unless it is set);
/// 3. variables with a prefix, [`environment`](Self::environment);
/// 4. single values, [`set`](Self::set).
///
/// Sections and objects are merged key by key, and so are globals; anything else, lists included, is
/// replaced as a whole. What was replaced is remembered for `tusk explain`.
#[derive(Debug, Clone)]
pub struct Loader {
    folder: PathBuf,
    inputs: Vec<Input>,
    prefix: Option<String>,
    set: Vec<(String, String)>,
    vars: Option<Vars>,
    size_max: usize,
    outside: Outside,
}

#[derive(Debug, Clone)]
enum Input {
    File(String),
    AllFiles,
    Path(PathBuf),
    Text(Arc<Source>),
}

impl Loader {
    /// Files are looked for in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            inputs: Vec::new(),
            prefix: None,
            set: Vec::new(),
            vars: None,
            size_max: SIZE_MAX,
            outside: Outside::default(),
        }
    }

    /// Reads `<folder>/<name>.tsk`, which has to be there.
    #[must_use]
    pub fn file(mut self, name: &str) -> Self {
        self.inputs.push(Input::File(name.to_owned()));
        self
    }

    /// Reads every `*.tsk` that stands in the folder itself, in the order of their names, but for
    /// `peanut.tsk`, which has to be named. There has to be one.
    #[must_use]
    pub fn all_files(mut self) -> Self {
        self.inputs.push(Input::AllFiles);
        self
    }

    /// Reads a file by its path, which has to be there; or, when it is a folder, every `*.tsk` in it
    /// and its overlay.
    #[must_use]
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.inputs.push(Input::Path(path.into()));
        self
    }

    /// Reads this text as if it were a file of that name, without an overlay; for tests and
    /// examples.
    #[must_use]
    pub fn text(mut self, name: &str, text: &str) -> Self {
        let source = Source { name: name.to_owned(), text: text.to_owned() };
        self.inputs.push(Input::Text(Arc::new(source)));
        self
    }

    /// Lays variables that begin with `prefix` and two underscores over the files. Two underscores
    /// stand between keys, one for every character of a key that is no letter or digit, and case
    /// does not matter: with the prefix `APP`, `APP__SERVER__REQUEST_TIMEOUT` is
    /// `server.request_timeout` and `APP__SERVICE_USER_SERVICE__PORT` is `port` in
    /// `[service:user-service]`. A key that no file has is made in lower case.
    ///
    /// The value has the type of the one it replaces, as with `@env("NAME", default)`, and stays a
    /// secret where a file says `@env.secure`.
    #[must_use]
    pub fn environment(mut self, prefix: &str) -> Self {
        self.prefix = Some(prefix.to_owned());
        self
    }

    /// Puts one value over everything else; `value` is written as in a file. For arguments of a
    /// command line.
    #[must_use]
    pub fn set(mut self, path: &str, value: &str) -> Self {
        self.set.push((path.to_owned(), value.to_owned()));
        self
    }

    /// The variables to use in place of those of the process.
    #[must_use]
    pub fn vars(mut self, vars: Vars) -> Self {
        self.vars = Some(vars);
        self
    }

    /// The size of the largest file to accept, in bytes.
    #[must_use]
    pub fn size_max(mut self, bytes: usize) -> Self {
        self.size_max = bytes;
        self
    }

    /// The time that `@date` tells, in place of that of the machine.
    #[must_use]
    pub fn now(mut self, now: SystemTime) -> Self {
        self.outside.now = now;
        self
    }

    /// Allows `@file.read` and `@json` to read files below `root`; their paths are relative to it.
    /// Without this they are faults.
    #[must_use]
    pub fn allow_files(mut self, root: impl Into<PathBuf>) -> Self {
        self.outside.files = Some(root.into());
        self
    }

    /// Lets the host answer `@name(…)`, from its arguments as texts. Asked only when a value that
    /// needs it is read, and once for each place in the files. It bounds its own time.
    #[must_use]
    pub fn operator(
        mut self,
        name: &str,
        answer: impl Fn(&[String]) -> Result<serde_json::Value, String> + Send + Sync + 'static,
    ) -> Self {
        self.outside.add_operator(name, Arc::new(answer));
        self
    }

    /// Reads everything into one typed value, or reports every fault of every file.
    pub fn load<T: DeserializeOwned>(self) -> Result<T, Errors> {
        self.config().read()
    }

    /// [`load`](Self::load), and the files that the value is of.
    pub fn load_with_config<T: DeserializeOwned>(self) -> Result<(T, Config), Errors> {
        let mut config = self.config();
        Ok((config.read_noting_unread()?, config))
    }

    /// Reads two values, each of a part of the same files, such as what all programs share and what
    /// is one's own. The faults of both are told at once.
    pub fn load_both<A, B>(self) -> Result<(A, B, Config), Errors>
    where
        A: DeserializeOwned,
        B: DeserializeOwned,
    {
        let mut config = self.config();
        let (first, second) = config.read_both()?;
        Ok((first, second, config))
    }

    /// Reads everything without typing it; fails when a file is missing or cannot be read.
    pub fn tree(self) -> Result<Config, Errors> {
        let config = self.config();
        let errors: Vec<Fault> = config.errors().cloned().collect();
        if errors.is_empty() { Ok(config) } else { Err(Errors::new(errors)) }
    }

    /// Everything that could be read, with the faults of what could not.
    pub(crate) fn config(self) -> Config {
        let mut config = Config::new(self.vars.clone().unwrap_or_else(Vars::process));
        config.outside = self.outside.clone();
        let overlay = overlay(&mut config);
        for input in &self.inputs {
            self.base(input, &mut config);
        }
        for (input, name) in self.inputs.iter().zip(overlay.iter().cycle()) {
            self.overlay(input, name, &mut config);
        }
        config.read_imports(&self.folder, self.size_max);
        if let Some(prefix) = &self.prefix {
            layers::environment(&mut config, prefix);
        }
        for (path, value) in &self.set {
            layers::set(&mut config, path, value);
        }
        config
    }

    fn base(&self, input: &Input, config: &mut Config) {
        match input {
            Input::Text(source) => config.add(source, None, &self.folder),
            Input::File(name) => {
                self.read(&self.folder.join(format!("{name}.tsk")), false, config);
            }
            Input::AllFiles => self.all(&self.folder, config),
            Input::Path(path) if path.is_dir() => self.all(path, config),
            Input::Path(path) => self.read(path, false, config),
        }
    }

    /// Every `*.tsk` of a folder, of which there has to be one.
    fn all(&self, folder: &Path, config: &mut Config) {
        match tsk_files(folder) {
            Ok(paths) if paths.is_empty() => {
                let text = format!("no .tsk file in {}", folder.display());
                config.missing(Fault::error(None, text));
            }
            Ok(paths) => paths.iter().for_each(|path| self.read(path, false, config)),
            Err(error) => config.unreadable(folder, &error),
        }
    }

    /// What the environment `name` lays over an input.
    fn overlay(&self, input: &Input, name: &str, config: &mut Config) {
        let of = |folder: &Path| folder.join("environments").join(name);
        match input {
            Input::Text(_) => {}
            Input::File(name) => {
                self.read(&of(&self.folder).join(format!("{name}.tsk")), true, config);
            }
            Input::AllFiles => self.all_over(&of(&self.folder), config),
            Input::Path(path) if path.is_dir() => self.all_over(&of(path), config),
            Input::Path(path) => {
                let folder = path.parent();
                let file = path.file_name();
                let overlay = folder.zip(file).map(|(folder, file)| of(folder).join(file));
                if let Some(path) = overlay {
                    self.read(&path, true, config);
                }
            }
        }
    }

    fn all_over(&self, folder: &Path, config: &mut Config) {
        match tsk_files(folder) {
            Ok(paths) => paths.iter().for_each(|path| self.read(path, false, config)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => config.unreadable(folder, &error),
        }
    }

    fn read(&self, path: &Path, optional: bool, config: &mut Config) {
        match read(path, self.size_max) {
            Ok(text) => {
                let folder = path.parent().unwrap_or(&self.folder);
                let source = Source { name: path.display().to_string(), text };
                config.add(&Arc::new(source), Some(path), folder);
            }
            Err(error) if optional && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => config.unreadable(path, &error),
        }
    }
}

/// The `.tsk` files of a folder, by name.
fn tsk_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let ours = path.extension().is_some_and(|extension| extension == "tsk");
        if ours && path.is_file() && path.file_stem().is_none_or(|name| name != ON_REQUEST) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The overlay that the environment names.
fn overlay(config: &mut Config) -> Option<String> {
    let name = config.vars.get(ENVIRONMENT).filter(|name| !name.is_empty());
    let name = name.unwrap_or(ENVIRONMENT_DEFAULT);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.bytes().all(plain) {
        return Some(name.to_owned());
    }
    let text = format!("{ENVIRONMENT} is {name:?}, which cannot be the name of a folder");
    let help = "use letters, digits, `-` and `_`";
    config.faults.push(Fault::error(None, text).help(help));
    None
}

impl Config {
    /// Reads one file and merges it over what is there. Names in it are relative to `folder`.
    pub(crate) fn add(&mut self, source: &Arc<Source>, path: Option<&Path>, folder: &Path) {
        let id = self.sources.add(Arc::clone(source), Home::Main);
        let Document { root, globals, faults, imports } = syntax::parse(source, id);
        self.root.merge(root, &mut |_, _| {});
        self.globals.merge(globals, &mut |_, _| {});
        self.faults.extend(faults);
        if !imports.is_empty() {
            let path = path.and_then(|path| path.canonicalize().ok());
            let importer = Importer { source: id, path, folder: folder.to_owned(), names: imports };
            self.importers.push(importer);
        }
    }

    /// Reads the files that those added so far take keys from; none outside of `root`.
    pub(crate) fn read_imports(&mut self, root: &Path, size_max: usize) {
        let Self { sources, faults, imports, .. } = self;
        let mut reading = Reading { root, size_max, sources, faults, imports };
        reading.all(std::mem::take(&mut self.importers));
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        let text = format!("cannot read {}: {error}", path.display());
        let fault = Fault::error(None, text);
        self.missing(match error.kind() {
            io::ErrorKind::NotFound => {
                fault.help("give the file, or the folder that has it (usually in CONFIG_DIR)")
            }
            _ => fault,
        });
    }

    /// Whatever stood there is missing now, and only this fault should say so.
    fn missing(&mut self, fault: Fault) {
        self.root.broken = true;
        self.faults.push(fault);
    }
}

/// The content of a file, up to a size.
pub(crate) fn read(path: &Path, size_max: usize) -> io::Result<String> {
    let mut text = String::new();
    let limit = (size_max as u64).saturating_add(1);
    File::open(path)?.take(limit).read_to_string(&mut text)?;
    if text.len() > size_max.min(u32::MAX as usize) {
        let reason = format!("it is larger than {size_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(text)
}
