//! Events and routes, added to services that are there.

use crate::workspace::Workspace;

const QUICK: [&str; 2] = ["--quick", "--offline"];

/// Of each of these, an event and a request that has it told.
const SERVICES: [(&str, &str); 3] =
    [("user", "users"), ("payment", "payments"), ("notification", "notifications")];

/// Of each kind, a setting: its key and its default.
const SETTINGS: [(&str, &str, &str); 7] = [
    ("open", "bool", "true"),
    ("most", "integer", "0"),
    ("title", "text", "plain"),
    ("window", "duration", "14d"),
    ("room", "bytes", "4096"),
    ("partner", "address", "https://example.com"),
    ("places", "list", "one,two"),
];

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
        (
            "services/order-items-service/src/routes.rs",
            "        .routes(routes!(post_return::post_return))\n}",
        ),
        ("services/order-items-service/src/routes/post_return.rs", ".mark_put_back(now)"),
        ("services/order-items-service/src/routes/post_return.rs", "caller.may_change("),
        ("services/order-items-service/src/routes/order_items.rs", "    put_back_at: Option<"),
        ("services/order-items-service/src/store.rs", "put_back_at = $6\n         where id = $1"),
        ("services/order-items-service/src/store.rs", "updated_at, put_back_at\n"),
        (
            "services/order-items-service/migrations/0002_order_items_put_back_at.sql",
            "alter table order_items add column put_back_at timestamptz;\n",
        ),
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
        let column = ["new-column", service, plural, "note", "text", "--nullable", "--shown"];
        workspace.adds(&column, &QUICK);
        let setting =
            ["new-setting", service, "notes.kept", "duration", "14d", "How long one stays."];
        workspace.adds(&setting, &QUICK);
        let config = workspace.text(&format!("services/{service}-service/src/config.rs"));
        assert!(config.contains("errors.extend(self.notes.check());\n"), "{config}");
    }
    workspace.is_formatted();
}

#[test]
fn a_handler_is_bound_and_its_event_waits_for_it_from_then_on() {
    let workspace = Workspace::copy();
    workspace.adds(&["new-event", "payment", "refunded"], &QUICK);
    workspace.commit();
    let handler = ["new-handler", "notification", "payment.refunded"];
    let shown = workspace.adds(&handler, &["--dry-run"]);
    assert!(shown.contains("-    const MANDATORY: bool = false;"), "{shown}");
    assert_eq!(workspace.status(), "");

    workspace.adds(&handler, &QUICK);
    for (path, piece) in [
        ("config/message_queue.tsk", "\"payment.refunded\": [notification_events]\n"),
        (
            "services/notification-service/src/consumer.rs",
            "            .on(Self::payment_refunded)\n",
        ),
        ("services/notification-service/src/store.rs", "use contracts::payment::PaymentRefunded;"),
        ("services/notification-service/src/lib.rs", "//! Consumes `payment.refunded`: "),
        ("services/notification-service/tests/it/main.rs", "mod payment_refunded;\n"),
        (
            "services/notification-service/tests/it/payment_refunded.rs",
            "golden/payment.refunded.v1.json",
        ),
    ] {
        let text = workspace.text(path);
        assert!(text.contains(piece), "{path} lacks {piece}:\n{text}");
    }
    assert!(!workspace.text("crates/contracts/src/payment.rs").contains("MANDATORY"));
    let again = workspace.adds(&handler, &QUICK);
    assert!(again.contains("already"), "{again}");
    // One more reader of the same event; another event of a module that is not named yet.
    workspace.adds(&["new-handler", "user", "payment.refunded"], &QUICK);
    let settings = workspace.text("config/message_queue.tsk");
    let readers = "\"payment.refunded\": [notification_events, user_events]\n";
    assert!(settings.contains(readers), "{settings}");
    workspace.is_formatted();
}

#[test]
fn of_a_service_that_is_removed_no_queue_stays_among_the_readers() {
    let workspace = Workspace::copy();
    workspace.succeeds("", &["new-service", "parcels", "--quick", "--offline"]);
    workspace.adds(&["new-handler", "parcels", "payment.failed"], &QUICK);
    workspace.adds(&["new-handler", "parcels", "notification.sent"], &QUICK);
    workspace.succeeds("", &["remove-service", "parcels", "--force", "--offline"]);
    workspace.is_as_at_first();
}

#[test]
fn a_file_that_is_read_only_ends_it_before_anything_changes() {
    let workspace = Workspace::copy();
    let file = workspace.path("services/payment-service/tests/it/main.rs");
    let mut permissions = std::fs::metadata(&file).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&file, permissions).unwrap();
    let error = workspace.fails("", &["new-handler", "payment", "notification.failed"]);
    assert!(error.contains("main.rs is read-only"), "{error}");
    assert_eq!(workspace.status(), "");
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
        (vec!["new-event", "notification", "updated"], "has a `updated_at` already"),
        (vec!["new-event", "payment", "comple-ted"], "is called `PaymentCompleted`"),
        (vec!["new-handler", "user", "payment.refunded"], "there are: erasure.confirmed,"),
        (vec!["new-handler", "user", "user.created"], "is what user-service itself says"),
        (vec!["new-column", "user", "sessions", "a", "text", "--nullable"], "is added by hand"),
        (vec!["new-column", "user", "users", "limit", "text", "--nullable"], "a column in SQL"),
        (vec!["new-column", "user", "users", "match", "text", "--nullable"], "a field in Rust"),
        (vec!["new-column", "user", "users", "e_mail", "text", "--nullable"], "has a `email`"),
        (vec!["new-column", "user", "users", "age", "integer", "--default", "x"], "no integer"),
        (vec!["new-column", "user", "users", "age", "integer"], "--default"),
        (vec!["new-setting", "user", "server.depth", "integer", "1", "A."], "by hand"),
        (
            vec!["new-setting", "user", "cache.depth", "integer", "1", "A."],
            "cache.tsk has a [cache]",
        ),
        (vec!["new-setting", "user", "password.depth", "integer", "1", "A."], "by hand"),
        (vec!["new-setting", "user", "signin.depth", "integer", "1", "A."], "a [sign_in] already"),
        (
            vec!["new-setting", "payment", "idempotency.expi_ration", "bool", "true", "A."],
            "too like",
        ),
        (vec!["new-setting", "user", "a.match", "integer", "1", "A."], "a field in Rust"),
        (vec!["new-setting", "user", "a.wait", "duration", "14", "A."], "no duration"),
        (vec!["new-setting", "user", "a.wait", "duration", "14d", "A"], "with a full stop"),
        (vec!["new-setting", "user", "wait", "duration", "14d", "A."], "names no section"),
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
    workspace.adds(&["new-handler", "parcels", "payment.failed"], &QUICK);
    workspace.adds(&["new-column", "parcels", "parcels", "note", "text", "--nullable"], &QUICK);
    let route = ["new-route", "parcels", "POST", "/parcels/{id}/return", "--event", "sent-back"];
    workspace.runs(&[&route[..], &["--offline"]].concat());
    for (service, plural) in SERVICES {
        workspace.adds(&["new-event", service, "flagged"], &QUICK);
        let weight = ["new-column", service, plural, "weight", "integer", "--default", "7"];
        workspace.adds(&weight, &[&["--shown"], &QUICK[..]].concat());
        workspace.adds(&["new-handler", service, "parcel.sent_back"], &QUICK);
        for (key, kind, default) in SETTINGS {
            let key = format!("extras.{key}");
            workspace.adds(&["new-setting", service, &key, kind, default, "An extra."], &QUICK);
        }
        let path = format!("/{plural}/{{id}}/flag");
        let route = ["new-route", service, "PUT", &path, "--event", "flagged"];
        workspace.runs(&[&route[..], &["--offline"]].concat());
    }
}
