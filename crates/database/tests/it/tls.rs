//! PostgreSQL over TLS, with a certificate of an authority of the test's own.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use database::DatabaseSettings;
use testkit::certificates::Certificates;
use testkit::native::{Postgres, ServerOptions, psql};

use crate::settings;

/// A server that speaks TLS, and the old way too.
fn secured(certificates: &Certificates) -> Postgres {
    let server = Postgres::start(&ServerOptions::temporary().unwrap()).unwrap();
    // The server reads them under an account of its own, and wants the key to be that one's alone.
    let given = |from: PathBuf, name: &str| {
        let data = server.folder().join("data");
        let owner = fs::metadata(&data).unwrap();
        let to = data.join(name);
        fs::copy(from, &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&to, Some(owner.uid()), Some(owner.gid())).unwrap();
        to
    };
    let set = |name: &str, file: &Path| {
        let sql = format!("alter system set {name} = '{}'", file.display());
        psql::run(&server.url(), &sql).unwrap();
    };
    set("ssl_cert_file", &given(certificates.certificate(), "server.pem"));
    set("ssl_key_file", &given(certificates.key(), "server.key"));
    psql::run(&server.url(), "alter system set ssl = on").unwrap();
    psql::run(&server.url(), "select pg_reload_conf()").unwrap();
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn with_verify_full_a_server_is_used_whose_certificate_is_of_the_authority_and_has_its_name()
{
    let certificates = Certificates::new();
    let made = certificates.clone();
    let server = tokio::task::spawn_blocking(move || secured(&made)).await.unwrap();
    let at = |host: &str, tls_ca: PathBuf| DatabaseSettings {
        sslmode: Some("verify-full".parse().unwrap()),
        tls_ca,
        ..settings(&server.url().replace("127.0.0.1", host))
    };
    let pools = testkit::eventually("the server has read its certificate", async || {
        database::connect(&at("localhost", certificates.authority())).await.ok()
    })
    .await;
    let encrypted = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    let encrypted: bool = sqlx::query_scalar(encrypted).fetch_one(&pools.requests).await.unwrap();
    assert!(encrypted);
    for (host, ca) in [
        ("localhost", certificates.stranger()),
        ("localhost", PathBuf::new()),
        ("127.0.0.2", certificates.authority()),
    ] {
        let refused = database::connect(&at(host, ca)).await.unwrap_err().to_string();
        assert!(!refused.contains(server.url().as_str()), "{refused}");
    }
}
