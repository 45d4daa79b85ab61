//! One rule: a route, and who may call it.

use std::fmt;

use http::Method;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use super::METHODS;
use crate::extract::Caller;
use crate::scope::Access;

/// What can be written for [`AllowedCaller`].
const CALLERS: &str = "anybody, user, admin, service or the name of a service";

/// A method and a path as the router knows it: `GET /api/users/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Route(String);

/// Who may call a route: each of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule(Vec<AllowedCaller>);

/// Somebody who may call a route.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum AllowedCaller {
    /// Whoever.
    Anybody,
    /// A signed-in user, administrators too.
    User,
    /// An administrator.
    Admin,
    /// Any service.
    AnyService,
    /// The service of this name.
    Service(String),
}

impl Route {
    pub(super) fn new(method: &str, path: &str) -> Self {
        Self(format!("{method} {path}"))
    }

    /// Its method and its path.
    pub fn parts(&self) -> (Method, &str) {
        let (method, path) = self.0.split_once(' ').unwrap_or_default();
        (method.parse().unwrap_or_default(), path)
    }
}

impl Rule {
    /// Whether nobody needs to be known.
    pub(super) fn is_open(&self) -> bool {
        self.0.contains(&AllowedCaller::Anybody)
    }

    /// Whether the caller is one of those named.
    pub(super) fn admits(&self, caller: &Caller) -> bool {
        self.0.iter().any(|who| match (who, caller) {
            (AllowedCaller::Anybody, _)
            | (AllowedCaller::User, Caller::User(_))
            | (AllowedCaller::AnyService, Caller::Service(_)) => true,
            (AllowedCaller::Admin, Caller::User(user)) => user.is_admin(),
            (AllowedCaller::Service(name), Caller::Service(service)) => *name == service.name,
            (AllowedCaller::User | AllowedCaller::Admin, Caller::Service(_))
            | (AllowedCaller::AnyService | AllowedCaller::Service(_), Caller::User(_)) => false,
        })
    }

    /// What a token must carry besides: nothing where anybody may call.
    pub(super) fn access(&self, method: &Method) -> Option<Access> {
        if self.is_open() {
            None
        } else if self.0.iter().all(|who| *who == AllowedCaller::Admin) {
            Some(Access::Admin)
        } else if method == Method::GET || method == Method::HEAD {
            Some(Access::Read)
        } else {
            Some(Access::Write)
        }
    }

    /// Whether the service is named, or any is.
    pub(super) fn names_service(&self, service: &str) -> bool {
        self.0.contains(&AllowedCaller::AnyService) || self.services().any(|name| name == service)
    }

    /// The services that are named.
    pub(super) fn services(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|who| match who {
            AllowedCaller::Service(name) => Some(name.as_str()),
            _ => None,
        })
    }
}

impl TryFrom<String> for Route {
    type Error = String;

    fn try_from(route: String) -> Result<Self, String> {
        let is_route = |(method, path): (&str, &str)| {
            METHODS.contains(&method) && path.starts_with('/') && !path.contains(' ')
        };
        if route.split_once(' ').is_some_and(is_route) {
            return Ok(Self(route));
        }
        Err(format!("{route:?} is no route: \"GET /path/{{parameter}}\""))
    }
}

impl TryFrom<String> for AllowedCaller {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        let is_name = |word: &str| {
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            word.contains('-') && word.bytes().all(plain)
        };
        match word.as_str() {
            "anybody" => Ok(Self::Anybody),
            "user" => Ok(Self::User),
            "admin" => Ok(Self::Admin),
            "service" => Ok(Self::AnyService),
            name if is_name(name) => Ok(Self::Service(word)),
            _ => Err(format!("{word:?} is nobody: {CALLERS}")),
        }
    }
}

/// One word or a list of them; not an untagged enum, whose errors say neither what nor where.
impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RuleVisitor;

        impl<'de> Visitor<'de> for RuleVisitor {
            type Value = Rule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "one or a list of: {CALLERS}")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Rule, E> {
                AllowedCaller::try_from(word.to_owned())
                    .map(|who| Rule(vec![who]))
                    .map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<Rule, A::Error> {
                let mut rule = Vec::new();
                while let Some(who) = words.next_element()? {
                    rule.push(who);
                }
                if rule.is_empty() {
                    return Err(de::Error::custom(
                        "nobody may call this route: leave the route out",
                    ));
                }
                Ok(Rule(rule))
            }
        }

        deserializer.deserialize_any(RuleVisitor)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
