//! Events and routes, added to services that are there.

use crate::workspace::Workspace;

const QUICK: [&str; 2] = ["--quick", "--offline"];

/// Of each of these, an event and a request that has it told.
const SERVICES: [(&str, &str); 3] =
    [("user", "users"), ("payment", "payments"), ("notification", "notifications")];

impl Workspace {
    fn adds(&self, words: &[&str], more: &[&str]) -> String {
        self.succeeds("crates", &[words, more].concat())
    }
}

#[test]
fn an_event_and_a_route_go_where_an_engineer_would_put_them_and_only_once() {
    let workspace = Workspace::copy();
    workspace.succeeds("", &["new-service", "order-items", "--quick", "--offline"]);
    workspace.commit();
    let event = ["new-event", "order-items", "put-back"];
    let route = ["new-route", "order-items", "post", "/order-items/{id}/return"];
    let route = [&route[..], &["--event", "put-back"]].concat();
    let shown = workspace.adds(&event, &["--dry-run"]);
    assert!(shown.contains("+pub struct OrderItemPutBack {"), "{shown}");
    assert_eq!(workspace.status(), "");

    workspace.adds(&event, &QUICK);
    let shown = workspace.adds(&route, &["--dry-run"]);
    assert!(shown.contains("+mod post_return;"), "{shown}");
    workspace.adds(&route, &QUICK);
    for (path, piece) in [
        ("crates/contracts/golden/order_item.put_back.v1.json", "\"order_item_id\":"),
        ("crates/contracts/src/order_item.rs", "\"order_item.put_back\";"),
        ("services/order-items-service/src/domain/order_item.rs", "    PutBack,\n}"),
        ("services/order-items-service/src/events.rs", "::{OrderItemCreated, OrderItemPutBack};"),
        ("services/order-items-service/src/lib.rs", "//! | `POST /api/order-items/{id}/return` |"),
        (
            "services/order-items-service/src/routes.rs",
            "        .routes(routes!(post_return::answer))\n}",
        ),
        ("services/order-items-service/src/routes/post_return.rs", ".mark_put_back(now)"),
        ("services/order-items-service/tests/it/main.rs", "mod post_return;\n"),
        (
            "config/auth.tsk",
            "\"POST /api/order-items/{id}/return\": user\n\"GET /admin/queues\": admin",
        ),
    ] {
        let text = workspace.text(path);
        assert!(text.contains(piece), "{path} lacks {piece}:\n{text}");
    }
    workspace.commit();
    assert_eq!(workspace.comments_with("order_item"), [""; 0], "two words are no name in prose");
    for again in [&event[..], &route] {
        let said = workspace.adds(again, &QUICK);
        assert!(said.contains("already there"), "{said}");
    }
    assert_eq!(workspace.status(), "");

    // What was added is not what the template has, so that it goes by force; with all of it.
    let error = workspace.fails("", &["remove-service", "order-items", "--offline"]);
    assert!(error.contains("policy.order-items-service"), "{error}");
    workspace.succeeds("", &["remove-service", "order-items", "--force", "--offline"]);
    workspace.is_as_at_first();
}

#[test]
fn every_service_that_is_there_takes_both() {
    let workspace = Workspace::copy();
    for (service, plural) in SERVICES {
        workspace.adds(&["new-event", service, "flagged"], &QUICK);
        let path = format!("/api/{plural}/{{id}}/flag");
        workspace.adds(&["new-route", service, "PUT", &path, "--event", "flagged"], &QUICK);
        let line = format!("{service}-service PUT {path} <- user\n");
        assert!(workspace.text("e2e/golden/policy.txt").contains(&line), "{line}");
    }
}

#[test]
fn what_cannot_be_added_says_why_and_changes_nothing() {
    let workspace = Workspace::copy();
    for (words, expected) in [
        (vec!["new-event", "parcels", "sent"], "there are: user-service, payment-service,"),
        (vec!["new-event", "user", "Suspended"], "such as `suspended`"),
        (vec!["new-event", "user", "match"], "cannot name a value in Rust"),
        (vec!["new-event", "payment", "id"], "has something that is called `PaymentId`"),
        (vec!["new-route", "parcels", "GET", "/parcels"], "there is no parcels-service"),
        (vec!["new-route", "user", "FETCH", "/users/all"], "invalid value 'FETCH'"),
        (vec!["new-route", "user", "GET", "/users/{name}"], "as in `/api/users/{id}`"),
        (vec!["new-route", "user", "POST", "/users/{id}/x", "--event", "seen"], "new-event user"),
        (vec!["new-route", "user", "POST", "/users/x", "--event", "seen"], "names none that"),
    ] {
        let error = workspace.fails("", &words);
        assert!(error.contains(expected), "{words:?}: {error}");
    }
    // By hand, in part.
    let events = workspace.text("services/user-service/src/domain/user.rs");
    let events =
        events.replace("    /// Deleted.\n", "    /// By hand.\n    Seen,\n    /// Deleted.\n");
    workspace.write("services/user-service/src/domain/user.rs", &events);
    workspace.commit();
    let error = workspace.fails("", &["new-event", "user", "seen"]);
    assert!(error.contains("user.rs: pub enum Event / Seen"), "{error}");
    // Found once all files are written.
    workspace.append("config/scaling.tsk", "\n[slip]\na: 1\na: 2\n");
    for words in [["new-event", "user", "met", "--quick"], ["new-route", "user", "GET", "/met"]] {
        let error = workspace.fails("", &words);
        assert!(error.contains("nothing is left of it"), "{error}");
    }
    assert_eq!(workspace.status(), "");
}

#[test]
#[ignore = "takes minutes; the job `template` runs it"]
fn full_services_with_an_event_and_routes_are_green() {
    let workspace = Workspace::compiled();
    workspace.succeeds("", &["new-service", "parcels", "--quick", "--offline"]);
    workspace.adds(&["new-event", "parcels", "sent-back"], &QUICK);
    workspace.adds(&["new-route", "parcels", "GET", "/parcels/{id}/history"], &QUICK);
    workspace.adds(&["new-route", "parcels", "GET", "/parcels/summary"], &QUICK);
    let route = ["new-route", "parcels", "POST", "/parcels/{id}/return", "--event", "sent-back"];
    workspace.runs(&[&route[..], &["--offline"]].concat());
    for (service, plural) in SERVICES {
        workspace.adds(&["new-event", service, "flagged"], &QUICK);
        let path = format!("/{plural}/{{id}}/flag");
        let route = ["new-route", service, "PUT", &path, "--event", "flagged"];
        workspace.runs(&[&route[..], &["--offline"]].concat());
    }
}
