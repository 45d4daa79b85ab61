//! From a folder of files to a [`Config`].

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::fault::{Errors, Fault};
use crate::source::Source;
use crate::syntax::{self, Document};
use crate::vars::Vars;

/// The size of the largest file that is read unless [`Loader::size_max`] says otherwise, in bytes.
pub const SIZE_MAX: usize = 1024 * 1024;

/// The variable that names the overlay.
const ENVIRONMENT: &str = "ENVIRONMENT";
/// The overlay when that variable is not set.
const ENVIRONMENT_DEFAULT: &str = "development";

/// Says what to read: a folder, the names of files in it, and the variables they may use.
///
/// Files are merged in their order, sections and objects key by key; anything else is replaced.
/// Then `environments/<ENVIRONMENT>/<name>.tsk` under the folder, if there is one, is merged over
/// them for each file (`ENVIRONMENT` is `development` unless it is set).
#[derive(Debug, Clone)]
pub struct Loader {
    folder: PathBuf,
    inputs: Vec<Input>,
    vars: Option<Vars>,
    size_max: usize,
}

#[derive(Debug, Clone)]
enum Input {
    File(String),
    Text { name: String, text: String },
}

impl Loader {
    /// Files are looked for in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), inputs: Vec::new(), vars: None, size_max: SIZE_MAX }
    }

    /// Reads `<folder>/<name>.tsk`, which has to be there. A later file wins over an earlier one.
    #[must_use]
    pub fn file(mut self, name: &str) -> Self {
        self.inputs.push(Input::File(name.to_owned()));
        self
    }

    /// Reads this text as if it were a file of that name, without an overlay; for tests and
    /// examples.
    #[must_use]
    pub fn text(mut self, name: &str, text: &str) -> Self {
        self.inputs.push(Input::Text { name: name.to_owned(), text: text.to_owned() });
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

    /// Reads everything into one typed value, or reports every fault of every file.
    pub fn load<T: DeserializeOwned>(self) -> Result<T, Errors> {
        self.config().read()
    }

    /// Reads everything without typing it; fails when a file is missing or cannot be read.
    pub fn tree(self) -> Result<Config, Errors> {
        let config = self.config();
        let errors: Vec<Fault> = config.errors().cloned().collect();
        if errors.is_empty() { Ok(config) } else { Err(Errors::new(errors)) }
    }

    /// Everything that could be read, with the faults of what could not.
    fn config(self) -> Config {
        let mut config = Config::new(self.vars.unwrap_or_else(Vars::process));
        for input in &self.inputs {
            match input {
                Input::Text { name, text } => config.add(name.clone(), text.clone()),
                Input::File(name) => {
                    let path = self.folder.join(format!("{name}.tsk"));
                    match read(&path, self.size_max) {
                        Ok(text) => config.add(path.display().to_string(), text),
                        Err(error) => config.unreadable(&path, &error),
                    }
                }
            }
        }
        let Some(overlay) = overlay(&self.folder, &mut config) else {
            return config;
        };
        for input in &self.inputs {
            let Input::File(name) = input else { continue };
            let path = overlay.join(format!("{name}.tsk"));
            match read(&path, self.size_max) {
                Ok(text) => config.add(path.display().to_string(), text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => config.unreadable(&path, &error),
            }
        }
        config
    }
}

/// The folder of the overlay that the environment names.
fn overlay(folder: &Path, config: &mut Config) -> Option<PathBuf> {
    let name = config.vars.get(ENVIRONMENT).filter(|name| !name.is_empty());
    let name = name.unwrap_or(ENVIRONMENT_DEFAULT);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.bytes().all(plain) {
        return Some(folder.join("environments").join(name));
    }
    let text = format!("{ENVIRONMENT} is {name:?}, which cannot be the name of a folder");
    let help = "use letters, digits, `-` and `_`";
    config.faults.push(Fault::error(None, text).help(help));
    None
}

impl Config {
    /// Reads one file and merges it over what is there.
    pub(crate) fn add(&mut self, name: String, text: String) {
        let source = Arc::new(Source { name, text });
        let id = self.sources.add(Arc::clone(&source));
        let Document { root, globals, faults } = syntax::parse(&source, id);
        self.root.merge(root, &mut |_, _| {});
        self.globals.merge(globals, &mut |_, _| {});
        self.faults.extend(faults);
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        // Whatever stood in it is missing now, and only one fault should say so.
        self.root.broken = true;
        let text = format!("cannot read {}: {error}", path.display());
        let fault = Fault::error(None, text);
        self.faults.push(match error.kind() {
            io::ErrorKind::NotFound => {
                fault.help("give the file, or the folder that has it (usually in CONFIG_DIR)")
            }
            _ => fault,
        });
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
