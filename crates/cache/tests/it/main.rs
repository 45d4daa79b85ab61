//! The cache over a real Redis, and without one.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::PathBuf;
use std::time::Duration;

use cache::{CacheSettings, ServiceCache};
use testkit::certificates::Certificates;
use testkit::native::{Redis, ServerOptions};

fn settings(url: &str) -> CacheSettings {
    let url = url.to_owned().into();
    let tls_ca = PathBuf::new();
    CacheSettings { url, tls_ca, ttl: Duration::from_secs(60) }
}

/// A Redis that speaks TLS on this port, and nothing else there.
fn secured(certificates: &Certificates) -> (Redis, u16) {
    let options = ServerOptions::temporary().unwrap();
    let port = testkit::native::port::free(None);
    let file = |path: PathBuf| path.display().to_string();
    let settings = format!(
        "tls-port {port}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\ntls-auth-clients no\n",
        file(certificates.certificate()),
        file(certificates.key()),
        file(certificates.authority()),
    );
    std::fs::write(options.folder.join("redis.conf"), settings).unwrap();
    (Redis::start(&options).unwrap(), port)
}

#[tokio::test]
async fn over_tls_a_redis_is_used_whose_certificate_is_of_the_authority_that_is_named() {
    let certificates = Certificates::new();
    let made = certificates.clone();
    let (_redis, port) = tokio::task::spawn_blocking(move || secured(&made)).await.unwrap();
    let at = |host: &str, tls_ca: PathBuf| {
        let settings = settings(&format!("rediss://{host}:{port}"));
        ServiceCache::connect("tls", &CacheSettings { tls_ca, ..settings }).unwrap()
    };
    let cache = at("localhost", certificates.authority());
    cache.set("key", &7).await.unwrap();
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(7));
    for refused in [
        at("localhost", certificates.stranger()),
        at("localhost", PathBuf::new()),
        // A name that the certificate does not bear.
        at("127.0.0.2", certificates.authority()),
    ] {
        assert_eq!(refused.ping().await.unwrap_err().kind(), "connection");
    }
}

/// A cache whose service name no other test uses.
fn cache(service: &str) -> ServiceCache {
    let service = format!("{service}-{}", std::process::id());
    ServiceCache::connect(&service, &settings(&testkit::redis_url())).unwrap()
}

/// Redis itself, to look at what the cache did.
async fn raw<T: redis::FromRedisValue>(command: &[&str]) -> T {
    let client = redis::Client::open(testkit::redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut asked = redis::cmd(command[0]);
    asked.arg(&command[1..]).query_async(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_value_is_kept_under_a_key_that_names_the_service_until_it_is_deleted() {
    let cache = cache("keep");
    cache.set("user:1", &("ada", 36)).await.unwrap();
    assert_eq!(cache.get("user:1").await.unwrap(), Some(("ada".to_owned(), 36)));
    let key = format!("service_cache:keep-{}:user:1", std::process::id());
    assert_eq!(raw::<String>(&["GET", &key]).await, r#"["ada",36]"#);
    let left: u64 = raw(&["TTL", &key]).await;
    assert!((1..=60).contains(&left), "{left}");
    assert!(cache.delete("user:1").await.unwrap());
    assert!(!cache.delete("user:1").await.unwrap());
    assert_eq!(cache.get::<(String, u8)>("user:1").await.unwrap(), None);
}

#[tokio::test]
async fn a_value_goes_when_its_time_is_up() {
    let cache = cache("ttl");
    cache.set_for("short", &1, Duration::from_millis(1)).await.unwrap();
    testkit::eventually("the value is gone", async || {
        cache.get::<i32>("short").await.unwrap().is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_withheld_has_no_value_and_takes_none_until_its_time_is_up() {
    let cache = cache("withheld");
    let minute = Duration::from_secs(60);
    assert!(cache.add_for("user:1", &"old", minute).await.unwrap());
    assert!(!cache.add_for("user:1", &"other", minute).await.unwrap());
    assert_eq!(cache.get::<String>("user:1").await.unwrap().as_deref(), Some("old"));

    cache.withhold("user:1", minute).await.unwrap();

    assert_eq!(cache.get::<Option<String>>("user:1").await.unwrap(), None);
    assert!(!cache.add_for("user:1", &"old", minute).await.unwrap());
    assert_eq!(cache.get::<String>("user:1").await.unwrap(), None);
    let key = format!("service_cache:withheld-{}:user:1", std::process::id());
    let left: u64 = raw(&["TTL", &key]).await;
    assert!((1..=60).contains(&left), "{left}");

    cache.withhold("user:1", Duration::from_millis(1)).await.unwrap();
    testkit::eventually("a value is taken again", async || {
        cache.add_for("user:1", &"new", minute).await.unwrap().then_some(())
    })
    .await;
    assert_eq!(cache.get::<String>("user:1").await.unwrap().as_deref(), Some("new"));
}

#[tokio::test]
async fn what_is_no_json_of_the_shape_is_a_miss() {
    let cache = cache("shape");
    let key = format!("service_cache:shape-{}:odd", std::process::id());
    let _: String = raw(&["SET", &key, "{not json", "EX", "60"]).await;
    assert_eq!(cache.get::<i32>("odd").await.unwrap(), None);
}

#[tokio::test]
async fn clearing_a_pattern_takes_the_services_own_keys_only() {
    let mine = cache("clear[a]*");
    let other = cache("clear");
    for number in 0..1_200 {
        mine.set(&format!("list:{number}"), &number).await.unwrap();
    }
    mine.set("single", &1).await.unwrap();
    other.set("list:1", &1).await.unwrap();
    assert_eq!(mine.clear_pattern("list:*").await.unwrap(), 1_200);
    assert_eq!(mine.get::<i32>("list:7").await.unwrap(), None);
    assert_eq!(mine.get::<i32>("single").await.unwrap(), Some(1));
    assert_eq!(other.get::<i32>("list:1").await.unwrap(), Some(1));
}

#[tokio::test]
async fn look_ups_are_counted_by_outcome_from_zero_on_and_commands_are_timed() {
    let cache = cache("counted");
    let count = |outcome: &str| {
        let service = format!("counted-{}", std::process::id());
        let line =
            format!("service_cache_lookups_total{{outcome=\"{outcome}\",service=\"{service}\"}} ");
        let text = telemetry::metrics::render();
        let value = text.lines().find_map(|found| found.strip_prefix(&line));
        value.unwrap_or_else(|| panic!("no {line} in {text}")).parse::<u64>().unwrap()
    };
    assert_eq!((count("hit"), count("miss"), count("error")), (0, 0, 0));
    cache.get::<i32>("secret-key").await.unwrap();
    cache.set("secret-key", &1).await.unwrap();
    cache.get::<i32>("secret-key").await.unwrap();
    assert_eq!((count("hit"), count("miss"), count("error")), (1, 1, 0));
    let text = telemetry::metrics::render();
    for command in ["GET", "SET"] {
        let labels =
            format!("db_operation_name=\"{command}\",db_system_name=\"redis\",error_type=\"\"");
        let line = format!("db_client_operation_duration_seconds_count{{{labels}}}");
        assert!(text.contains(&line), "{text}");
    }
    assert!(!text.contains("secret-key"), "{text}");
}

#[tokio::test]
async fn without_redis_it_is_built_at_once_and_fails_with_a_kind() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("redis://{}", taken.local_addr().unwrap());
    drop(taken);
    let cache = ServiceCache::connect("nobody", &settings(&nobody)).unwrap();
    let error = cache.get::<i32>("key").await.unwrap_err();
    assert!(["connection", "timed out"].contains(&error.kind()), "{error}");
    assert!(cache.ping().await.is_err());
}

#[tokio::test]
async fn a_redis_that_comes_back_is_used_again() {
    let server = testkit::redis_url();
    let target = server.trim_start_matches("redis://").split('/').next().unwrap().to_owned();
    let proxy = testkit::Proxy::start(target).await;
    let through = format!("redis://{}", proxy.address());
    let cache = ServiceCache::connect("returning", &settings(&through)).unwrap();
    cache.ping().await.unwrap();
    proxy.cut().await;
    assert!(cache.ping().await.is_err());
    proxy.restore().await;
    testkit::eventually("the cache answers again", async || cache.ping().await.ok()).await;
}

#[test]
fn an_address_that_is_none_is_refused_without_showing_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let error = ServiceCache::connect("x", &settings("http://:hunter2@host")).err().unwrap();
    assert!(!error.to_string().contains("hunter2"));
}

#[tokio::test]
async fn a_reader_of_a_feed_gets_each_entry_once_and_in_order_however_many_there_are() {
    let cache = cache("feed").shared();
    let feed = format!("feed-{}", std::process::id());
    let words: Vec<String> = (0..cache::FEED_PAGE + 2).map(|number| number.to_string()).collect();
    assert!(!cache.has_feed(&feed).await.unwrap());
    let mut position = cache::FeedPosition::default();
    assert!(cache.appended_since(&feed, &mut position).await.unwrap().is_empty());
    cache.append(&feed, &words, Duration::from_secs(60)).await.unwrap();
    assert!(cache.has_feed(&feed).await.unwrap());

    let mut told = Vec::new();
    loop {
        let page = cache.appended_since(&feed, &mut position).await.unwrap();
        let is_last = page.len() < cache::FEED_PAGE;
        told.extend(page);
        if is_last {
            break;
        }
    }

    assert_eq!(told, words);
    cache.append(&feed, &["later".to_owned()], Duration::from_secs(60)).await.unwrap();
    assert_eq!(cache.appended_since(&feed, &mut position).await.unwrap(), ["later"]);
}

#[tokio::test]
async fn a_feed_forgets_what_is_older_than_its_time() {
    let cache = cache("old").shared();
    let feed = format!("old-feed-{}", std::process::id());
    cache.append(&feed, &["word".to_owned()], Duration::from_millis(50)).await.unwrap();
    let gone = async || (!cache.has_feed(&feed).await.unwrap()).then_some(());
    testkit::eventually("the feed is gone", gone).await;
}
