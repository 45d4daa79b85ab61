//! The API documents: valid OpenAPI by an outside validator, and what running services answer is what
//! they say.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Passed, python::Tool};
use crate::{
    install::Permission, interrupt::Interrupt, programs, project::Project, services, test,
};

const VALIDATOR: Tool =
    Tool { program: "openapi-spec-validator", package: "openapi-spec-validator==0.9.0" };
const ASKER: Tool = Tool { program: "schemathesis", package: "schemathesis==4.32.5" };
/// The one test that asks.
const TEST: &str = "schemathesis::services_answer_as_their_documents_say";

/// Every document that is checked in: the services' and the template's.
pub(super) fn documents(project: &Project, install: bool, interrupt: &Interrupt) -> Result<Passed> {
    let validator = match VALIDATOR.find(project, install, interrupt)? {
        Ok(program) => program,
        Err(skipped) => return Ok(skipped),
    };
    let services = project.services().iter().map(|service| format!("services/{}", service.name));
    let folders: Vec<PathBuf> = services
        .chain(["dev/template/service".to_owned()])
        .map(|name| project.path(&name))
        .collect();
    for document in folders.iter().map(|folder| folder.join("openapi.json")) {
        let mut validate = Command::new(&validator);
        validate.args(["--subschema-errors", "all"]).arg(&document);
        programs::succeed(&mut validate, interrupt)
            .with_context(|| format!("{} is no valid OpenAPI", document.display()))?;
    }
    Ok(Passed::Fully)
}

/// Asks running services whatever their documents allow and forbid: `e2e/tests/it/schemathesis.rs`.
pub(super) fn answers(
    project: &Project,
    install: bool,
    permission: Permission,
    interrupt: &Interrupt,
) -> Result<Passed> {
    let program = match ASKER.find(project, install, interrupt)? {
        Ok(program) => program,
        Err(skipped) => return Ok(skipped),
    };
    services::build(project, interrupt)?;
    let mut asked = test::ignored(project, "e2e", TEST);
    asked.env("SCHEMATHESIS", program);
    if !test::on_new_servers(project, &mut asked, permission, interrupt)? {
        bail!("services answer otherwise than their documents say");
    }
    Ok(Passed::Fully)
}
