//! What of the settings would end a start, or could not work: each with its place.

use auth::policy;
use cache::ServiceCache;
use chassis::database;
use tusk_config::Misfit;

use crate::builder::openapi;
use crate::platform::called;
use crate::{Platform, PlatformSettings, Service};

/// Everything that does not fit, with its place where one is known. Opens nothing.
pub(crate) fn misfits<S: Service>(settings: &S::Settings) -> Vec<Misfit> {
    let platform = S::platform(settings);
    let mut misfits = of_sections::<S>(platform);
    misfits.extend(S::check(settings));
    let built = Platform::unopened::<S>(platform).and_then(|platform| S::build(platform, settings));
    match built {
        Ok(built) => misfits.extend(built.misfits()),
        // What nobody gave a place is told all the same.
        Err(error) if misfits.is_empty() => misfits.push(Misfit::at("", error.to_string())),
        Err(_) => {}
    }
    misfits
}

fn of_sections<S: Service>(settings: &PlatformSettings) -> Vec<Misfit> {
    let PlatformSettings { services, policy, .. } = settings;
    let telemetry = settings.telemetry.check().into_iter();
    let mut misfits: Vec<Misfit> = telemetry.map(|(path, text)| Misfit::at(path, text)).collect();
    let named = [&[S::NAME], &*called::<S>(settings)].concat();
    misfits.extend(settings.service_discovery.check(services, &named));
    misfits.extend(policy::check(S::NAME, policy, &openapi::<S>(), services.keys()));
    let secret = |path: &str, text: String| Misfit::at(path, text).secret();
    let cache = ServiceCache::connect(S::NAME, &settings.cache).err();
    misfits.extend(cache.map(|error| secret("cache.url", error.to_string())));
    let database = database::unopened(&settings.database).err();
    misfits.extend(database.map(|error| secret("database.url", error.to_string())));
    misfits
}
