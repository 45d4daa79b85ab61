//! Who may call which route: data in `auth.tsk`, decided by one guard, denied by default.
//!
//! ```text
//! [policy.user-service]
//! "POST /api/users": anybody
//! "GET /api/users/{id}": [user, payment-service]
//! ```
//!
//! | word | who |
//! |---|---|
//! | `anybody` | whoever, with or without a token |
//! | `user` | a signed-in user, administrators too |
//! | `admin` | an administrator |
//! | `service` | any service |
//! | a name with a section `[policy.…]` | that service |
//!
//! A rule is about one method of one route. A caller without a valid token for this service is answered
//! 401, one whom the rule does not name 403. Whether the caller may see a certain row is decided by the
//! handler that reads it.
//!
//! Each rule has one [scope](crate::scope), which nobody writes down: none where anybody may call, `admin` where
//! administrators alone may, else `read` for `GET` and `HEAD` and `write` for the other methods. A caller whom the
//! rule names, with a token that is narrowed to other scopes, is answered 403 and told which one is needed. To a
//! handler, an administrator whose token is narrowed and has not the scope `admin` is a user as others.

mod guard;
mod rule;
mod security;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chassis::{Protected, ServiceCheck};
use http::Method;
use tusk_config::ValidationError;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub(crate) use guard::Identity;
pub use guard::PolicyGuard;
pub use rule::{AllowedCaller, Route, Rule};
pub use security::with_scopes;

use crate::scope::{Access, Scope, Scopes, name_of};
use crate::tokens::{Bearer, Tokens};

/// Methods a rule can be about.
const METHODS: [&str; 8] = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// The sections `[policy.<service>]`: the rules of each service's routes.
pub type PolicySettings = BTreeMap<String, Rules>;
/// The rules of one service, by `METHOD /path/{parameter}`.
pub type Rules = BTreeMap<Route, Rule>;

/// The rules of one service's routes, by their paths and methods. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Policy(Arc<Lookup>);

#[derive(Debug)]
struct Lookup {
    by_path: HashMap<String, Vec<(Method, Entry)>>,
    /// What an administrator's token must carry.
    admin: Scope,
}

/// A rule, and what a token must carry besides.
#[derive(Debug)]
struct Entry {
    rule: Rule,
    scope: Option<Scope>,
}

/// Why a caller may not call a route.
#[derive(Debug, PartialEq, Eq)]
enum Refusal<'p> {
    /// The rule does not name the caller.
    NotNamed,
    /// It does, and the caller's token does not carry this.
    Lacks(&'p Scope),
}

/// Rules and routes do not fit. Every one that does not is named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[policy.{service}] of auth.tsk does not fit the routes:\n  {}", faults.join("\n  "))]
pub struct PolicyError {
    service: String,
    faults: Vec<String>,
}

impl Policy {
    /// The policy of `service`, whose routes are those of `api`.
    ///
    /// # Errors
    /// A route without a rule, a rule without a route, or a rule that names an unknown service.
    pub fn new(
        service: &str,
        settings: &PolicySettings,
        api: &OpenApi,
    ) -> Result<Self, PolicyError> {
        let rules = settings.get(service).cloned().unwrap_or_default();
        let faults = faults((service, &rules), settings, api);
        if faults.is_empty() {
            let mut by_path: HashMap<String, Vec<(Method, Entry)>> = HashMap::new();
            for (route, rule) in rules {
                let (method, path) = route.parts();
                let scope = scope_of(service, &method, &rule);
                by_path.entry(path.to_owned()).or_default().push((method, Entry { rule, scope }));
            }
            let admin = Scope::of(service, Access::Admin);
            return Ok(Self(Arc::new(Lookup { by_path, admin })));
        }
        let faults = faults.into_iter().map(|(_, text)| text).collect();
        Err(PolicyError { service: service.to_owned(), faults })
    }

    /// The rule of a route; `HEAD` is a `GET` without its body.
    fn entry(&self, method: &Method, path: &str) -> Option<&Entry> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let (_, entry) = self.0.by_path.get(path)?.iter().find(|(of, _)| of == method)?;
        Some(entry)
    }

    /// The caller of a route as its handler is to know it, or why it does not get there.
    fn admit<'p>(&'p self, entry: &'p Entry, bearer: Bearer) -> Result<Bearer, Refusal<'p>> {
        let Lookup { admin, .. } = &*self.0;
        if !entry.rule.admits(&bearer.caller) {
            return Err(Refusal::NotNamed);
        }
        if let Some(scope) = entry.scope.as_ref().filter(|scope| !bearer.carries(scope)) {
            return Err(Refusal::Lacks(scope));
        }
        let bearer = bearer.narrowed(admin);
        if entry.rule.admits(&bearer.caller) { Ok(bearer) } else { Err(Refusal::Lacks(admin)) }
    }

    /// The methods of a path for which there are rules.
    fn methods(&self, path: &str) -> Vec<&'static str> {
        let has = |method: &&str| self.entry(&method.parse().unwrap_or_default(), path).is_some();
        METHODS.into_iter().filter(has).collect()
    }
}

/// The scope of a rule: the one place that says it.
fn scope_of(service: &str, method: &Method, rule: &Rule) -> Option<Scope> {
    rule.access(method).map(|access| Scope::of(service, access))
}

/// All scopes that there are: three of each service, so that none comes or goes with a route.
pub(crate) fn scopes(settings: &PolicySettings) -> Scopes {
    let of = |service| Access::ALL.map(|access| Scope::of(service, access));
    settings.keys().flat_map(|service| of(service)).collect()
}

/// The scopes of the rules of `target` that name the service `caller`, or any.
pub(crate) fn granted(settings: &PolicySettings, caller: &str, target: &str) -> Scopes {
    let rules = settings.get(target).into_iter().flatten();
    let named = rules.filter(|(_, rule)| rule.names_service(caller));
    named.filter_map(|(route, rule)| scope_of(target, &route.parts().0, rule)).collect()
}

/// Puts the policy in front of a service's routes, of which there may be several parts. Whoever passes
/// is in the request's extensions, where the extractors find it.
///
/// # Errors
/// The policy does not fit all parts together.
pub fn protect<const PARTS: usize>(
    parts: [OpenApiRouter; PARTS],
    service: &str,
    settings: &PolicySettings,
    tokens: &Tokens,
) -> Result<[Protected; PARTS], PolicyError> {
    let guard = PolicyGuard::new(&parts, service, settings, tokens)?;
    Ok(parts.map(|routes| Protected::by(guard.clone(), routes)))
}

/// How a service tells the others from strangers before the policy is asked: for
/// [`chassis::app::AppBuilder::services`]. A token whose key has not been fetched yet is a stranger's
/// there.
pub fn service_check(tokens: &Tokens) -> ServiceCheck {
    let tokens = tokens.clone();
    Arc::new(move |request| guard::is_service(&tokens, request))
}

/// What does not fit in `auth.tsk`: the rules of `service`, whose routes are those of `api`, and
/// sections about what is none of `services`.
pub fn check<'a>(
    service: &str,
    settings: &PolicySettings,
    api: &OpenApi,
    services: impl IntoIterator<Item = &'a String>,
) -> Vec<ValidationError> {
    let services: BTreeSet<&String> = services.into_iter().collect();
    let unknown = settings.keys().filter(|name| !services.contains(name)).map(|name| {
        let text = format!("[policy.{name}] is about no service: there is no [service:{name}]");
        ValidationError::at(format!("policy.{name}"), text)
    });
    let section = format!("policy.{service}");
    let own = match settings.get(service) {
        None => {
            vec![ValidationError::missing("policy", service, format!("there is no [{section}]"))]
        }
        Some(rules) => faults((service, rules), settings, api)
            .into_iter()
            .map(|(route, text)| match route {
                Some(route) => ValidationError::at(format!("{section}.{route}"), text),
                None => ValidationError::at(&section, text),
            })
            .collect(),
    };
    unknown.chain(own).collect()
}

/// Another service with the same scopes.
fn namesake<'s>(service: &str, settings: &'s PolicySettings) -> Option<&'s String> {
    settings.keys().find(|other| *other != service && name_of(other) == name_of(service))
}

/// What is wrong with the rules of one service, and the rule that it is about, if there is one.
fn faults(
    (service, rules): (&str, &Rules),
    settings: &PolicySettings,
    api: &OpenApi,
) -> Vec<(Option<Route>, String)> {
    let routes = routes(api);
    let missing = routes.iter().filter(|route| !rules.contains_key(route));
    let rule = |route| format!("{route} has no rule: who may call it, such as \"{route}\": user");
    let missing = missing.map(|route| (None, rule(route)));
    let extra = rules.keys().filter(|route| !routes.contains(route));
    let mount = "a new one is mounted by `.routes(routes!(…))` in the service's src/routes.rs";
    let extra = extra.map(|route| (Some(route.clone()), format!("{route} is no route: {mount}")));
    let unknown = rules.iter().flat_map(|(route, rule)| {
        let unknown = rule.services().filter(|name| !settings.contains_key(*name));
        unknown.map(move |name| {
            (Some(route.clone()), format!("{route} names {name}, which is no service"))
        })
    });
    let namesake = namesake(service, settings).map(|other| {
        (None, format!("{service} and {other} would have the same scopes: call one otherwise"))
    });
    missing.chain(extra).chain(unknown).chain(namesake).collect()
}

/// Whether anybody may call a route of a service, without a token.
pub fn is_open(settings: &PolicySettings, service: &str, route: &Route) -> bool {
    settings.get(service).and_then(|rules| rules.get(route)).is_some_and(Rule::is_open)
}

/// The routes of a document.
pub fn routes(api: &OpenApi) -> Vec<Route> {
    let paths = api.paths.paths.iter();
    paths.flat_map(|(path, item)| methods(item).map(|method| Route::new(method, path))).collect()
}

fn methods(item: &utoipa::openapi::PathItem) -> impl Iterator<Item = &'static str> {
    let is_there = [
        item.get.is_some(),
        item.head.is_some(),
        item.put.is_some(),
        item.post.is_some(),
        item.patch.is_some(),
        item.delete.is_some(),
        item.options.is_some(),
        item.trace.is_some(),
    ];
    METHODS.into_iter().zip(is_there).filter_map(|(method, is_there)| is_there.then_some(method))
}
