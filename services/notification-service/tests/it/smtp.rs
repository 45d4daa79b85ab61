//! Sending over SMTP: what each answer of a mail server means to the notification and its user.

use notification_service::NotificationService;
use serde_json::{Value, json};
use testkit::certificates::Certificates;

use crate::app::{Fixture, Person, TestApp, header};
use crate::mail_server::{CONNECT, END, MailServer, Says};

/// What the user's own service hears of a failure.
async fn failure_event(app: &TestApp, person: &Person) -> Value {
    let of_person = async || {
        let received = app.plain.next("ear").await;
        let body: Value = serde_json::from_slice(&received.data).unwrap();
        let event = (received.routing_key.as_str(), &body["data"]["user_id"]);
        (event == ("notification.failed", &json!(person.id))).then_some(body)
    };
    testkit::eventually("the failure is published", of_person).await
}

#[tokio::test]
async fn a_mail_that_is_taken_is_sent_once_with_the_notifications_id() {
    let server = MailServer::start(Says::Yes).await;
    let app = TestApp::start_with(&[("SMTP_URL", &server.url())]).await;
    let person = app.welcomed().await;
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    let id = app.list(&person).await[0]["notification_id"].as_str().unwrap().to_owned();
    assert_eq!(header(&mails[0], "Message-ID"), format!("<{id}@example.com>"));
    assert!(app.mails().is_empty());
}

/// Whether a failure is permanent decides over the address in user-service: only what a server
/// says of the recipient may count, or one wrong password of ours marks every user undeliverable.
#[tokio::test]
async fn only_a_refusal_of_the_recipient_is_a_permanent_failure_of_the_address() {
    let server = MailServer::start(Says::Yes).await;
    let app = TestApp::start_with(&[("SMTP_URL", &server.url())]).await;
    app.plain.listen("notification.events", "ear").await;
    let cases = [
        (Says::No("RCPT", "550 5.1.1 no such mailbox"), true),
        (Says::No("RCPT", "550 no such mailbox"), true),
        (Says::No("RCPT", "550-5.2.1 this mailbox\r\n550 5.2.1 is disabled"), true),
        (Says::No("RCPT", "550 5.7.1 we take no mail from you"), false),
        (Says::No("MAIL", "553 5.1.8 no such sender"), false),
        (Says::No("DATA", "554 5.7.1 denied"), false),
        (Says::No(END, "552 5.3.4 too large"), false),
        (Says::No(CONNECT, "554 no service here"), false),
    ];
    for (says, permanent) in cases {
        server.say(says);
        let person = app.person();
        app.user_created(person.id, &person.email, "Ada").await;
        let failed = app.until(&person, "welcome", "failed").await;
        let reason = failed["failure_reason"].as_str().unwrap();
        assert!(reason.starts_with("the mail server answered 55"), "{reason}");
        let received = failure_event(&app, &person).await;
        assert_eq!(received["data"]["permanent"], permanent, "{says:?}: {received}");
        assert_eq!(received["data"]["reason"], reason);
        assert!(!received.to_string().contains(&person.email), "{received}");
    }
}

#[tokio::test]
async fn a_notice_that_the_address_before_refuses_says_nothing_of_the_new_one() {
    let server = MailServer::start(Says::Yes).await;
    let app = TestApp::start_with(&[("SMTP_URL", &server.url())]).await;
    let person = app.welcomed().await;
    app.plain.listen("notification.events", "ear").await;
    server.say(Says::No("RCPT", "550 5.1.1 no such mailbox"));
    let data = json!({
        "user_id": person.id, "email": "new@example.com", "previous_email": person.email,
    });
    app.happened("user.updated", &data, 10).await;
    app.until(&person, "email_changed", "failed").await;
    let received = failure_event(&app, &person).await;
    assert_eq!(
        (&received["data"]["kind"], &received["data"]["permanent"]),
        (&json!("email_changed"), &json!(false),)
    );
}

#[tokio::test]
async fn a_failure_tells_the_version_of_the_user_whose_address_it_was() {
    let server = MailServer::start(Says::No("RCPT", "451 4.3.0 try again later")).await;
    let app = TestApp::start_with(&[("SMTP_URL", &server.url())]).await;
    app.plain.listen("notification.events", "ear").await;
    let person = app.person();
    let plain = app.person();
    let created = json!({"user_id": person.id, "email": person.email, "version": 4});
    app.happened("user.created", &created, 1).await;
    app.until_put_off(&person).await;
    let changed = json!({
        "user_id": person.id, "email": "new@example.com", "name": "Ada", "version": 5,
    });
    app.happened("user.updated", &changed, 2).await;
    app.until_handled(2).await;
    // What is on its way goes to the address that it was made for.
    server.say(Says::No("RCPT", "550 5.1.1 no such mailbox"));
    app.make_due().await;
    let received = failure_event(&app, &person).await;
    let data = &received["data"];
    assert_eq!((&data["permanent"], &data["user_version"]), (&json!(true), &json!(4)));
    assert!(!received.to_string().contains("@example.com"), "{received}");
    // A publisher that tells no version hears of none.
    app.user_created(plain.id, &plain.email, "Ada").await;
    let received = failure_event(&app, &plain).await;
    assert_eq!(
        (&received["data"]["permanent"], received["data"].get("user_version")),
        (&json!(true), None)
    );
}

#[tokio::test]
async fn a_server_that_says_not_now_or_nothing_is_asked_again_later_under_the_same_message_id() {
    let server = MailServer::start(Says::Yes).await;
    let url = server.url_with_password();
    let app = TestApp::start_with(&[("SMTP_URL", &url), ("MAIL_SEND_TIMEOUT", "500ms")]).await;
    let cases = [
        (Says::No("RCPT", "451 4.3.0 try again later"), 1),
        (Says::No(CONNECT, "421 too busy"), 1),
        // Our password is wrong: that is mended here, and no fault of any address.
        (Says::No("AUTH", "535 5.7.8 not known"), 1),
        (Says::Nothing(CONNECT), 1),
        (Says::Nothing("RCPT"), 1),
        // Read, and perhaps kept: whoever counts mails counts by Message-ID.
        (Says::No(END, "451 4.3.0 no room"), 2),
        (Says::Nothing(END), 2),
    ];
    for (says, mails) in cases {
        server.say(says);
        let person = app.person();
        app.user_created(person.id, &person.email, "Ada").await;
        app.until_put_off(&person).await;
        server.say(Says::Yes);
        app.make_due().await;
        let sent = app.until(&person, "welcome", "sent").await;
        assert_eq!(sent["attempts"], 2, "{says:?}");
        let taken = server.mails_to(&person.email);
        assert_eq!(taken.len(), mails, "{says:?}");
        let ids = taken.iter().map(|mail| header(mail, "Message-ID"));
        assert!(ids.clone().all(|id| Some(id) == ids.clone().next()), "{says:?}");
    }
    assert_eq!(
        app.count("select count(*) from notifications n where n::text ~ 'hunter2'").await,
        0
    );
}

#[tokio::test]
async fn a_crash_before_the_servers_answer_sends_the_same_mail_again_when_the_lease_ends() {
    let server = MailServer::start(Says::Nothing(END)).await;
    let url = server.url();
    let variables =
        [("SMTP_URL", url.as_str()), ("MAIL_SEND_TIMEOUT", "2s"), ("WORKER_LEASE", "3s")];
    let mut app = TestApp::start_with(&variables).await;
    let person = app.person();
    app.user_created(person.id, &person.email, "Ada").await;
    testkit::eventually("the mail is read", async || server.mails().pop()).await;
    app.crash().await;
    server.say(Says::Yes);
    app.restart().await;
    let sent = app.until(&person, "welcome", "sent").await;
    assert_eq!(sent["attempts"], 2);
    let mails = server.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(header(&mails[0], "Message-ID"), header(&mails[1], "Message-ID"));
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_the_start_without_the_password() {
    let fixture = Fixture::set_up(&[]).await;
    let cases = [
        ("SMTP_URL", "imap://ada:hunter2@localhost", "[mail] smtp_url"),
        ("SMTP_URL", "smtp://ada:hunter2@", "[mail] smtp_url"),
        ("SMTP_URL", "hunter2", "[mail] smtp_url"),
        ("WORKER_LEASE", "20s", "[worker] lease"),
    ];
    for (name, value, fault) in cases {
        let vars = testkit::vars(&fixture.database, &fixture.broker)
            .with("MAIL_DIR", fixture.mails.path().display().to_string())
            .with(name, value);
        let faults = platform::process::load::<NotificationService>(vars).unwrap_err();
        let text = format!("{faults} {faults:?}");
        assert!(text.contains(fault) && !text.contains("hunter2"), "{name}={value}: {text}");
    }
}

#[tokio::test]
async fn over_tls_mails_go_to_a_server_whose_certificate_is_of_the_authority_that_is_named() {
    let certificates = Certificates::new();
    let ca = |path: std::path::PathBuf| path.display().to_string();
    let right = ca(certificates.authority());
    let wrong = ca(certificates.stranger());
    let (started, wrapped) = tokio::join!(
        MailServer::start_tls(&certificates),
        MailServer::start_wrapped(&certificates),
    );
    let plain = MailServer::start(Says::Yes).await;
    let url = |scheme: &str, server: &MailServer, query: &str| {
        format!("{scheme}://localhost:{}{query}", server.port())
    };
    let starts = url("smtp", &started, "?tls=required");
    let wraps = url("smtps", &wrapped, "");
    let stripped = url("smtp", &plain, "?tls=required");
    for (server, url, ca, is_sent) in [
        (&started, &starts, &right, true),
        (&wrapped, &wraps, &right, true),
        (&started, &starts, &wrong, false),
        (&wrapped, &wraps, &wrong, false),
        (&wrapped, &wraps, &String::new(), false),
        // A server that offers no STARTTLS, or from whose answer somebody took it.
        (&plain, &stripped, &right, false),
    ] {
        let app = TestApp::start_with(&[("SMTP_URL", url), ("SMTP_TLS_CA", ca)]).await;
        let person = app.person();
        app.user_created(person.id, &person.email, "Ada").await;
        if is_sent {
            app.until(&person, "welcome", "sent").await;
        } else {
            app.until_put_off(&person).await;
        }
        assert_eq!(server.mails_to(&person.email).len(), usize::from(is_sent), "{url} {ca}");
    }
}

#[tokio::test]
async fn a_mail_server_on_another_machine_without_starttls_is_a_fault_of_the_settings() {
    let fixture = Fixture::set_up(&[]).await;
    let faults = |url: &str, plaintext: &str, environment: &str| {
        let vars = testkit::vars(&fixture.database, &fixture.broker)
            .with("MAIL_DIR", fixture.mails.path().display().to_string())
            .with("SMTP_URL", url.to_owned())
            .with("SMTP_PLAINTEXT", plaintext.to_owned())
            .with("ENVIRONMENT", environment.to_owned());
        let faults = platform::process::load::<NotificationService>(vars).err();
        let faults = faults.map(|faults| faults.to_string()).unwrap_or_default();
        assert!(!faults.contains("hunter2"), "{faults}");
        faults.contains("SMTP_URL, or smtp:// and ?tls=required")
    };
    let (far, dev) = ("smtp://ada:hunter2@mail.example.com:587", "development");
    for url in [far, &format!("{far}?tls=opportunistic")] {
        assert!(faults(url, "false", dev), "{url}");
        assert!(faults(url, "true", "production"), "{url}");
        assert!(!faults(url, "true", dev), "{url}");
    }
    for url in [
        "smtp://ada:hunter2@mail.example.com:587?tls=required",
        "smtps://ada:hunter2@mail.example.com",
        "smtp://ada:hunter2@localhost:1025",
        "smtp://127.0.0.1:1025",
    ] {
        assert!(!faults(url, "false", "production"), "{url}");
    }
}
