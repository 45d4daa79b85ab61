//! All settings as they may be shown on a page: nothing that the environment gave.

use serde::Serialize;

use crate::config::Config;
use crate::render::Rendered;
use crate::tree::{Expr, Table};

/// One key as it may be shown to whoever runs the program.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// The keys down to it, joined with dots.
    pub path: String,
    /// What it is: none when a variable gave it, which may be a password in an address, or when it
    /// cannot be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Rendered>,
    /// The variables that are set and that it is made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
}

impl Config {
    /// Every key, in the order of the files: what the files alone say is shown, of what the
    /// environment says only the variables' names.
    pub fn shown(&self) -> Vec<Shown> {
        let mut paths = Vec::new();
        paths_of(&self.root, "", &mut paths);
        paths.into_iter().filter_map(|path| self.show(path)).collect()
    }

    fn show(&self, path: String) -> Option<Shown> {
        let explained = self.explain(&path).ok()?;
        let origins = explained.steps.into_iter().next().map(|step| step.origins);
        let named = origins.into_iter().flatten().filter_map(|origin| origin.variable);
        let from: Vec<String> = named.filter(|name| self.vars.origin(name).is_some()).collect();
        let value = explained.value.filter(|_| from.is_empty());
        Some(Shown { path, value, from })
    }
}

fn paths_of(table: &Table, above: &str, paths: &mut Vec<String>) {
    for entry in table.entries() {
        let path = format!("{above}{}", entry.key);
        match &entry.value.expr {
            Expr::Table(below) => paths_of(below, &format!("{path}."), paths),
            _ => paths.push(path),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail loudly")]
mod tests {
    use crate::{Loader, Rendered, Vars};

    #[test]
    fn what_the_environment_gave_is_named_and_not_shown() {
        let text = r#"
[mail]
from: "Tusk"
url: @env("SMTP_URL", "")
copy: "to #{url}"
port: @env("SMTP_PORT", 25)
[auth]
secret: @env.secure("JWT_SECRET")
"#;
        let vars = Vars::of([("SMTP_URL", "smtp://ada:hunter2@host"), ("JWT_SECRET", "hunter2")]);
        let config = Loader::new("config").text("mail.tsk", text).vars(vars).tree().unwrap();
        let shown = config.shown();
        let of = |path: &str| shown.iter().find(|one| one.path == path).unwrap();
        assert_eq!(of("mail.from").value, Some(Rendered::Text("Tusk".to_owned())));
        assert_eq!(of("mail.port").value, Some(Rendered::Int(25)));
        for (path, name) in
            [("mail.url", "SMTP_URL"), ("mail.copy", "SMTP_URL"), ("auth.secret", "JWT_SECRET")]
        {
            assert_eq!(
                (&of(path).value, &of(path).from),
                (&None, &vec![name.to_owned()]),
                "{path}"
            );
        }
        assert!(!serde_json::to_string(&shown).unwrap().contains("hunter2"));
    }
}
