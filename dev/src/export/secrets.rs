//! The secrets of the system that are known, wherever they are kept. Nothing is made up or written.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use testkit::native::ELSEWHERE;

use crate::{origin, private, project::Project, state::State, up};

/// The shortest line of a key's file that is a part of the key.
const KEY_LINE_MIN: usize = 16;

/// All of them.
pub(super) fn known(project: &Project, state: Option<&State>) -> Vec<String> {
    let mut secrets = vec![up::DEMO_PASSWORD.to_owned()];
    let kept = private::read::<BTreeMap<String, String>>(&project.dev("secrets.json"));
    secrets.extend(kept.ok().flatten().unwrap_or_default().into_values());
    for server in ["postgres", "rabbitmq"] {
        let folder = project.dev(server);
        let elsewhere = fs::read_to_string(folder.join(ELSEWHERE)).unwrap_or_default();
        for folder in [folder, PathBuf::from(elsewhere.trim())] {
            secrets.extend(read(&folder.join("password")));
            secrets.extend(read(&folder.join(".erlang.cookie")));
        }
    }
    if let Some(state) = state {
        let addresses = &state.addresses;
        let urls =
            [&addresses.postgres, &addresses.redis, &addresses.amqp, &addresses.rabbitmq_api];
        secrets.extend(urls.into_iter().filter_map(|url| password(url)));
    }
    secrets.extend(keys(&project.dev("keys")));
    secrets.extend(of_environment(project));
    secrets
}

/// The variables that settings read as secrets, what their files hold, and the passwords in all others.
fn of_environment(project: &Project) -> Vec<String> {
    let services = project.services().iter();
    let files = services.filter_map(|service| origin::settings_files(project, &service.name).ok());
    let variables = tusk_config::variables(files.flatten()).unwrap_or_default();
    let secret = variables.into_iter().filter(|variable| variable.secret);
    let mut secrets: Vec<String> = secret
        .flat_map(|variable| {
            let file = env::var(format!("{}_FILE", variable.name)).ok();
            let held = file.and_then(|file| read(Path::new(&file)));
            [env::var(variable.name).ok(), held]
        })
        .flatten()
        .collect();
    secrets.extend(env::vars_os().filter_map(|(_, value)| password(value.to_str()?)));
    secrets
}

fn read(file: &Path) -> Option<String> {
    fs::read_to_string(file).ok().map(|text| text.trim().to_owned())
}

/// The lines of the key files: each of them is a part of a key.
fn keys(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    texts
        .flat_map(|text| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>())
        .filter(|line| line.len() >= KEY_LINE_MIN && !line.starts_with("-----"))
        .collect()
}

/// The password in an address.
fn password(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (login, _) = rest.rsplit_once('@')?;
    let (_, password) = login.split_once(':')?;
    Some(password.to_owned())
}
