//! What in `services.tsk`, `[service_discovery]` and `[load_balancing]` cannot work, or would quietly
//! count as something else.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;
use tusk_config::ValidationError;

use super::{DiscoverySettings, LoadBalancingSettings, ProviderType, ServiceSettings, Services};
use crate::instance::Host;
use crate::{SetupError, provider};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
/// The shortest life of a registration: three heartbeats, a second apart.
const TTL_MIN: Duration = Duration::from_secs(3);

impl DiscoverySettings {
    /// What does not fit: a service of `named` without a section in `services` or with an address that
    /// is none, the address of a registry that is none, times out of their bounds. Opens nothing.
    pub fn check(&self, services: &Services, named: &[&str]) -> Vec<ValidationError> {
        let mut errors = Vec::new();
        for name in named {
            let section = format!("service:{name}");
            if let Some(service) = services.get(*name) {
                errors.extend(service.check(&section));
            } else {
                let text = format!("there is no section [{section}]");
                errors.push(ValidationError::missing("", section, text));
            }
        }
        errors.extend(self.times());
        errors.extend(self.of_the_registry());
        errors
    }

    fn times(&self) -> impl Iterator<Item = ValidationError> {
        let takes_registrations = matches!(self.r#type, ProviderType::Consul | ProviderType::Etcd);
        let ttl_min = if takes_registrations { TTL_MIN } else { Duration::ZERO };
        let times = [
            ("refresh_interval", self.refresh_interval, SECOND),
            ("registration_ttl", self.registration_ttl, ttl_min),
            ("removal_grace", self.removal_grace, Duration::ZERO),
        ];
        times.into_iter().filter_map(|(key, time, min)| {
            ValidationError::outside(format!("service_discovery.{key}"), time, min..=24 * HOUR)
        })
    }

    /// What the chosen registry needs; what belongs to the others is not looked at.
    fn of_the_registry(&self) -> Vec<ValidationError> {
        let at = |key: &str| format!("service_discovery.{key}");
        let url = |key: &'static str, url: &str| {
            let fault = SetupError::base_url(key, url).err()?;
            Some(ValidationError::at(at(key), fault.to_string()))
        };
        let errors: Vec<Option<ValidationError>> = match self.r#type {
            ProviderType::Static => Vec::new(),
            ProviderType::Dns => {
                let servers = provider::dns::check_servers(self).err();
                vec![servers.map(|error| ValidationError::at(at("dns_servers"), error.to_string()))]
            }
            ProviderType::Consul => {
                let token = HeaderValue::from_str(self.consul_token.expose());
                let text = "it has characters that no token has";
                let token = ValidationError::unless(token.is_ok(), at("consul_token"), text);
                vec![
                    url("consul_url", &self.consul_url),
                    token.map(ValidationError::secret),
                    self.host(),
                ]
            }
            ProviderType::Etcd => {
                let has_any = !self.etcd_endpoints.is_empty();
                let text = "no member of etcd is named: write [\"http://host:2379\"]";
                let any = ValidationError::unless(has_any, at("etcd_endpoints"), text);
                let text = "the prefix of keys begins with `/`, such as /services";
                let is_path = self.etcd_prefix.starts_with('/');
                let prefix = ValidationError::unless(is_path, at("etcd_prefix"), text);
                let endpoints = self.etcd_endpoints.iter();
                let urls = endpoints.map(|endpoint| url("etcd_endpoints", endpoint.trim()));
                urls.chain([any, prefix, self.host()]).collect()
            }
            ProviderType::Kubernetes => {
                let account = provider::kubernetes::check_account(self).err();
                let folder = at("kubernetes_account_dir");
                let account = account.map(|error| ValidationError::at(folder, error.to_string()));
                vec![url("kubernetes_url", &self.kubernetes_url), account]
            }
        };
        errors.into_iter().flatten().collect()
    }

    /// Others call what it says.
    fn host(&self) -> Option<ValidationError> {
        let host = &self.advertise_host;
        let is_wildcard = ["0.0.0.0", "::", "[::]"].contains(&host.as_str());
        let text = "others call this service there: a host name or an address is needed, without a \
                    scheme and a port; empty: the address from which it reaches the registry";
        let fits = host.is_empty() || (is_host(host) && !is_wildcard);
        ValidationError::unless(fits, "service_discovery.advertise_host", text)
    }
}

impl ServiceSettings {
    fn check(&self, section: &str) -> Vec<ValidationError> {
        let at = |key: &str| format!("{section}.{key}");
        let text = "a host name or an address is needed, without a scheme and a port";
        let url = Url::parse(&self.health_check.url);
        let is_there = url.as_ref().map_or(true, |url| {
            url.host_str()
                .is_none_or(|host| host.eq_ignore_ascii_case(&Host(&self.host).to_string()))
        });
        let elsewhere =
            "its host is not the service's, and each instance is asked at its own address";
        let strange = self.instances.iter().find(|it| !is_host(&it.host) || it.port == 0);
        let is_http =
            url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let all = [
            ValidationError::unless(is_host(&self.host), at("host"), text),
            ValidationError::outside(at("port"), self.port, 1..=u16::MAX),
            ValidationError::unless(is_http, at("health_check"), "it is no http or https URL"),
            ValidationError::unless(is_there || !is_http, at("health_check"), elsewhere),
            ValidationError::unless(
                !self.version.is_empty(),
                at("version"),
                "the version is empty",
            ),
            ValidationError::unless(
                strange.is_none(),
                at("instances"),
                "an instance is written host:port",
            ),
        ];
        all.into_iter().flatten().collect()
    }
}

/// Whether a text may be a host name or an address; whether there is such a host is another question.
fn is_host(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    bare.parse::<std::net::IpAddr>().is_ok() || (!text.is_empty() && text.bytes().all(is_name))
}

impl LoadBalancingSettings {
    /// What cannot work, or would count as something else. Opens nothing.
    pub fn check(&self) -> Vec<ValidationError> {
        let at = |key: &str| format!("load_balancing.{key}");
        let millis = Duration::from_millis;
        let times = [
            ("health_check_interval", self.health_check_interval, Duration::ZERO),
            ("recheck_interval", self.recheck_interval, millis(10)),
            ("health_check_timeout", self.health_check_timeout, millis(1)),
            ("ejection_time", self.ejection_time, millis(1)),
            ("outlier_interval", self.outlier_interval, millis(100)),
            ("slow_start", self.slow_start, Duration::ZERO),
        ];
        let counts = [
            ("healthy_threshold", self.healthy_threshold, 1, 1_000),
            ("unhealthy_threshold", self.unhealthy_threshold, 1, 1_000),
            ("ejection_threshold", self.ejection_threshold, 1, 1_000_000),
            ("ejection_percent_max", self.ejection_percent_max, 0, 100),
            ("outlier_minimum_calls", self.outlier_minimum_calls, 1, 1_000_000),
            ("success_rate_margin", self.success_rate_margin, 0, 100),
            ("latency_factor", self.latency_factor, 0, 1_000),
            ("panic_percent", self.panic_percent, 0, 100),
            ("subset_size", self.subset_size, 0, 100_000),
        ];
        let times = times.into_iter().filter_map(|(key, time, min)| {
            ValidationError::outside(at(key), time, min..=24 * HOUR)
        });
        let counts = counts.into_iter().filter_map(|(key, count, min, max)| {
            ValidationError::outside(at(key), count, min..=max)
        });
        times.chain(counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use tusk_config::{Loader, Vars};

    use super::*;

    #[derive(serde::Deserialize)]
    struct Settings {
        #[serde(rename = "service:*")]
        services: Services,
        service_discovery: DiscoverySettings,
        load_balancing: LoadBalancingSettings,
    }

    /// The keys that are told when these have these values in the shipped files.
    fn reported(changes: &[(&str, &str)]) -> Vec<String> {
        let loader = Loader::new("")
            .text("services.tsk", include_str!("../../../../config/services.tsk"))
            .text("microservices.tsk", include_str!("../../../../config/microservices.tsk"))
            .text("scaling.tsk", include_str!("../../../../config/scaling.tsk"))
            .vars(Vars::empty());
        let set = |loader: Loader, (path, value): &(&str, &str)| loader.set(path, value);
        let Settings { services, service_discovery, load_balancing } =
            changes.iter().fold(loader, set).load().unwrap();
        let named = ["user-service", "payment-service"];
        let errors = service_discovery.check(&services, &named);
        let errors = errors.into_iter().chain(load_balancing.check());
        errors.map(|error| error.path().to_owned()).collect()
    }

    #[test]
    fn a_value_that_cannot_work_is_reported_at_its_key() {
        for (path, value) in [
            ("service_discovery.refresh_interval", "\"0s\""),
            ("service_discovery.refresh_interval", "\"500ms\""),
            ("service_discovery.removal_grace", "\"25h\""),
            ("load_balancing.health_check_interval", "\"25h\""),
            ("load_balancing.recheck_interval", "\"0s\""),
            ("load_balancing.health_check_timeout", "\"0s\""),
            ("load_balancing.healthy_threshold", "0"),
            ("load_balancing.unhealthy_threshold", "0"),
            ("load_balancing.ejection_threshold", "0"),
            ("load_balancing.ejection_time", "\"0s\""),
            ("load_balancing.ejection_percent_max", "101"),
            ("load_balancing.outlier_interval", "\"50ms\""),
            ("load_balancing.outlier_minimum_calls", "0"),
            ("load_balancing.success_rate_margin", "101"),
            ("load_balancing.latency_factor", "1001"),
            ("load_balancing.panic_percent", "101"),
            ("load_balancing.subset_size", "100001"),
            ("load_balancing.slow_start", "\"25h\""),
            ("service:user-service.port", "0"),
            ("service:user-service.health_check", "\"\""),
            ("service:user-service.health_check", "/health"),
            ("service:user-service.health_check", "http://elsewhere:3001/health"),
            ("service:user-service.version", "\"\""),
            ("service:user-service.instances", "[\"a:1\", \"http://b:2\"]"),
            ("service:user-service.instances", "[\"a:0\"]"),
        ] {
            assert_eq!(reported(&[(path, value)]), [path], "{path}: {value}");
        }
        for host in ["\"\"", "http://users", "\"users:3001\"", "\"user service\""] {
            let reported = reported(&[("service:user-service.host", host)]);
            assert!(
                reported.contains(&"service:user-service.host".to_owned()),
                "{host}: {reported:?}"
            );
        }
    }

    #[test]
    fn what_a_registry_needs_is_reported_where_it_is_the_chosen_one() {
        for (registry, key, value) in [
            ("consul", "consul_url", "\"consul:8500\""),
            ("consul", "consul_token", "\"a\\nb\""),
            ("consul", "registration_ttl", "\"0s\""),
            ("consul", "advertise_host", "\"0.0.0.0\""),
            ("consul", "advertise_host", "\"http://users\""),
            ("dns", "dns_servers", "[\"192.0.2.1\"]"),
            ("etcd", "etcd_endpoints", "[]"),
            ("etcd", "etcd_endpoints", "[\"http://a:2379\", \"b:2379\"]"),
            ("etcd", "etcd_prefix", "\"\""),
            ("etcd", "registration_ttl", "\"2s\""),
        ] {
            let path = format!("service_discovery.{key}");
            let chosen = [("service_discovery.type", registry), (path.as_str(), value)];
            assert_eq!(reported(&chosen), [path.as_str()], "{registry} {key}: {value}");
            assert!(reported(&[(&path, value)]).is_empty(), "static, {key}: {value}");
        }
    }

    #[test]
    fn what_a_pod_must_have_to_ask_kubernetes_is_reported_when_it_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = format!("\"{}\"", folder.path().display());
        let chosen = [
            ("service_discovery.type", "kubernetes"),
            ("service_discovery.kubernetes_account_dir", path.as_str()),
        ];
        let at_folder = ["service_discovery.kubernetes_account_dir"];
        assert_eq!(reported(&chosen), at_folder, "there is no namespace");
        std::fs::write(folder.path().join("namespace"), "shop").unwrap();
        assert!(reported(&chosen).is_empty());
        let ca = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        std::fs::write(folder.path().join("ca.crt"), ca).unwrap();
        assert_eq!(reported(&chosen), at_folder, "its authority is none");
    }

    #[test]
    fn the_shipped_values_and_other_ways_to_write_a_host_are_not_reported() {
        for host in ["users", "users.internal", "192.0.2.7", "\"[2001:db8::1]\"", "user_service"] {
            assert!(reported(&[("service:user-service.host", host)]).is_empty(), "{host}");
        }
    }
}
