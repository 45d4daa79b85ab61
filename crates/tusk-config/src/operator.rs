//! Operators that nothing evaluates, as data.

use serde::Deserialize;

/// An operator as it was written: `@query("select 1", limit: 5)`.
///
/// Loading never runs one. A program that gives it a meaning reads it as this, or answers it by
/// [`Loader::operator`](crate::Loader::operator).
///
/// ```
/// use std::collections::BTreeMap;
/// use tusk_config::{Loader, OperatorCall, Vars};
///
/// let text = r#"users: @query("select #{column} from users", limit: 5)
/// column: name"#;
/// let loader = Loader::new("config").text("a.tsk", text).vars(Vars::empty());
/// let call: OperatorCall = loader.tree()?.get("users")?;
/// assert_eq!((call.name.as_str(), call.arguments.len()), ("query", 2));
/// assert_eq!(call.arguments[0].value, "select name from users");
/// assert_eq!(call.arguments[1].name.as_deref(), Some("limit"));
/// assert_eq!(call.location, "a.tsk:1:8");
///
/// let text = r#"active: @query("Users").where("active", true).count()"#;
/// let loader = Loader::new("config").text("a.tsk", text).vars(Vars::empty());
/// let call: OperatorCall = loader.tree()?.get("active")?;
/// let then: Vec<_> = call.then.iter().map(|call| (&*call.name, call.arguments.len())).collect();
/// assert_eq!(then, [("where", 2), ("count", 0)]);
/// # Ok::<(), tusk_config::Errors>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct OperatorCall {
    /// Without its `@`; dots are part of it.
    pub name: String,
    /// In the order in which they were written, evaluated.
    pub arguments: Vec<OperatorArgument>,
    /// What is called on it, in order: `.where("active", true).count()`. Each with its own arguments
    /// and the place of the whole; none has any calls of its own.
    #[serde(default)]
    pub then: Vec<Self>,
    /// Where it stands: `file:line:column`.
    pub location: String,
}

/// An argument of an [`OperatorCall`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct OperatorArgument {
    /// The name that stood before it, as in `limit: 5`.
    pub name: Option<String>,
    /// Its value.
    pub value: serde_json::Value,
}
