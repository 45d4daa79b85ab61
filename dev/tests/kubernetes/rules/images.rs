//! What runs.

use serde_json::Value;

use super::unless;
use crate::{
    objects::{Objects, items},
    system::System,
};

/// A tag that moves is another program tomorrow.
pub(super) fn images_have_a_tag_that_stays(objects: &Objects, _: &System) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, pod) in objects.pods() {
        let images = items(&pod["containers"]).iter().map(|it| it["image"].as_str().unwrap_or(""));
        let moving = images.filter(|image| {
            let tag = image.rsplit('/').next().and_then(|last| last.split_once([':', '@']));
            tag.is_none_or(|(_, tag)| tag.is_empty() || tag == "latest")
        });
        complaints.extend(moving.map(|image| format!("{name}: {image:?} has no tag that stays")));
    }
    complaints
}

/// A deployment lays registry and digest over the images by these names.
pub(super) fn an_image_is_named_as_its_service(objects: &Objects, system: &System) -> Vec<String> {
    let complaints = system.services.iter().filter_map(|service| {
        let image: &Value = &objects.pod(&service.name)["containers"][0]["image"];
        let name = image.as_str().and_then(|image| image.split(':').next());
        unless(name == Some(&service.name), || format!("{}: its image is {image}", service.name))
    });
    complaints.collect()
}
