//! Secrets of the local system, made up once and kept in `.dev/secrets.json`.

use std::collections::{BTreeMap, btree_map::Entry};

use anyhow::{Context, Result};
use testkit::native::random_hex;

use crate::{private, project::Project, services::Service};

/// The name of what is no secret, but made up once like them.
const WORKSPACE: &str = "workspace";
/// The name of what a browser shows the dashboard; in lower case, as no service reads it.
pub(crate) const DASHBOARD_TOKEN: &str = "dashboard_token";

/// Every secret by the name of the variable that a service reads, and `<role>` → its password.
#[derive(Debug)]
pub(crate) struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// Reads the secrets; those that are missing are made up and kept.
    pub(crate) fn load(project: &Project) -> Result<Self> {
        let file = project.dev("secrets.json");
        let known = private::read::<BTreeMap<_, _>>(&file);
        let mut secrets = known.context("when it is broken, delete it")?.unwrap_or_default();
        let before = secrets.len();
        for name in Self::names(project.services()) {
            if let Entry::Vacant(missing) = secrets.entry(name) {
                missing.insert(random_hex(32)?);
            }
        }
        if secrets.len() != before {
            private::write(&file, &secrets)?;
        }
        Ok(Self(secrets))
    }

    fn names(services: &[Service]) -> impl Iterator<Item = String> {
        let tokens = services.iter().map(|service| service.variable("TOKEN"));
        let roles = services.iter().map(Service::role);
        ["JWT_SECRET", "SECOND_FACTOR_KEYS", WORKSPACE, DASHBOARD_TOKEN]
            .map(str::to_owned)
            .into_iter()
            .chain(tokens)
            .chain(roles)
    }

    /// What tells this system from others on a server that they share.
    pub(crate) fn workspace(&self) -> &str {
        let name = self.get(WORKSPACE);
        name.get(..16).unwrap_or(name)
    }

    /// The secret of this name; empty for a name that is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The secrets that services read from their environment.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (String, String)> {
        let is_variable = |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        self.0
            .iter()
            .filter(move |(name, _)| is_variable(name))
            .map(|(n, v)| (n.clone(), v.clone()))
    }
}
