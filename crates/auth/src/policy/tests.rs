//! What follows from rules: scopes, and who gets through with which of them.

use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::extract::{Caller, CallerService, User};
use crate::tokens::Role;

const WHO: [&str; 5] = ["anybody", "user", "admin", "service", "payment-service"];
const SCOPES: [&str; 6] =
    ["user:read", "user:write", "user:admin", "payment:read", "payment:admin", "openid"];

fn rule(who: &[&str]) -> Rule {
    serde_json::from_value(json!(who)).unwrap()
}

fn entry(method: &Method, who: &[&str]) -> (Policy, Entry) {
    let admin = Scope::of("user-service", Access::Admin);
    let policy = Policy(Arc::new(Lookup { by_path: HashMap::new(), admin }));
    let rule = rule(who);
    let scope = scope_of("user-service", method, &rule);
    (policy, Entry { rule, scope })
}

fn user(role: Role) -> Caller {
    Caller::User(User { id: Uuid::nil(), role, session: Uuid::nil() })
}

fn callers() -> [Caller; 4] {
    let service = |name: &str| Caller::Service(CallerService { name: name.to_owned() });
    [user(Role::User), user(Role::Admin), service("payment-service"), service("a-service")]
}

#[test]
fn each_rule_has_the_scope_that_follows_from_whom_it_names_and_from_its_method() {
    for (method, who, expected) in [
        (Method::GET, &["anybody"][..], None),
        (Method::POST, &["user", "anybody"], None),
        (Method::GET, &["user"], Some("orders:read")),
        (Method::HEAD, &["user"], Some("orders:read")),
        (Method::POST, &["user"], Some("orders:write")),
        (Method::PUT, &["service"], Some("orders:write")),
        (Method::PATCH, &["user", "payment-service"], Some("orders:write")),
        (Method::DELETE, &["payment-service"], Some("orders:write")),
        (Method::GET, &["admin"], Some("orders:admin")),
        (Method::POST, &["admin"], Some("orders:admin")),
        (Method::GET, &["admin", "payment-service"], Some("orders:read")),
    ] {
        for service in ["orders", "orders-service"] {
            let scope = scope_of(service, &method, &rule(who)).map(|scope| scope.to_string());
            assert_eq!(scope.as_deref(), expected, "{method} {who:?}");
        }
    }
}

#[test]
fn a_service_has_the_scopes_of_the_rules_that_name_it_or_any_and_no_others() {
    let settings: PolicySettings = serde_json::from_value(json!({
        "user-service": {
            "GET /a": ["user", "payment-service"],
            "GET /b": "service",
            "POST /c": "user",
            "POST /d": "other-service",
            "GET /e": "admin",
            "GET /f": "anybody",
        },
        "payment-service": {"POST /a": "user-service"},
        "orders-service": {},
    }))
    .unwrap();
    let granted = |caller, target| granted(&settings, caller, target).to_string();
    assert_eq!(granted("payment-service", "user-service"), "user:read");
    assert_eq!(granted("orders-service", "user-service"), "user:read");
    assert_eq!(granted("user-service", "payment-service"), "payment:write");
    assert_eq!(granted("orders-service", "payment-service"), "");
    assert_eq!(granted("payment-service", "nowhere"), "");
    let all = "orders:admin orders:read orders:write payment:admin payment:read payment:write \
               user:admin user:read user:write";
    assert_eq!(scopes(&settings).to_string(), all);
}

#[test]
fn two_services_that_would_have_the_same_scopes_are_a_fault() {
    let settings: PolicySettings =
        serde_json::from_value(json!({"orders": {}, "orders-service": {}})).unwrap();
    let fault = Policy::new("orders", &settings, &OpenApi::default()).unwrap_err().to_string();
    assert!(
        fault.ends_with("orders and orders-service would have the same scopes: call one otherwise")
    );
}

proptest! {
    #[test]
    fn fewer_scopes_never_open_more_than_more_of_them_and_those_never_more_than_no_list(
        who in subsequence(&WHO[..], 1..=WHO.len()),
        more in subsequence(&SCOPES[..], 0..=SCOPES.len()),
        keep in any::<u8>(),
        method in prop::sample::select(vec![Method::GET, Method::HEAD, Method::POST, Method::DELETE]),
    ) {
        let (policy, entry) = entry(&method, &who);
        let few: Vec<&str> = more.iter().enumerate()
            .filter(|(place, _)| keep & (1 << place) != 0).map(|(_, scope)| *scope).collect();
        for caller in callers() {
            let bearer = |scopes| Bearer { caller: caller.clone(), scopes };
            let admitted = |scopes| policy.admit(&entry, bearer(scopes)).ok();
            let list = |scopes: &[&str]| admitted(Some(Scopes::read(&scopes.join(" "))));
            let [few, more, all] = [list(&few), list(&more), admitted(None)];
            prop_assert_eq!(all.is_some(), entry.rule.admits(&caller));
            for (less, more) in [(&few, &more), (&more, &all), (&few, &all)] {
                let Some(less) = less else { continue };
                prop_assert!(more.is_some(), "{:?} with {:?}", less, who);
                let is_admin = |bearer: &Bearer| matches!(&bearer.caller, Caller::User(user) if user.is_admin());
                prop_assert!(!is_admin(less) || more.as_ref().is_some_and(is_admin));
            }
        }
    }

    #[test]
    fn who_is_not_named_is_told_of_no_scope(
        who in subsequence(&WHO[1..], 1..WHO.len()),
        scopes in subsequence(&SCOPES[..], 0..=SCOPES.len()),
    ) {
        let (policy, entry) = entry(&Method::GET, &who);
        for caller in callers().into_iter().filter(|caller| !entry.rule.admits(caller)) {
            for scopes in [None, Some(Scopes::read(&scopes.join(" ")))] {
                let refused = policy.admit(&entry, Bearer { caller: caller.clone(), scopes });
                prop_assert_eq!(refused, Err(Refusal::NotNamed));
            }
        }
    }
}
