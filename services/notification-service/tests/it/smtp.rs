//! Sending over SMTP, to a small real server that says yes, no, or not now.

use std::sync::{Arc, Mutex};

use chassis::Service;
use notification_service::NotificationService;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::app::{Ground, TestApp};

/// What the server says to a recipient.
#[derive(Clone, Copy)]
enum Recipients {
    Accepted,
    Unknown,
    NotNow,
    Silence,
}

#[derive(Clone)]
struct Server {
    says: Arc<Mutex<Recipients>>,
    mails: Arc<Mutex<Vec<String>>>,
    url: String,
}

impl Server {
    async fn start(says: Recipients) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let server = Self { says: Arc::new(Mutex::new(says)), mails: Arc::default(), url };
        let serving = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = serving.clone();
                tokio::spawn(async move { server.talk(stream).await });
            }
        });
        server
    }

    fn say(&self, says: Recipients) {
        *self.says.lock().unwrap() = says;
    }

    /// Enough of RFC 5321 for one client.
    async fn talk(&self, stream: TcpStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        writer.write_all(b"220 test\r\n").await?;
        while let Some(line) = lines.next_line().await? {
            let command = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            let says = *self.says.lock().unwrap();
            let answer: &[u8] = match (command.as_str(), says) {
                ("RCPT", Recipients::Unknown) => b"550 5.1.1 no such mailbox\r\n",
                ("RCPT", Recipients::NotNow) => b"451 4.3.0 try again later\r\n",
                ("RCPT", Recipients::Silence) => std::future::pending().await,
                ("DATA", _) => {
                    writer.write_all(b"354 go on\r\n").await?;
                    let mut mail = String::new();
                    while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                        mail.push_str(&line);
                        mail.push_str("\r\n");
                    }
                    self.mails.lock().unwrap().push(mail);
                    b"250 taken\r\n"
                }
                ("QUIT", _) => b"221 bye\r\n",
                _ => b"250 ok\r\n",
            };
            writer.write_all(answer).await?;
        }
        Ok(())
    }
}

async fn make_due(app: &TestApp) {
    let query = "update notifications set next_attempt_at = now() where status = 'pending'";
    sqlx::query(query).execute(&app.pool).await.unwrap();
}

#[tokio::test]
async fn a_mail_that_is_taken_is_sent_once_with_the_notifications_id() {
    let server = Server::start(Recipients::Accepted).await;
    let app = TestApp::start_with(&[("SMTP_URL", &server.url)]).await;
    let person = app.welcomed().await;
    let mails = server.mails.lock().unwrap().clone();
    assert_eq!(mails.len(), 1);
    let id = app.list(&person).await[0]["notification_id"].as_str().unwrap().to_owned();
    assert!(mails[0].contains(&format!("Message-ID: <{id}@example.com>")), "{}", mails[0]);
    assert!(app.mails().is_empty());
}

#[tokio::test]
async fn a_refused_address_fails_for_good_and_the_event_says_so() {
    let server = Server::start(Recipients::Unknown).await;
    let app = TestApp::start_with(&[("SMTP_URL", &server.url)]).await;
    let (person, warm_up) = (app.person(), app.person());
    // The first notification declares the exchange that the client listens to.
    app.plain.user_created(warm_up.id, &warm_up.email, "Eve").await;
    app.until(&warm_up, "welcome", "failed").await;
    testkit::eventually("the outbox is empty", async || {
        let query = "select count(*) from messaging_outbox where attempts = 0";
        let rows: i64 = sqlx::query_scalar(query).fetch_one(&app.pool).await.unwrap();
        (rows == 0).then_some(())
    })
    .await;
    app.plain.listen("notification.events", "ear").await;
    app.plain.user_created(person.id, &person.email, "Ada").await;
    let failed = app.until(&person, "welcome", "failed").await;
    let reason = failed["failure_reason"].as_str().unwrap();
    assert!(reason.contains("550") && !reason.contains(&person.email), "{reason}");
    let of_person = async || {
        let heard = app.plain.next("ear").await;
        let body: Value = serde_json::from_slice(&heard.data).unwrap();
        (body["data"]["user_id"] == person.id.to_string()).then_some((heard, body))
    };
    let (heard, body) = testkit::eventually("the failure is heard", of_person).await;
    assert_eq!(heard.routing_key.as_str(), "notification.failed");
    assert_eq!(body["data"]["permanent"], true, "{body}");
    assert!(!body.to_string().contains(&person.email), "{body}");
}

#[tokio::test]
async fn a_server_that_says_not_now_or_nothing_is_asked_again_later() {
    for says in [Recipients::NotNow, Recipients::Silence] {
        let server = Server::start(says).await;
        let variables = [("SMTP_URL", server.url.as_str()), ("MAIL_SEND_TIMEOUT", "200ms")];
        let app = TestApp::start_with(&variables).await;
        let person = app.person();
        app.plain.user_created(person.id, &person.email, "Ada").await;
        testkit::eventually("an attempt has failed", async || {
            let query = "select count(*) from notifications where attempts = 1 and version = 2";
            let rows: i64 = sqlx::query_scalar(query).fetch_one(&app.pool).await.unwrap();
            (rows == 1).then_some(())
        })
        .await;
        assert_eq!(app.list(&person).await[0]["status"], "pending");
        server.say(Recipients::Accepted);
        make_due(&app).await;
        let sent = app.until(&person, "welcome", "sent").await;
        assert_eq!(sent["attempts"], 2);
        assert_eq!(server.mails.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn an_address_of_a_mail_server_that_is_none_is_refused_without_its_password() {
    let ground = Ground::lay(&[]).await;
    let vars = testkit::vars(&ground.database, &ground.broker);
    let vars = vars.with("SMTP_URL", "imap://ada:hunter2@localhost");
    let settings = chassis::process::load::<NotificationService>(vars).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    let error = NotificationService::build(settings).await.err().unwrap().to_string();
    assert!(error.contains("[mail] smtp_url") && !error.contains("hunter2"), "{error}");
}
