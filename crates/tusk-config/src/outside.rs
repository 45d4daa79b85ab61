//! What a configuration may have from outside of its files and variables: the time, files below a
//! folder, answers of the host. Nothing of it is used unless a value that is read asks for it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value as Json;

use crate::loader::{SIZE_MAX, read};

pub(crate) mod date;

/// Answers an operator, from its arguments as texts.
pub(crate) type Operator = dyn Fn(&[String]) -> Result<Json, String> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Outside {
    /// The time that `@date` tells: one for a whole load.
    pub(crate) now: SystemTime,
    /// The folder below which `@file.read` and `@json` may read; none, and they may not.
    pub(crate) files: Option<PathBuf>,
    operators: BTreeMap<String, Arc<Operator>>,
}

impl Default for Outside {
    fn default() -> Self {
        Self { now: SystemTime::now(), files: None, operators: BTreeMap::new() }
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operators: Vec<_> = self.operators.keys().collect();
        f.debug_struct("Outside")
            .field("now", &self.now)
            .field("files", &self.files)
            .field("operators", &operators)
            .finish()
    }
}

impl Outside {
    pub(crate) fn add_operator(&mut self, name: &str, operator: Arc<Operator>) {
        self.operators.insert(name.to_owned(), operator);
    }

    pub(crate) fn operator(&self, name: &str) -> Option<&Operator> {
        self.operators.get(name).map(|operator| &**operator)
    }

    /// The text of a file below the folder.
    pub(crate) fn read(&self, path: &str) -> Result<String, String> {
        let Some(root) = &self.files else {
            return Err("reading files is not allowed here".to_owned());
        };
        let path = below(root, Path::new(path))?;
        read(&path, SIZE_MAX).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// `root/path`, if that is really below `root`, links followed.
pub(crate) fn below(root: &Path, path: &Path) -> Result<PathBuf, String> {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    let joined = root.join(path);
    let shown = joined.display();
    if !path.components().all(|part| plain(part) || part == Component::ParentDir) {
        return Err(format!("{} is not a path below the folder", path.display()));
    }
    let real = |path: &Path| path.canonicalize().map_err(|error| format!("{shown}: {error}"));
    let top = real(root)?;
    let file = real(&joined)?;
    if file.starts_with(&top) {
        Ok(joined)
    } else {
        Err(format!("{shown} lies outside of the folder"))
    }
}
